//! An inner node: children, how many entries each of them has, and where one ends and the next
//! begins.
//!
//! A way down asks each node which child comes next. The answer is in the node itself: four bytes
//! of each child's first entry, side by side, behind those that they all have in common. So it
//! waits for main memory once a level.

use super::order::{HEAD_BYTES, Head, Order};
use super::{Child, Node};
use crate::memory::{self, LINE};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::ptr;
use std::sync::Arc;

/// Children of an inner node. An edit copies the nodes above its leaf, and counts one more owner
/// for each of their children, so few are better than many; and a lookup goes through each level.
pub(super) const FANOUT: usize = 16;

/// Inner neighbours are merged when they have no more children than this together.
pub(super) const MERGED_FANOUT: usize = FANOUT * 3 / 4;

/// A window begins behind so many common bytes at most.
const COMMON_MAX: usize = HEAD_BYTES - size_of::<Window>();

/// Bytes of a head, as large as a number.
type Window = u32;

/// There are as many as there are children but the first. Behind the last there is this, once at
/// least: so they fill whole lines, and are compared many at a time.
const NO_WINDOW: Window = Window::MAX;

/// What stands in front of what is shared.
const ARC_HEAD: usize = 2 * size_of::<usize>();

/// Up to [`FANOUT`] children, where they are: how many there are is not needed to get to
/// one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Children([Option<Child>; FANOUT]);

/// Children in their order.
pub(super) type ChildIter<'a> = std::iter::Flatten<std::slice::Iter<'a, Option<Child>>>;

impl Children {
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&Child> {
        self.0.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Child> {
        self.0.get_mut(at)?.as_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().position(Option::is_none).unwrap_or(FANOUT)
    }

    pub(super) fn iter(&self) -> ChildIter<'_> {
        self.iter_from(0)
    }

    /// Those from this place on.
    pub(super) fn iter_from(&self, at: usize) -> ChildIter<'_> {
        self.0.get(at..).unwrap_or_default().iter().flatten()
    }

    /// The only place where there is another node than there, if it is the only one.
    pub(super) fn only_difference<'a>(&'a self, other: &'a Self) -> Option<(&'a Child, &'a Child)> {
        let mut found = None;
        for pair in self.0.iter().zip(&other.0) {
            match pair {
                (Some(a), Some(b)) if a.node.is(&b.node) => {}
                (Some(a), Some(b)) if found.is_none() => found = Some((a, b)),
                (None, None) => break,
                _ => return None,
            }
        }
        found
    }

    /// There must be room for one.
    fn insert(&mut self, at: usize, child: Child) {
        if let Some(moved) = self.0.get_mut(at..) {
            moved.rotate_right(1);
            moved[0] = Some(child);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(moved) = self.0.get_mut(at..) {
            moved[0] = None;
            moved.rotate_left(1);
        }
    }
}

impl FromIterator<Child> for Children {
    fn from_iter<I: IntoIterator<Item = Child>>(children: I) -> Self {
        let mut all = Self::default();
        all.0.iter_mut().zip(children).for_each(|(place, child)| *place = Some(child));
        all
    }
}

/// In this order, so that what a way down needs is side by side.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Inner {
    /// Of the heads of all first entries but the first child's: what is before the second child is
    /// in the first.
    windows: [Window; FANOUT],
    /// Where the windows begin, ...
    begin: u8,
    /// ... and what all those heads have before.
    common: [u8; COMMON_MAX],
    children: Children,
}

/// The window of a head that does not begin with what is common is not told; but where it is.
fn window(head: &Head, common: &[u8]) -> Result<Window, Ordering> {
    let (begin, rest) = head.split_at(common.len().min(COMMON_MAX));
    if !common.is_empty() && begin != common {
        return Err(begin.cmp(common));
    }
    Ok(rest.first_chunk().map_or(0, |bytes| Window::from_be_bytes(*bytes)))
}

impl Inner {
    /// A node of no more than [`FANOUT`] children.
    pub(super) fn new<O: Order>(children: impl IntoIterator<Item = Child>) -> Self {
        let mut inner = Self {
            children: children.into_iter().collect(),
            windows: [NO_WINDOW; FANOUT],
            common: [0; COMMON_MAX],
            begin: 0,
        };
        inner.tell_apart::<O>();
        inner
    }

    #[inline]
    pub(super) fn children(&self) -> &Children {
        &self.children
    }

    pub(super) fn len(&self) -> usize {
        self.children.iter().map(|child| child.len()).sum()
    }

    fn common(&self) -> &[u8] {
        self.common.get(..usize::from(self.begin)).unwrap_or_default()
    }

    /// Asks main memory for the counts of all children at once: a clone waits for one after the
    /// other.
    pub(super) fn foresee_clone(&self) {
        for child in self.children().iter() {
            match &child.node {
                Node::Leaf(block) => block.foresee(),
                // The counts are in front of it.
                Node::Inner(inner) => memory::fetch(Arc::as_ptr(inner).addr() - ARC_HEAD),
            }
        }
    }

