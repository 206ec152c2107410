//! An inner node: children, how many entries each of them has, and where one ends and the next
//! begins.
//!
//! A way down asks each node which child comes next. The answer is in the node itself: four bytes
//! of each child's first entry, side by side, behind those that they all have in common. So it
//! waits for main memory once a level.

use super::block::entries;
use super::order::{HEAD_BYTES, Head, Order};
use super::{Child, Node};
use crate::memory::View;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::mem::offset_of;

/// Children of an inner node. An edit copies the nodes above its leaf, and counts one more owner
/// for each of their children, so few are better than many; and a lookup goes through each level.
pub(super) const FANOUT: usize = 24;

/// Inner neighbours are merged when they have no more children than this together.
pub(super) const MERGED_FANOUT: usize = FANOUT * 3 / 4;

/// A window begins behind so many common bytes at most.
const COMMON_MAX: usize = 23;

const _: () = assert!(COMMON_MAX + size_of::<Window>() <= HEAD_BYTES);

/// Bytes of a head, as a number in the same order. It has room for a sign, so that the difference
/// of two tells which one is before the other.
type Window = i32;

/// So many are compared at a time.
const LANES: usize = 4;

/// There are as many as there are children but the first. Behind the last there is this, once at
/// least: so they fill whole lines, and are compared many at a time.
const NO_WINDOW: Window = Window::MAX;

/// The nodes of an inner node, in their order.
pub(super) type Nodes<'a> = std::iter::Flatten<std::slice::Iter<'a, Option<Node>>>;

/// In this order, so that what a way down needs is side by side: with what stands before it in
/// memory, windows end where a line ends.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Inner {
    /// Where the windows begin, ...
    begin: u8,
    /// ... and what the heads have before, of which they are: those of all first entries but the
    /// first child's. What is before the second child is in the first.
    common: [u8; COMMON_MAX],
    windows: [Window; FANOUT],
    /// How many there are is not needed to get to one of them.
    nodes: [Option<Node>; FANOUT],
    /// How many entries each of them has: [`LEN_MAX`] where they are as many or more, which is
    /// counted anew each time.
    lens: [u32; FANOUT],
}

#[cfg(not(test))]
const LEN_MAX: u32 = u32::MAX;
/// So that tests come to it.
#[cfg(test)]
const LEN_MAX: u32 = 300;

/// What a way down looks at.
pub(super) const SEEN_BYTES: usize = offset_of!(Inner, lens);

/// What is sought, as a node looks at it. Most nodes of one way look at it alike.
#[derive(Debug)]
pub(super) struct Sought<'h> {
    head: &'h Head,
    /// Behind so many bytes, ...
    begin: u8,
    /// ... which these are of, ...
    mask: [u64; 3],
    /// ... begins this. One more, so that it is behind all that are the same.
    next: Window,
    /// It is in no other child than the likely ones.
    is_sure: bool,
}

impl<'h> Sought<'h> {
    /// As a node without anything in common looks at it.
    #[inline(always)]
    pub(super) fn new(head: &'h Head) -> Self {
        let mut new = Self { head, begin: 0, mask: [0; 3], next: 0, is_sure: true };
        new.look_behind(0);
        new
    }

    /// Whether what was not found is nowhere.
    #[inline(always)]
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure
    }

    #[inline(always)]
    fn look_behind(&mut self, begin: u8) {
        (self.begin, self.mask) = (begin, MASKS[usize::from(begin).min(COMMON_MAX)]);
        let next = window_behind(self.head, begin).checked_add(1);
        self.is_sure &= next.is_some();
        self.next = next.unwrap_or(NO_WINDOW);
    }
}

/// The window of a head that does not begin with what is common is not told; but where it is.
#[inline]
fn window(head: &Head, begin: u8, common: &[u8; COMMON_MAX]) -> Result<Window, Ordering> {
    let all = usize::from(begin).min(COMMON_MAX);
    match head[..all].cmp(&common[..all]) {
        Ordering::Equal => Ok(window_behind(head, begin)),
        order => Err(order),
    }
}

#[inline(always)]
fn window_behind(head: &Head, begin: u8) -> Window {
    let rest = head.get(usize::from(begin)..).and_then(<[u8]>::first_chunk);
    rest.map_or(0, |bytes| as_window(*bytes))
}

#[inline(always)]
fn as_window(bytes: [u8; size_of::<Window>()]) -> Window {
    (u32::from_be_bytes(bytes) >> 1).cast_signed()
}

