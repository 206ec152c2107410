//! An inner node: children, how many entries each of them has, and where one ends and the next
//! begins.
//!
//! A way down asks each node which child comes next. The answer is in the node itself: eight bytes
//! of each child's first entry, side by side, behind those that they all have in common.

use super::order::{HEAD_BYTES, Head, Order};
use super::{Child, Node};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::sync::Arc;

/// Children of an inner node. An edit copies the nodes above its leaf, and counts one more owner
/// for each of their children, so few are better than many; and a lookup goes through each level.
pub(super) const FANOUT: usize = 16;

/// Inner neighbours are merged when they have no more children than this together.
pub(super) const MERGED_FANOUT: usize = FANOUT * 3 / 4;

/// A window begins behind so many common bytes at most.
const COMMON_MAX: usize = HEAD_BYTES - size_of::<u64>();

pub(super) type Children = SmallVec<[Child; FANOUT]>;

#[derive(Clone, Debug)]
pub(super) struct Inner {
    children: Children,
    /// Bytes of the heads of all first entries but the first child's, as large as a number. Of the
    /// first child nothing has to be known: what is before the second is there.
    windows: [u64; FANOUT],
    /// What all those heads begin with, ...
    common: [u8; COMMON_MAX],
    /// ... up to here, where the windows begin.
    begin: u8,
}

/// The window of a head that does not begin with what is common is not told; but where it is.
fn window(head: &Head, common: &[u8]) -> Result<u64, Ordering> {
    let (begin, rest) = head.split_at(common.len().min(COMMON_MAX));
    if !common.is_empty() && begin != common {
        return Err(begin.cmp(common));
    }
    Ok(rest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

impl Inner {
    /// A node of no more than [`FANOUT`] children.
    pub(super) fn new<O: Order>(children: impl IntoIterator<Item = Child>) -> Self {
        let mut inner = Self {
            children: children.into_iter().collect(),
            windows: [0; FANOUT],
            common: [0; COMMON_MAX],
            begin: 0,
        };
        inner.tell_apart::<O>();
        inner
    }

    pub(super) fn children(&self) -> &[Child] {
        &self.children
    }

    pub(super) fn len(&self) -> usize {
        self.children.iter().map(|child| child.len).sum()
    }

    fn common(&self) -> &[u8] {
        self.common.get(..usize::from(self.begin)).unwrap_or_default()
    }

    /// Sets all windows.
    fn tell_apart<O: Order>(&mut self) {
        let heads: SmallVec<[Head; FANOUT]> =
            self.children.iter().skip(1).map(|child| head::<O>(child)).collect();
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return };
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count().min(COMMON_MAX);
        self.begin = common as u8;
        self.common[..common].copy_from_slice(&first[..common]);
        for (place, head) in self.windows.iter_mut().skip(1).zip(&heads) {
            *place = window(head, &first[..common]).unwrap_or_default();
        }
    }

    /// Sets the window of a child whose first entry is another one now.
    fn tell_from_before<O: Order>(&mut self, at: usize) {
        let Some(child) = self.children.get(at).filter(|_| at > 0) else { return };
        match window(&head::<O>(child), self.common()) {
            Ok(window) => self.windows[at] = window,
            Err(_) => self.tell_apart::<O>(),
        }
    }

    /// The child in which this is, or would have to be.
    #[inline]
    pub(super) fn child_of<O: Order>(&self, key: O::Key<'_>, head: &Head) -> usize {
        let last = self.children.len().saturating_sub(1);
        let window = match window(head, self.common()) {
            Ok(window) => window,
            Err(Ordering::Greater) => return last,
            Err(_) => return 0,
        };
        let windows = self.windows.get(1..=last).unwrap_or_default();
        let before = windows.partition_point(|other| *other < window);
        let alike = windows[before..].iter().take_while(|other| **other == window).count();
        if alike == 0 {
            return before;
        }
        let unsure = &self.children[before + 1..=before + alike];
        before + not_behind(unsure, |first| O::compare(O::key(first), key))
    }

    /// The same by an order that only the caller knows.
    pub(super) fn child_by(&self, order: &mut impl FnMut(&[u8]) -> Ordering) -> usize {
        not_behind(self.children.get(1..).unwrap_or_default(), order)
    }

    /// For an edit of the child at this place, and of those that come to be behind it.
    pub(super) fn child_mut(&mut self, at: usize) -> Option<&mut Child> {
        self.children.get_mut(at)
    }

    /// Takes in what an edit of the child at this place has made: its first entry may be another
    /// one, and there may be siblings behind it. The node that then has to follow this one, where
    /// they are too many.
    pub(super) fn edited<O: Order>(
        &mut self,
        at: usize,
        first_changed: bool,
        siblings: Siblings,
    ) -> Option<Child> {
        if self.children.len() + siblings.len() > FANOUT {
            return Some(self.split::<O>(at, siblings));
        }
        if first_changed {
            self.tell_from_before::<O>(at);
        }
        for (place, sibling) in (at + 1..).zip(siblings) {
            let end = self.children.len();
            self.windows.copy_within(place..end, place + 1);
            self.children.insert(place, sibling);
            self.tell_from_before::<O>(place);
        }
        None
    }

    /// What grows at its end is not cut in the middle, so that its nodes stay full.
    fn split<O: Order>(&mut self, at: usize, siblings: Siblings) -> Child {
        let mut all: SmallVec<[Child; FANOUT + 2]> = self.children.drain(..).collect();
        let behind = at + 1 + siblings.len();
        all.insert_many(at + 1, siblings);
        let cut = if behind == all.len() { FANOUT } else { all.len() / 2 };
        let right = Self::new::<O>(all.drain(cut..));
        *self = Self::new::<O>(all);
        Child { len: right.len(), node: Node::Inner(Arc::new(right)) }
    }

    /// Takes a child away.
    pub(super) fn remove(&mut self, at: usize) {
        if at < self.children.len() {
            self.children.remove(at);
            self.windows.copy_within(at + 1.., at);
        }
    }

    /// Puts one child in the place of two neighbours.
    pub(super) fn merge(&mut self, at: usize, merged: Child) {
        self.remove(at + 1);
        if let Some(child) = self.children.get_mut(at) {
            *child = merged;
        }
    }

    /// Changes any of the children, and removes those of which `edit` says so.
    pub(super) fn retain<O: Order>(&mut self, edit: impl FnMut(&mut Child) -> bool) {
        self.children.retain(edit);
        self.tell_apart::<O>();
    }
}

/// What follows a child after an edit: two at most, for three leaves can come of one.
pub(super) type Siblings = SmallVec<[Child; 2]>;

fn head<O: Order>(child: &Child) -> Head {
    child.node.first().map_or([0; HEAD_BYTES], |first| O::head(O::key(first)))
}

/// How many of the children begin with something that is not behind what is sought.
fn not_behind(children: &[Child], mut order: impl FnMut(&[u8]) -> Ordering) -> usize {
    children.partition_point(|child| {
        child.node.first().is_some_and(|first| order(first) != Ordering::Greater)
    })
}

#[cfg(test)]
impl Inner {
    /// Whether the windows are those of the children.
    pub(super) fn tells_apart<O: Order>(&self) -> bool {
        (1..).zip(self.children.iter().skip(1)).all(|(at, child)| {
            window(&head::<O>(child), self.common()).is_ok_and(|own| own == self.windows[at])
        })
    }
}