    /// Sets all windows.
    fn tell_apart<O: Order>(&mut self) {
        self.windows = [NO_WINDOW; FANOUT];
        let heads: SmallVec<[Head; FANOUT]> = self.children.iter_from(1).map(head::<O>).collect();
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return };
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count().min(COMMON_MAX);
        self.begin = common as u8;
        self.common[..common].copy_from_slice(&first[..common]);
        for (place, head) in self.windows.iter_mut().zip(&heads) {
            *place = window(head, &first[..common]).unwrap_or_default();
        }
    }

    /// Sets the window of a child whose first entry is another one now.
    fn tell_from_before<O: Order>(&mut self, at: usize) {
        let Some(child) = self.children.get(at).filter(|_| at > 0) else { return };
        match window(&head::<O>(child), self.common()) {
            Ok(window) => self.windows[at - 1] = window,
            Err(_) => self.tell_apart::<O>(),
        }
    }

    /// Asks main memory for all of it at once, while nobody knows yet what is needed.
    #[inline]
    fn fetch(&self) {
        let at = ptr::from_ref(self).addr();
        (0..size_of::<Self>()).step_by(LINE).for_each(|line| memory::fetch(at + line));
    }

    /// The child in which this is, or would have to be.
    #[inline]
    pub(super) fn child_of<O: Order>(&self, key: O::Key<'_>, head: &Head) -> usize {
        self.fetch();
        match window(head, self.common()) {
            Ok(window) => {
                let before = self.windows.iter().map(|other| u32::from(*other < window));
                let before = before.sum::<u32>() as usize;
                match self.windows.get(before) == Some(&window) {
                    true => self.child_of_alike::<O>(key, window, before),
                    false => before,
                }
            }
            Err(Ordering::Greater) => self.children.len().saturating_sub(1),
            Err(_) => 0,
        }
    }

    /// The same where the windows of some children don't tell, of which the first is behind this.
    #[cold]
    fn child_of_alike<O: Order>(&self, key: O::Key<'_>, window: Window, before: usize) -> usize {
        let alike = self.windows[before..].iter().take_while(|other| **other == window).count();
        let unsure = self.children.iter_from(before + 1).take(alike);
        before + not_behind(unsure, |first| O::compare(O::key(first), key))
    }

    /// The same by an order that only the caller knows.
    pub(super) fn child_by(&self, order: &mut impl FnMut(&[u8]) -> Ordering) -> usize {
        not_behind(self.children.iter_from(1), order)
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
            self.windows.copy_within(place - 1..FANOUT - 2, place);
            self.children.insert(place, sibling);
            self.tell_from_before::<O>(place);
        }
        None
    }

    /// What grows at its end is not cut in the middle, so that its nodes stay full.
    fn split<O: Order>(&mut self, at: usize, siblings: Siblings) -> Child {
        let children = std::mem::take(&mut self.children).0;
        let mut all: SmallVec<[Child; FANOUT * 2]> = children.into_iter().flatten().collect();
        let behind = at + 1 + siblings.len();
        all.insert_many(at + 1, siblings);
        let cut = if behind == all.len() { FANOUT } else { all.len() / 2 };
        let right = Self::new::<O>(all.drain(cut..));
        *self = Self::new::<O>(all);
        Child::new(right.len(), Node::Inner(Arc::new(right)))
    }

    /// Takes a child away.
    pub(super) fn remove(&mut self, at: usize) {
        if at < FANOUT {
            self.children.remove(at);
            let window = at.saturating_sub(1);
            self.windows.copy_within(window + 1.., window);
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
    pub(super) fn retain<O: Order>(&mut self, mut edit: impl FnMut(&mut Child) -> bool) {
        let children = std::mem::take(&mut self.children).0.into_iter().flatten();
        self.children =
            children.filter_map(|mut child| edit(&mut child).then_some(child)).collect();
        self.tell_apart::<O>();
    }
}

/// What follows a child after an edit: two at most, for three leaves can come of one.
pub(super) type Siblings = SmallVec<[Child; 2]>;

fn head<O: Order>(child: &Child) -> Head {
    child.node.first().map_or([0; HEAD_BYTES], |first| O::head(O::key(first)))
}

/// How many of the children begin with something that is not behind what is sought.
fn not_behind<'a>(
    children: impl Iterator<Item = &'a Child>,
    mut order: impl FnMut(&[u8]) -> Ordering,
) -> usize {
    let children: SmallVec<[&Child; FANOUT]> = children.collect();
    children.partition_point(|child| {
        child.node.first().is_some_and(|first| order(first) != Ordering::Greater)
    })
}

#[cfg(test)]
impl Inner {
    /// Whether the windows are those of the children.
    pub(super) fn tells_apart<O: Order>(&self) -> bool {
        (1..).zip(self.children.iter_from(1)).all(|(at, child)| {
            window(&head::<O>(child), self.common()).is_ok_and(|own| own == self.windows[at - 1])
        }) && self.windows[self.children.len() - 1..].iter().all(|w| *w == NO_WINDOW)
    }
}