/// All that can be common, as numbers; some of it twice.
#[inline(always)]
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    WORDS_AT.into_iter().map(|at| {
        let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    })
}

const WORDS_AT: [usize; 3] = [0, 8, COMMON_MAX - 8];

/// Of so many common bytes the bits in those numbers.
const MASKS: [[u64; 3]; COMMON_MAX + 1] = {
    let mut masks = [[0; 3]; COMMON_MAX + 1];
    let mut at = 0;
    while at < 8 * 3 * (COMMON_MAX + 1) {
        let (begin, word, byte) = (at / 24, at / 8 % 3, at % 8);
        if WORDS_AT[word] + byte < begin {
            masks[begin][word] |= 0xff << (8 * byte);
        }
        at += 1;
    }
    masks
};

/// What is kept of a number of entries.
fn kept(len: usize) -> u32 {
    u32::try_from(len).ok().filter(|len| *len < LEN_MAX).unwrap_or(LEN_MAX)
}

/// How many entries are below a node of which this was kept.
#[inline(always)]
fn len_of(node: &Node, kept: u32) -> usize {
    if kept == LEN_MAX { counted(node) } else { kept as usize }
}

#[cold]
fn counted(node: &Node) -> usize {
    match node.view() {
        View::Bytes(leaf) => entries(leaf).count(),
        View::Node(inner) => inner.len(),
    }
}

impl Inner {
    /// A node of no more than [`FANOUT`] children.
    pub(super) fn new<O: Order>(children: impl IntoIterator<Item = Child>) -> Self {
        let mut inner = Self {
            begin: 0,
            common: [0; COMMON_MAX],
            windows: [NO_WINDOW; FANOUT],
            nodes: [const { None }; FANOUT],
            lens: [0; FANOUT],
        };
        inner.put(children);
        inner.tell_apart::<O>();
        inner
    }

    /// Puts children into the first places.
    fn put(&mut self, children: impl IntoIterator<Item = Child>) {
        let places = self.nodes.iter_mut().zip(&mut self.lens);
        for ((node, len), child) in places.zip(children) {
            (*node, *len) = (Some(child.node), kept(child.len));
        }
    }

    /// Takes all children out.
    fn take(&mut self) -> impl Iterator<Item = Child> + use<> {
        let nodes = std::mem::replace(&mut self.nodes, [const { None }; FANOUT]);
        let lens = std::mem::take(&mut self.lens);
        let children = nodes.into_iter().flatten().zip(lens);
        children.map(|(node, kept)| Child { len: len_of(&node, kept), node })
    }

    /// How many children there are.
    pub(super) fn count(&self) -> usize {
        self.nodes.iter().position(Option::is_none).unwrap_or(FANOUT)
    }

