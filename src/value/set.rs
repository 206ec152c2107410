//! Sets: distinct strings without an order; kept in that of their bytes, integers in that of their
//! numbers.

use super::packed::{Packed, pack, unpack};
use super::tree::{Builder, ByName, Tree, Whole};
use super::{Bytes, Unpacked, sort};

/// Distinct strings. Cloning takes constant time, everything about one member logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// Entries are packed members.
    members: Tree<ByName<Whole>>,
}

impl Set {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// No member at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its members as one block; `None` where they are more than one.
    pub(super) fn leaf(&self) -> Option<&Bytes> {
        self.members.leaf()
    }

    /// What [`Set::leaf`] told.
    pub(super) fn of_leaf(block: Bytes, len: usize) -> Self {
        Self { members: Tree::of_leaf(block, len) }
    }

    /// Of its members in their order.
    pub(super) fn built(members: Builder) -> Self {
        Self { members: members.finish() }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.members.memory()
    }

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        self.members.lost_to(&later.members)
    }

    /// Whether this is a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.seek(&pack(member)).is_some()
    }

    /// Adds a member; false if it was one already.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        let member = pack(member);
        let Err(at) = self.members.find(&member) else { return false };
        self.members.insert(at, &member);
        true
    }

    /// Removes a member; false if it was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Ok((at, _)) = self.members.find(&pack(member)) else { return false };
        self.members.remove(at);
        true
    }

    /// All members.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Unpacked<'_>> {
        self.members.iter().map(unpack)
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.members.same(&other.members)
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for Set {
    fn from_iter<I: IntoIterator<Item = B>>(members: I) -> Self {
        let members: Vec<B> = members.into_iter().collect();
        let mut packed: Vec<Packed<'_>> = members.iter().map(|m| pack(m.as_ref())).collect();
        // Often they come from sets, each of them in order, of which this sort makes use.
        sort(&mut packed, |a, b| a.cmp(b));
        packed.dedup_by(|a, b| **a == **b);
        Self { members: packed.iter().map(|member| &**member).collect() }
    }
}
