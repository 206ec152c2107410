//! Sets: distinct strings without an order.

use super::{Bytes, Map};

/// Distinct strings. Cloning takes constant time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    members: Map<()>,
}

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// No member at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.members.memory()
    }

    /// Whether this is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// Adds a member; false if it was one already.
    pub fn insert(&mut self, member: Bytes) -> bool {
        self.members.insert(member, ()).is_none()
    }

    /// Removes a member; false if it was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.members.remove(member).is_some()
    }

    /// All members in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.members.iter().map(|(member, ())| member)
    }

    /// All members in the order of their bytes.
    pub fn sorted(&self) -> Vec<&Bytes> {
        self.members.sorted().into_iter().map(|(member, ())| member).collect()
    }
}

impl FromIterator<Bytes> for Set {
    fn from_iter<I: IntoIterator<Item = Bytes>>(members: I) -> Self {
        Self { members: members.into_iter().map(|member| (member, ())).collect() }
    }
}