    /// The child at this place.
    #[inline]
    pub(super) fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)?.as_ref()
    }

    /// How many entries are below the child at this place.
    #[inline]
    pub(super) fn len_of(&self, at: usize) -> usize {
        match (self.lens.get(at), self.nodes.get(at)) {
            (Some(kept), Some(Some(node))) => len_of(node, *kept),
            _ => 0,
        }
    }

    /// The children.
    pub(super) fn nodes(&self) -> Nodes<'_> {
        self.nodes_from(0)
    }

    /// Those from this place on.
    pub(super) fn nodes_from(&self, at: usize) -> Nodes<'_> {
        self.nodes.get(at..).unwrap_or_default().iter().flatten()
    }

    /// How many entries there are below.
    pub(super) fn len(&self) -> usize {
        self.len_before(FANOUT)
    }

    /// How many entries are before the child at this place.
    pub(super) fn len_before(&self, at: usize) -> usize {
        let kept = self.lens.get(..at).unwrap_or_default();
        if kept.contains(&LEN_MAX) {
            return (0..at).map(|at| self.len_of(at)).sum();
        }
        kept.iter().map(|len| *len as usize).sum()
    }

    /// The child that an index falls to, and the index within it. With `between`, for something
    /// that is put between two places, a border belongs to the child before it.
    pub(super) fn locate(&self, mut index: usize, between: bool) -> (usize, usize) {
        let last = self.count().saturating_sub(1);
        for at in 0..last {
            let len = self.len_of(at);
            if index < len || (between && index == len) {
                return (at, index);
            }
            index -= len;
        }
        (last, index.min(self.len_of(last)))
    }

    /// The only place where there is another node than there, if it is the only one.
    pub(super) fn only_difference<'a>(&'a self, other: &'a Self) -> Option<(&'a Node, &'a Node)> {
        let mut found = None;
        for pair in self.nodes.iter().zip(&other.nodes) {
            match pair {
                (Some(a), Some(b)) if a.is(b) => {}
                (Some(a), Some(b)) if found.is_none() => found = Some((a, b)),
                (None, None) => break,
                _ => return None,
            }
        }
        found
    }

    fn window(&self, head: &Head) -> Result<Window, Ordering> {
        window(head, self.begin, &self.common)
    }

    /// Asks main memory for the counts of all children at once: who clones or drops this waits for
    /// one after the other.
    pub(super) fn foresee_counts(&self) {
        self.nodes().for_each(Node::foresee);
    }

    /// Sets all windows.
    fn tell_apart<O: Order>(&mut self) {
        self.windows = [NO_WINDOW; FANOUT];
        let heads: SmallVec<[Head; FANOUT]> = self.nodes_from(1).map(head::<O>).collect();
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return };
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count().min(COMMON_MAX);
        self.begin = common as u8;
        self.common[..common].copy_from_slice(&first[..common]);
        for (place, head) in self.windows.iter_mut().zip(&heads) {
            *place = window(head, self.begin, &self.common).unwrap_or_default();
        }
    }

    /// Sets the window of a child whose first entry is another one now.
    fn tell_from_before<O: Order>(&mut self, at: usize) {
        let Some(node) = self.node(at).filter(|_| at > 0) else { return };
        match self.window(&head::<O>(node)) {
            Ok(window) => self.windows[at - 1] = window,
            Err(_) => self.tell_apart::<O>(),
        }
    }

    /// The child in which this is, or would have to be.
    #[inline]
    pub(super) fn child_of<O: Order>(&self, key: O::Key<'_>, head: &Head) -> usize {
        match self.window(head) {
            Ok(window) => {
                let before = self.before(window);
                match self.windows.get(before) == Some(&window) {
                    true => self.child_of_alike::<O>(key, window, before),
                    false => before,
                }
            }
            Err(order) => self.child_outside(order),
        }
    }

    /// The child in which this most likely is, if it is there, for less than [`Inner::child_of`].
    #[inline(always)]
    pub(super) fn likely_child(&self, sought: &mut Sought<'_>) -> usize {
        // Foreseen by the processor, which goes on before it has the node.
        if self.begin != sought.begin {
            sought.look_behind(self.begin);
        }
        let differences = words(sought.head).zip(words(&self.common)).map(|(a, b)| a ^ b);
        if differences.zip(sought.mask).fold(0, |all, (bits, mask)| all | bits & mask) != 0 {
            return self.likely_child_outside(sought.head);
        }
        let place = self.before(sought.next);
        let is_alike = |at: usize| self.windows.get(at).is_some_and(|own| *own == sought.next - 1);
        if is_alike(place.wrapping_sub(1)) {
            sought.is_sure = false;
            // Mostly the one that has the same window begins with this; of many nothing is likely.
            return if is_alike(place.wrapping_sub(2)) { FANOUT } else { place };
        }
        place
    }

    #[cold]
    fn likely_child_outside(&self, head: &Head) -> usize {
        self.window(head).map_or_else(|order| self.child_outside(order), |_| 0)
    }

    /// How many windows are before this one.
    #[inline(always)]
    fn before(&self, window: Window) -> usize {
        // Many at a time, as there is no end to look for: a sign each, counted beside each other.
        let mut signs = [0; LANES];
        for some in self.windows.as_chunks::<LANES>().0 {
            for (sign, other) in signs.iter_mut().zip(some) {
                *sign += other.wrapping_sub(window) >> (Window::BITS - 1);
            }
        }
        signs.iter().sum::<Window>().unsigned_abs() as usize
    }

    /// The child of what is before or behind all that the windows are of.
    #[cold]
    fn child_outside(&self, order: Ordering) -> usize {
        match order {
            Ordering::Greater => self.count().saturating_sub(1),
            _ => 0,
        }
    }

    /// The same where the windows of some children don't tell, of which the first is behind this.
    #[cold]
    fn child_of_alike<O: Order>(&self, key: O::Key<'_>, window: Window, before: usize) -> usize {
        let alike = self.windows[before..].iter().take_while(|other| **other == window).count();
        let unsure = self.nodes_from(before + 1).take(alike);
        before + not_behind(unsure, |first| O::compare(O::key(first), key))
    }

    /// The same by an order that only the caller knows.
    pub(super) fn child_by(&self, order: &mut impl FnMut(&[u8]) -> Ordering) -> usize {
        not_behind(self.nodes_from(1), order)
    }

    /// For an edit of the child at this place, and of those that come to be behind it.
    pub(super) fn node_mut(&mut self, at: usize) -> Option<&mut Node> {
        self.nodes.get_mut(at)?.as_mut()
    }

    /// After such an edit.
    pub(super) fn set_len(&mut self, at: usize, len: usize) {
        if let Some(kept_len) = self.lens.get_mut(at) {
            *kept_len = kept(len);
        }
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
        if siblings.is_empty() {
            if first_changed {
                self.tell_from_before::<O>(at);
            }
            return None;
        }
        if self.count() + siblings.len() > FANOUT {
            return Some(self.split::<O>(at, siblings));
        }
        if first_changed {
            self.tell_from_before::<O>(at);
        }
        for (place, sibling) in (at + 1..).zip(siblings) {
            self.windows.copy_within(place - 1..FANOUT - 2, place);
            // There is room for it: the last place is empty.
            self.nodes[place..].rotate_right(1);
            self.lens[place..].rotate_right(1);
            (self.nodes[place], self.lens[place]) = (Some(sibling.node), kept(sibling.len));
            self.tell_from_before::<O>(place);
        }
        None
    }

    /// What grows at its end is not cut in the middle, so that its nodes stay full.
    fn split<O: Order>(&mut self, at: usize, siblings: Siblings) -> Child {
        let mut all: Vec<Child> = self.take().collect();
        let behind = at + 1 + siblings.len();
        all.splice(at + 1..at + 1, siblings);
        let cut = if behind == all.len() { FANOUT } else { all.len() / 2 };
        let right = Self::new::<O>(all.drain(cut..));
        *self = Self::new::<O>(all);
        Child { len: right.len(), node: Node::node(right) }
    }

    /// Takes a child away.
    pub(super) fn remove(&mut self, at: usize) {
        if at < FANOUT {
            self.nodes[at] = None;
            self.nodes[at..].rotate_left(1);
            self.lens[at] = 0;
            self.lens[at..].rotate_left(1);
            let window = at.saturating_sub(1);
            self.windows.copy_within(window + 1.., window);
        }
    }

    /// Puts one child in the place of two neighbours.
    pub(super) fn merge(&mut self, at: usize, merged: Node) {
        let len = self.len_of(at) + self.len_of(at + 1);
        self.remove(at + 1);
        if let Some(node) = self.node_mut(at) {
            *node = merged;
        }
        self.set_len(at, len);
    }

    /// The children of two neighbours in one.
    pub(super) fn both<O: Order>(&self, behind: &Self) -> Self {
        Self::new::<O>(self.clone().take().chain(behind.clone().take()))
    }

    /// Changes any of the children, and removes those of which `edit` says so.
    pub(super) fn retain<O: Order>(&mut self, mut edit: impl FnMut(&mut Child) -> bool) {
        let children = self.take();
        self.put(children.filter_map(|mut child| edit(&mut child).then_some(child)));
        self.tell_apart::<O>();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Each child counts its owners, and most were looked at long ago.
        self.foresee_counts();
    }
}

