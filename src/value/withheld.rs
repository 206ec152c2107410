//! The names of elements that a table lacks, or keeps as they were, because a change was skipped.

use super::Fingerprint;
use super::tree::{ByName, Name, Tree};

/// Names, each with the fingerprint of what the primary has there, where that is known. Cloning
/// takes constant time.
#[derive(Clone, Debug, Default)]
pub struct Withheld {
    /// An entry is a byte that tells whether the fingerprint is known, the fingerprint, the name.
    names: Tree<ByName<OfEntry>>,
}

fn parts(entry: &[u8]) -> (&[u8], Option<Fingerprint>) {
    match entry.split_first_chunk::<9>() {
        Some(([known, fingerprint @ ..], name)) => {
            (name, (*known != 0).then(|| u64::from_le_bytes(*fingerprint)))
        }
        None => (&[], None),
    }
}

#[derive(Clone, Copy, Debug)]
struct OfEntry;

impl Name for OfEntry {
    fn name(entry: &[u8]) -> &[u8] {
        parts(entry).0
    }
}

impl Withheld {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Nothing is withheld.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.names.memory()
    }

    /// Whether this element is withheld.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.names.seek(name).is_some()
    }

    /// Withholds an element, or learns what the primary has there now.
    pub fn insert(&mut self, name: &[u8], fingerprint: Option<Fingerprint>) {
        let known = [u8::from(fingerprint.is_some())];
        let entry = [&known[..], &fingerprint.unwrap_or(0).to_le_bytes(), name].concat();
        match self.names.find(name).map(|(at, _)| at) {
            Ok(at) => self.names.replace(at, &entry),
            Err(at) => self.names.insert(at, &entry),
        }
    }

    /// An element is withheld no longer.
    pub fn remove(&mut self, name: &[u8]) {
        if let Ok((at, _)) = self.names.find(name) {
            self.names.remove(at);
        }
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<Fingerprint>)> {
        self.names.iter().map(parts)
    }
}

impl<N: AsRef<[u8]>> FromIterator<(N, Option<Fingerprint>)> for Withheld {
    fn from_iter<I: IntoIterator<Item = (N, Option<Fingerprint>)>>(names: I) -> Self {
        let mut withheld = Self::default();
        for (name, fingerprint) in names {
            withheld.insert(name.as_ref(), fingerprint);
        }
        withheld
    }
}

impl PartialEq for Withheld {
    fn eq(&self, other: &Self) -> bool {
        self.names.same(&other.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_is_known_of_each_name() {
        let mut withheld = Withheld::default();
        withheld.insert(b"b", Some(7));
        withheld.insert(b"a", None);
        withheld.insert(b"b", None);
        withheld.insert(b"c", Some(0));
        let all: Vec<_> = withheld.iter().collect();
        assert_eq!(all, [(&b"a"[..], None), (b"b", None), (b"c", Some(0))]);
        withheld.remove(b"b");
        assert!(withheld.contains(b"a") && !withheld.contains(b"b"));
        assert_eq!(withheld.len(), 2);
    }
}
