//! A command's arguments where they lie: commands have few, and their list is not worth an
//! allocation.

use std::fmt;
use std::ops::Deref;

/// So many arguments take no allocation.
const FEW: usize = 6;

/// A command's name and arguments, where they lie in its frame.
#[derive(Clone, Copy, Default)]
pub struct Args<'a> {
    frame: &'a [u8],
    /// Begin and end of each.
    places: &'a [(usize, usize)],
}

/// The same as a list.
#[derive(Clone)]
pub struct List<'a>(Arguments<'a>);

#[derive(Clone)]
enum Arguments<'a> {
    Few([&'a [u8]; FEW], usize),
    Many(Vec<&'a [u8]>),
}

impl<'a> Args<'a> {
    pub(super) fn new(frame: &'a [u8], places: &'a [(usize, usize)]) -> Self {
        Self { frame, places }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.places.len()
    }

    /// None, not even a name.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }

    /// The one at this place.
    #[inline]
    pub fn get(self, at: usize) -> Option<&'a [u8]> {
        self.places.get(at).map(|place| self.at(place))
    }

    /// The command's name.
    #[inline]
    pub fn first(self) -> Option<&'a [u8]> {
        self.get(0)
    }

    /// One after the other.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.places.iter().map(move |place| self.at(place))
    }

    /// All of them.
    #[inline]
    pub fn list(self) -> List<'a> {
        self.iter().collect()
    }

    #[inline]
    fn at(self, (from, to): &(usize, usize)) -> &'a [u8] {
        self.frame.get(*from..*to).unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a [u8]> for List<'a> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(args: I) -> Self {
        let mut args = args.into_iter();
        let mut few: [&[u8]; FEW] = [b""; FEW];
        for (len, place) in few.iter_mut().enumerate() {
            match args.next() {
                Some(arg) => *place = arg,
                None => return Self(Arguments::Few(few, len)),
            }
        }
        Self(match args.next() {
            None => Arguments::Few(few, FEW),
            Some(arg) => Arguments::Many(few.into_iter().chain([arg]).chain(args).collect()),
        })
    }
}

impl<'a> Deref for List<'a> {
    type Target = [&'a [u8]];

    #[inline]
    fn deref(&self) -> &[&'a [u8]] {
        match &self.0 {
            Arguments::Few(args, len) => args.get(..*len).unwrap_or_default(),
            Arguments::Many(args) => args,
        }
    }
}

impl PartialEq for Args<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Args<'_> {}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_arguments_there_are_they_come_back() {
        let text = [b'x'; 20];
        for count in 0..20 {
            let all: Vec<&[u8]> = (0..count).map(|len| text.get(..len).unwrap()).collect();
            let args: List<'_> = all.iter().copied().collect();
            assert_eq!(args[..], all[..]);
            assert_eq!(matches!(args.0, Arguments::Few(..)), count <= FEW);
        }
    }
}