/// What follows a child after an edit: two at most, for three leaves can come of one.
pub(super) type Siblings = SmallVec<[Child; 2]>;

fn head<O: Order>(node: &Node) -> Head {
    first(node).map_or([0; HEAD_BYTES], |first| O::head(O::key(first)))
}

/// How many of the children begin with something that is not behind what is sought.
fn not_behind<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    mut order: impl FnMut(&[u8]) -> Ordering,
) -> usize {
    let nodes: SmallVec<[&Node; FANOUT]> = nodes.collect();
    nodes.partition_point(|node| first(node).is_some_and(|first| order(first).is_le()))
}

/// The first entry below.
#[inline(never)]
fn first(mut node: &Node) -> Option<&[u8]> {
    loop {
        match node.view() {
            View::Bytes(leaf) => return entries(leaf).next(),
            View::Node(inner) => node = inner.node(0)?,
        }
    }
}

#[cfg(test)]
impl Inner {
    /// Whether the windows are those of the children.
    pub(super) fn tells_apart<O: Order>(&self) -> bool {
        (1..).zip(self.nodes_from(1)).all(|(at, node)| {
            self.window(&head::<O>(node)).is_ok_and(|own| own == self.windows[at - 1])
        }) && self.windows[self.count() - 1..].iter().all(|w| *w == NO_WINDOW)
            && self.lens[self.count()..].iter().all(|len| *len == 0)
    }
}
