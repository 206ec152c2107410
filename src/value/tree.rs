//! The one shape of all aggregates: a counted B-tree whose leaves are packed blocks of bytes.
//!
//! An entry is a string of bytes; what it means and how entries are ordered is the business of the
//! type above (`list`, `set`, `hash`, ...). A leaf is one allocation that holds entries one behind
//! the other, each with its length in front, as the servers' listpacks do; so a small value is a
//! single block, and a large one takes little more memory than its bytes. Inner nodes count the
//! entries below them: finding by place, by order and the place of what was found take logarithmic
//! time, and so do edits, which rewrite one leaf and touch one node a level.
//!
//! Nodes are shared between clones and copied when one of them is edited: a clone takes constant
//! time and never changes.

mod block;
mod builder;
mod inner;
mod iter;
mod lost;
mod order;

use super::Bytes;
use crate::memory::{Block, Piece, View};
use block::{entries, offset};
use inner::{Inner, MERGED_FANOUT, SEEN_BYTES, Siblings, Sought};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::Range;

pub(super) use block::{LENGTH_BYTES_MAX, Length};
pub(super) use order::{
    ByName, Head, NO_HEAD, Name, Order, Unordered, Whole, compare_bytes, first_bytes, head_of,
};

pub(super) use builder::Builder;
pub(super) use iter::Iter;

pub use block::{push_length, split_length};

/// A leaf is split when it would grow beyond this many bytes. Large enough for the overhead of a
/// node to be small, and for the nodes above the leaves to be so few that they stay in a cache;
/// small enough for going through a leaf and rewriting it to be cheap. An entry that is larger has
/// a leaf of its own, so that its neighbours' edits don't copy it.
pub(super) const LEAF_BYTES: usize = 1024;

/// What a leaf takes besides its entries: what stands before it, what is left behind it, its place
/// in the node above.
const LEAF_OVERHEAD: usize = 40;

/// Neighbours are merged when they fit in this together: less than a leaf, so that they aren't
/// split again at once.
const MERGED_BYTES: usize = LEAF_BYTES * 3 / 4;

/// A sequence of entries.
#[derive(Clone, Debug)]
pub(super) struct Tree<O = Unordered> {
    root: Root,
    len: usize,
    /// Bytes of all leaves, lengths included.
    bytes: usize,
    order: PhantomData<O>,
}

impl<O> Default for Tree<O> {
    fn default() -> Self {
        Self { root: Root::Inner(None), len: 0, bytes: 0, order: PhantomData }
    }
}

/// As large as a string: values are moved about.
#[derive(Clone, Debug)]
enum Root {
    /// The only leaf.
    Leaf(Bytes),
    /// An inner node; none where there are no entries.
    Inner(Option<Node>),
}

const _: () = assert!(size_of::<Root>() == size_of::<Bytes>());

/// A leaf of several, or an inner node.
type Node = Piece<Inner>;

/// A node and how many entries are below.
#[derive(Debug)]
struct Child {
    node: Node,
    len: usize,
}

impl Child {
    fn leaf(block: &[u8]) -> Self {
        Self { len: entries(block).count(), node: Node::joined(&[block]) }
    }
}

impl<O: Order> Tree<O> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The only leaf; `None` where there are several, or none.
    pub(super) fn leaf(&self) -> Option<&Bytes> {
        match &self.root {
            Root::Leaf(block) => Some(block),
            Root::Inner(_) => None,
        }
    }

    /// A tree of one leaf, which has so many entries.
    pub(super) fn of_leaf(block: Bytes, len: usize) -> Self {
        Self { len, bytes: block.len(), root: Root::Leaf(block), order: PhantomData }
    }

    /// About the memory that it takes, in bytes: of its entries with their lengths, and of a share
    /// of its nodes, taking leaves to be three quarters full.
    pub(super) fn memory(&self) -> usize {
        self.bytes + (self.bytes / (LEAF_BYTES * 3 / 4) + 1) * LEAF_OVERHEAD
    }

    /// The entry at this place.
    pub(super) fn get(&self, mut index: usize) -> Option<&[u8]> {
        let leaf = self.leaf_by(|inner| {
            let at;
            (at, index) = inner.locate(index, false);
            at
        });
        entries(leaf?).nth(index)
    }

    /// The place of the entry with this key, and the entry; or the place where it would have to be.
    pub(super) fn find(&self, key: O::Key<'_>) -> Result<(usize, &[u8]), usize> {
        let (mut before, head) = (0, self.head(key));
        let leaf = self.leaf_by(|inner| {
            let at = inner.child_of::<O>(key, &head);
            before += inner.len_before(at);
            at
        });
        let Some(leaf) = leaf else { return Err(before) };
        let lead = O::lead(key);
        find_in(leaf, before, |entry| order_of::<O>(entry, lead, key))
    }

    /// The same by an order that only the caller knows: `order` tells how an entry compares to what
    /// is sought. It takes longer in large trees.
    pub(super) fn find_by(&self, mut order: impl FnMut(&[u8]) -> Ordering) -> Result<usize, usize> {
        let mut before = 0;
        let leaf = self.leaf_by(|inner| {
            let at = inner.child_by(&mut order);
            before += inner.len_before(at);
            at
        });
        let Some(leaf) = leaf else { return Err(before) };
        find_in(leaf, before, order).map(|(at, _)| at)
    }

    /// The entry with this key.
    #[inline]
    pub(super) fn seek(&self, key: O::Key<'_>) -> Option<&[u8]> {
        let node = match &self.root {
            Root::Leaf(block) => return O::find_in(only(block), key),
            Root::Inner(node) => node.as_ref()?,
        };
        let head = O::head(key);
        let mut sought = Sought::new(&head);
        let leaf = way_down(node, |inner| inner.likely_child(&mut sought));
        let found = leaf.and_then(|leaf| O::find_in(leaf, key));
        if found.is_some() || sought.is_sure() { found } else { self.seek_surely(key) }
    }

    #[cold]
    fn seek_surely(&self, key: O::Key<'_>) -> Option<&[u8]> {
        self.find(key).ok().map(|(_, entry)| entry)
    }

    /// For the way down to a key; the only leaf takes none.
    #[inline]
    fn head(&self, key: O::Key<'_>) -> Head {
        match self.root {
            Root::Inner(Some(_)) => O::head(key),
            _ => NO_HEAD,
        }
    }

    /// The leaf at the end of a way down, of which each step is told.
    fn leaf_by(&self, step: impl FnMut(&Inner) -> usize) -> Option<&[u8]> {
        match &self.root {
            Root::Leaf(block) => Some(only(block)),
            Root::Inner(node) => way_down(node.as_ref()?, step),
        }
    }

    /// The first entry that is `wanted`, whatever their order.
    pub(super) fn scan(&self, wanted: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        match &self.root {
            Root::Leaf(block) => entries(block).find(|entry| wanted(entry)),
            Root::Inner(node) => scan(node.as_ref()?, &wanted),
        }
    }

    /// Whether both have the same entries in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.len == other.len && (self.is_untouched(other) || self.iter().eq(other.iter()))
    }

    /// Whether `later` is a clone of this tree that was not edited since, in constant time.
    pub(super) fn is_untouched(&self, later: &Self) -> bool {
        match (&self.root, &later.root) {
            (Root::Leaf(own), Root::Leaf(later)) => own.is_same(later),
            (Root::Inner(Some(own)), Root::Inner(Some(later))) => own.is(later),
            (Root::Inner(None), Root::Inner(None)) => true,
            _ => false,
        }
    }

    /// All entries.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The entries from this place on.
    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter::new(&self.root, self.len, index)
    }

    /// Puts an entry at this place; those from there on move up. A place behind the end is the end.
    pub(super) fn insert(&mut self, index: usize, entry: &[u8]) {
        self.splice(index.min(self.len), false, Some(entry));
    }

    /// Exchanges the entry at this place.
    pub(super) fn replace(&mut self, index: usize, entry: &[u8]) {
        if index < self.len {
            self.splice(index, true, Some(entry));
        }
    }

    /// Removes the entry at one place and puts another one at a second place, counted as the places
    /// were before.
    pub(super) fn replace_at(&mut self, from: usize, to: usize, entry: &[u8]) {
        if from == to || from + 1 == to {
            return self.replace(from, entry);
        }
        if let Root::Leaf(block) = &self.root
            && let Some(moved) = moved_in_leaf(block, from, to, entry)
        {
            self.bytes = moved.len();
            self.root = Root::Leaf(moved);
            return;
        }
        self.remove(from);
        self.insert(if from < to { to - 1 } else { to }, entry);
    }

    /// Removes the entry at this place.
    pub(super) fn remove(&mut self, index: usize) {
        if index < self.len {
            self.splice(index, true, None);
        }
    }

    fn splice(&mut self, index: usize, remove: bool, insert: Option<&[u8]>) {
        let mut change = Change { remove, insert, grown: 0, shrunk: 0 };
        self.root = match std::mem::replace(&mut self.root, Root::Inner(None)) {
            Root::Inner(None) => {
                *self = insert.into_iter().collect();
                return;
            }
            Root::Leaf(block) => splice_leaf(&block, index, &mut change, |parts| {
                if total(parts) <= LEAF_BYTES {
                    return Root::Leaf(Block::joined(parts).into());
                }
                Root::Inner(Some(Node::node(Inner::new::<O>(cut(parts)))))
            }),
            Root::Inner(Some(mut node)) => {
                let siblings = splice::<O>(&mut node, index, &mut change);
                if !siblings.is_empty() {
                    let below: usize = siblings.iter().map(|child| child.len).sum();
                    let len = self.len + usize::from(insert.is_some()) - usize::from(remove);
                    let first = Child { node, len: len - below };
                    node = Node::node(Inner::new::<O>([first].into_iter().chain(siblings)));
                }
                Root::Inner(Some(node))
            }
        };
        self.bytes = self.bytes + change.grown - change.shrunk;
        self.len = self.len + usize::from(insert.is_some()) - usize::from(remove);
        self.collapse();
    }

    /// Removes the entries of a range of places.
    pub(super) fn remove_range(&mut self, range: Range<usize>) {
        let range = range.start.min(self.len)..range.end.min(self.len);
        if range.len() < 2 {
            return range.into_iter().for_each(|index| self.remove(index));
        }
        self.bytes -= match &mut self.root {
            Root::Inner(None) => 0,
            Root::Leaf(block) => {
                let (start, end) = (offset(block, range.start), offset(block, range.end));
                *block = Block::joined(&[&block[..start], &block[end..]]).into();
                end - start
            }
            Root::Inner(Some(node)) => remove_range::<O>(node, range.clone()),
        };
        self.len -= range.len();
        self.collapse();
    }

    /// Takes away inner nodes that have only one child, or none.
    fn collapse(&mut self) {
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        while let Root::Inner(Some(node)) = &self.root {
            let root = match node.view() {
                View::Node(inner) => match (inner.node(0), inner.node(1)) {
                    (Some(only), None) => Root::Inner(Some(only.clone())),
                    _ => return,
                },
                View::Bytes(leaf) => Root::Leaf(leaf.into()),
            };
            self.root = root;
        }
    }
}

/// The first entry below that is `wanted`. A way through that keeps its place would allocate.
fn scan<'a>(node: &'a Node, wanted: &impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    match node.view() {
        View::Bytes(leaf) => entries(leaf).find(|entry| wanted(entry)),
        View::Node(inner) => inner.nodes().find_map(|node| scan(node, wanted)),
    }
}

/// What a splice does to a leaf, and what became of the bytes.
struct Change<'a> {
    remove: bool,
    insert: Option<&'a [u8]>,
    grown: usize,
    shrunk: usize,
}

/// Changes one place below and returns the nodes that now follow this one.
fn splice<O: Order>(node: &mut Node, index: usize, change: &mut Change<'_>) -> Siblings {
    let (at, index) = match node.view() {
        View::Bytes(leaf) => {
            let (first, siblings) = splice_leaf(leaf, index, change, |parts| {
                if total(parts) <= LEAF_BYTES {
                    return (Node::joined(parts), Siblings::new());
                }
                let mut all = cut(parts).into_iter();
                let first = all.next().map_or_else(|| Node::joined(parts), |child| child.node);
                (first, all.collect())
            });
            *node = first;
            return siblings;
        }
        View::Node(inner) => {
            if node.is_shared() {
                inner.foresee_counts();
            }
            inner.locate(index, !change.remove)
        }
    };
    let Some(inner) = node.node_mut() else { return Siblings::new() };
    let before = inner.len_of(at);
    let Some(child) = inner.node_mut(at) else { return Siblings::new() };
    let siblings = splice::<O>(child, index, change);
    let moved = siblings.iter().map(|child| child.len).sum::<usize>();
    let len = before + usize::from(change.insert.is_some()) - usize::from(change.remove) - moved;
    if len == 0 {
        inner.remove(at);
        return Siblings::new();
    }
    inner.set_len(at, len);
    let behind = inner.edited::<O>(at, index == 0, siblings);
    if change.shrunk > change.grown {
        merge_around::<O>(inner, at);
    }
    behind.into_iter().collect()
}

/// Removes places below and returns how many bytes went with them.
fn remove_range<O: Order>(node: &mut Node, range: Range<usize>) -> usize {
    let Some(inner) = node.node_mut() else {
        let View::Bytes(leaf) = node.view() else { return 0 };
        let (start, end) = (offset(leaf, range.start), offset(leaf, range.end));
        *node = Node::joined(&[&leaf[..start], &leaf[end..]]);
        return end - start;
    };
    let (mut removed, mut before) = (0, 0);
    inner.retain::<O>(|child| {
        let start = range.start.max(before);
        let end = range.end.min(before + child.len);
        let local = start.saturating_sub(before)..end.saturating_sub(before);
        before += child.len;
        if local.is_empty() {
            return true;
        }
        child.len -= local.len();
        if child.len == 0 {
            removed += bytes(&child.node);
            return false;
        }
        removed += remove_range::<O>(&mut child.node, local);
        true
    });
    for at in (0..inner.count()).rev() {
        merge_around::<O>(inner, at);
    }
    removed
}

/// Bytes of all leaves below.
fn bytes(node: &Node) -> usize {
    match node.view() {
        View::Bytes(leaf) => leaf.len(),
        View::Node(inner) => inner.nodes().map(bytes).sum(),
    }
}

/// The only leaf, all of which is asked for at once.
#[inline]
fn only(block: &Bytes) -> &[u8] {
    block.fetch(block.len());
    block
}

/// The leaf at the end of a way down. What may be looked at is asked for at once, before anything
/// of it is known.
#[inline(always)]
fn way_down(mut node: &Node, mut step: impl FnMut(&Inner) -> usize) -> Option<&[u8]> {
    loop {
        if node.is_node() {
            node.fetch::<SEEN_BYTES>();
        } else {
            node.fetch::<LEAF_BYTES>();
        }
        match node.view() {
            View::Bytes(leaf) => return Some(leaf),
            View::Node(inner) => node = inner.node(step(inner))?,
        }
    }
}

/// How an entry compares to a key with this lead.
#[inline(always)]
fn order_of<O: Order>(entry: &[u8], lead: u64, key: O::Key<'_>) -> Ordering {
    let own = O::key(entry);
    O::lead(own).cmp(&lead).then_with(|| O::compare(own, key))
}

/// What is sought in a leaf that so many entries are before.
fn find_in(
    block: &[u8],
    mut before: usize,
    mut order: impl FnMut(&[u8]) -> Ordering,
) -> Result<(usize, &[u8]), usize> {
    for entry in entries(block) {
        match order(entry) {
            Ordering::Less => before += 1,
            Ordering::Equal => return Ok((before, entry)),
            Ordering::Greater => break,
        }
    }
    Err(before)
}

/// Merges a child with its neighbours where they are small enough together.
fn merge_around<O: Order>(inner: &mut Inner, at: usize) {
    // Most are not; and a look at the neighbours would have to wait for them.
    let is_small = |node: &Node| match node.view() {
        View::Bytes(leaf) => leaf.len() <= MERGED_BYTES,
        View::Node(inner) => inner.count() <= MERGED_FANOUT,
    };
    if !inner.node(at).is_some_and(is_small) {
        return;
    }
    for at in [at, at.wrapping_sub(1)] {
        let (Some(left), Some(right)) = (inner.node(at), inner.node(at.wrapping_add(1))) else {
            continue;
        };
        let node = match (left.view(), right.view()) {
            (View::Bytes(a), View::Bytes(b)) if a.len() + b.len() <= MERGED_BYTES => {
                Node::joined(&[a, b])
            }
            (View::Node(a), View::Node(b)) if a.count() + b.count() <= MERGED_FANOUT => {
                Node::node(a.both::<O>(b))
            }
            _ => continue,
        };
        inner.merge(at, node);
    }
}

/// `put` is handed the parts of the leaf that takes the place of a leaf.
fn splice_leaf<R>(
    block: &[u8],
    index: usize,
    change: &mut Change<'_>,
    put: impl FnOnce(&[&[u8]; 4]) -> R,
) -> R {
    let start = offset(block, index);
    let end = if change.remove { start + offset(&block[start..], 1) } else { start };
    let (before, after) = (&block[..start], &block[end..]);
    change.shrunk = end - start;
    let Some(entry) = change.insert else { return put(&[before, &[], &[], after]) };
    let length = Length::of(entry.len());
    change.grown = length.len() + entry.len();
    put(&[before, &length, entry, after])
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The leaf that takes the place of a leaf where an entry goes and another one comes elsewhere;
/// `None` where it would become too large.
fn moved_in_leaf(block: &[u8], from: usize, to: usize, entry: &[u8]) -> Option<Bytes> {
    let (start, to) = (offset(block, from), offset(block, to));
    let end = start + offset(&block[start..], 1);
    let length = Length::of(entry.len());
    if block.len() - (end - start) + length.len() + entry.len() > LEAF_BYTES {
        return None;
    }
    let moved = if start < to {
        Block::joined(&[&block[..start], &block[end..to], &length, entry, &block[to..]])
    } else {
        Block::joined(&[&block[..to], &length, entry, &block[to..start], &block[end..]])
    };
    Some(moved.into())
}

/// Cuts what is too large for one leaf, the entries before and behind a new one, into leaves of
/// about the same size.
fn cut(parts: &[&[u8]; 4]) -> SmallVec<[Child; 3]> {
    let [before, length, entry, after] = parts;
    let mut leaves = SmallVec::new();
    if before.is_empty() || after.is_empty() {
        // What grows at one end keeps its leaves full.
        for part in [before, &[length, *entry].concat()[..], after] {
            cut_evenly(part, &mut leaves);
        }
    } else {
        cut_evenly(&parts.concat(), &mut leaves);
    }
    leaves
}

fn cut_evenly(block: &[u8], leaves: &mut SmallVec<[Child; 3]>) {
    let enough = block.len().div_ceil(block.len().div_ceil(LEAF_BYTES).max(1));
    let (mut start, mut at) = (0, 0);
    while at < block.len() {
        let next = at + offset(&block[at..], 1).max(1);
        if at > start && (next - start > LEAF_BYTES || at - start >= enough) {
            leaves.push(Child::leaf(&block[start..at]));
            start = at;
        }
        at = next;
    }
    if start < block.len() {
        leaves.push(Child::leaf(&block[start..]));
    }
}

impl<'e, O: Order> FromIterator<&'e [u8]> for Tree<O> {
    /// Builds a tree with full leaves.
    fn from_iter<I: IntoIterator<Item = &'e [u8]>>(all: I) -> Self {
        let mut builder = Builder::default();
        all.into_iter().for_each(|entry| builder.push(entry));
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Depth, and whether counts, sizes and limits are as they should be.
    fn check<O: Order>(tree: &Tree<O>) -> Result<(), TestCaseError> {
        fn walk<O: Order>(
            node: &Node,
            is_root: bool,
        ) -> Result<(usize, usize, usize), TestCaseError> {
            match node.view() {
                View::Bytes(leaf) => {
                    let len = entries(leaf).count();
                    prop_assert!(len > 0, "an empty leaf");
                    prop_assert!(leaf.len() <= LEAF_BYTES || len == 1, "{} bytes", leaf.len());
                    prop_assert!(!is_root, "a part is the only leaf");
                    Ok((1, len, leaf.len()))
                }
                View::Node(inner) => {
                    prop_assert!(inner.tells_apart::<O>());
                    prop_assert!(inner.count() > 0);
                    prop_assert!(!is_root || inner.count() > 1, "a root with one child");
                    let mut sums = (0, 0, 0);
                    for (at, node) in inner.nodes().enumerate() {
                        let (depth, len, bytes) = walk::<O>(node, false)?;
                        prop_assert_eq!(len, inner.len_of(at));
                        prop_assert!(sums.0 == 0 || sums.0 == depth, "leaves at two depths");
                        sums = (depth, sums.1 + len, sums.2 + bytes);
                    }
                    Ok((sums.0 + 1, sums.1, sums.2))
                }
            }
        }
        let sums = match &tree.root {
            Root::Inner(None) => (0, 0),
            Root::Leaf(leaf) => {
                let len = entries(leaf).count();
                prop_assert!(len > 0, "an empty leaf");
                prop_assert!(leaf.len() <= LEAF_BYTES || len == 1, "{} bytes", leaf.len());
                (len, leaf.len())
            }
            Root::Inner(Some(node)) => {
                let (_, len, bytes) = walk::<O>(node, true)?;
                (len, bytes)
            }
        };
        prop_assert_eq!(sums, (tree.len, tree.bytes));
        Ok(())
    }

    fn entry(number: u16) -> Vec<u8> {
        let len = match number % 50 {
            0 => 3000,
            1 => 600,
            n => usize::from(n),
        };
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(len + 2, number as u8);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn behaves_like_a_vector(
            start in 0usize..3000,
            steps in proptest::collection::vec((0u8..10, any::<u16>(), any::<u16>()), 0..300)
        ) {
            let mut model: Vec<Vec<u8>> = (0..start).map(|n| entry(n as u16)).collect();
            let mut tree: Tree = model.iter().map(Vec::as_slice).collect();
            let frozen = (tree.clone(), model.clone());
            for (kind, place, number) in steps {
                let place = usize::from(place) * (model.len() + 1) / 0x1_0000;
                match kind {
                    0..=3 => {
                        model.insert(place, entry(number));
                        tree.insert(place, &entry(number));
                    }
                    4 => {
                        model.push(entry(number));
                        tree.insert(usize::MAX, &entry(number));
                    }
                    5 => {
                        model.insert(0, entry(number));
                        tree.insert(0, &entry(number));
                    }
                    6 if place < model.len() => {
                        model[place] = entry(number);
                        tree.replace(place, &entry(number));
                    }
                    7..=8 if place < model.len() => {
                        model.remove(place);
                        tree.remove(place);
                    }
                    9 => {
                        let end = (place + usize::from(number) % 700).min(model.len());
                        model.drain(place..end);
                        tree.remove_range(place..end);
                    }
                    _ => tree.remove(usize::MAX),
                }
                prop_assert_eq!(tree.len(), model.len());
            }
            for (tree, model) in [(tree, model), frozen] {
                check(&tree)?;
                prop_assert!(tree.iter().eq(model.iter().map(Vec::as_slice)));
                for place in (0..model.len() + 2).step_by(97) {
                    prop_assert_eq!(tree.get(place), model.get(place).map(Vec::as_slice));
                    prop_assert_eq!(tree.iter_from(place).len(), model.len().saturating_sub(place));
                }
            }
        }

        #[test]
        fn finds_what_is_sorted(
            numbers in proptest::collection::btree_set(any::<u16>(), 0..2000),
            edits in proptest::collection::vec(any::<u16>(), 0..1000),
            sought: u16,
            // What all entries begin with, as names of fields do.
            common in 0usize..50,
        ) {
            let name = |number: u16| [&vec![b'n'; common][..], &entry(number)].concat();
            let mut model = numbers;
            let all: Vec<Vec<u8>> = model.iter().map(|number| name(*number)).collect();
            let mut tree: Tree<ByName<Whole>> = all.iter().map(Vec::as_slice).collect();
            for number in edits {
                match tree.find(&name(number)).map(|(at, _)| at) {
                    Ok(at) => {
                        prop_assert!(model.remove(&number));
                        tree.remove(at);
                    }
                    Err(at) => {
                        prop_assert!(model.insert(number));
                        tree.insert(at, &name(number));
                    }
                }
            }
            check(&tree)?;
            prop_assert!(tree.iter().eq(model.iter().map(|number| name(*number))));
            let sorted: Vec<u16> = model.into_iter().collect();
            for sought in sorted.iter().copied().step_by(7).chain([sought]) {
                let wanted = name(sought);
                let place = sorted.binary_search(&sought);
                let itself = place.ok().map(|_| &wanted[..]);
                prop_assert_eq!(tree.find(&wanted), place.map(|at| (at, &wanted[..])));
                prop_assert_eq!(tree.find_by(|entry| entry.cmp(&wanted)), place);
                prop_assert_eq!(tree.seek(&wanted), itself);
                prop_assert_eq!(tree.scan(|entry| entry == wanted), itself);
            }
            for other in [&b""[..], b"m", b"nnn", b"o", &wanted_behind(common)] {
                let behind = tree.iter().take_while(|entry| *entry < other).count();
                prop_assert_eq!(tree.find(other), Err(behind));
                prop_assert_eq!(tree.seek(other), None);
            }
        }

        #[test]
        fn finds_names_that_hardly_differ(
            names in proptest::collection::btree_set(
                proptest::collection::vec(0_u8..3, 0..40).prop_map(|pieces| {
                    // Runs of what windows and heads are filled with, too.
                    pieces.iter().flat_map(|piece| match piece {
                        0 => [0; 3],
                        1 => [0xff; 3],
                        _ => [b'n', 0x7f, 0xff],
                    }).collect::<Vec<u8>>()
                }),
                0..600
            ),
            begins in proptest::collection::vec(any::<bool>(), 0..8),
        ) {
            // One half is there, the other half is sought and is not.
            let begin: Vec<u8> = begins.iter().flat_map(|all| [u8::from(*all) * 0xff; 4]).collect();
            let all: Vec<Vec<u8>> = names.iter().map(|name| [&begin[..], name].concat()).collect();
            let there = || all.iter().step_by(2).map(Vec::as_slice);
            let built: Tree<ByName<Whole>> = there().collect();
            let mut grown: Tree<ByName<Whole>> = Tree::default();
            for name in there() {
                let place = grown.find(name).unwrap_err();
                grown.insert(place, name);
            }
            for tree in [built, grown] {
                check(&tree)?;
                for (at, name) in all.iter().enumerate() {
                    let itself = (at % 2 == 0).then_some(&name[..]);
                    prop_assert_eq!(tree.seek(name), itself);
                    prop_assert_eq!(tree.find(name).ok(), itself.map(|name| (at / 2, name)));
                }
            }
        }
    }

    /// Begins with what all names begin with, and is behind them.
    fn wanted_behind(common: usize) -> Vec<u8> {
        [&vec![b'n'; common][..], &[0xff; 5]].concat()
    }

    #[test]
    fn an_edit_loses_little_of_what_was_there_and_another_tree_all() {
        let build = || (0..50_000_u32).map(u32::to_be_bytes);
        let all: Vec<[u8; 4]> = build().collect();
        let tree: Tree = all.iter().map(|entry| &entry[..]).collect();
        assert_eq!(tree.lost_to(&tree.clone()), 0);
        let other: Tree = all.iter().map(|entry| &entry[..]).collect();
        let lost = tree.lost_to(&other);
        assert!((tree.memory() / 2..tree.memory() * 2).contains(&lost), "{lost}");
        for place in [0, 1, 7_000, 25_000, 49_999] {
            let path = 4 * (size_of::<Inner>() + LEAF_BYTES + LEAF_OVERHEAD);
            let edits: [fn(&mut Tree, usize); 3] =
                [|t, at| t.insert(at, b"entry"), |t, at| t.replace(at, b"7"), Tree::remove];
            for edit in edits {
                let mut later = tree.clone();
                edit(&mut later, place);
                let lost = tree.lost_to(&later);
                assert!((LEAF_BYTES / 2..path).contains(&lost), "{lost} at {place}");
                edit(&mut later, place / 3);
                let both = tree.lost_to(&later);
                assert!((lost..2 * path).contains(&both), "{lost}, then {both} at {place}");
            }
        }
    }

    #[test]
    fn what_grows_at_one_end_has_full_leaves_and_emptying_leaves_nothing() {
        for at in [usize::MAX, 0] {
            let mut tree: Tree = Tree::default();
            for _ in 0..100_000 {
                tree.insert(at, &[7; 20]);
            }
            let Root::Inner(Some(root)) = &tree.root else { panic!("a single leaf") };
            let leaves = leaves(root);
            assert!(tree.bytes / leaves > LEAF_BYTES * 9 / 10 - 30, "{leaves} leaves, at {at}");
            while tree.len() > 0 {
                tree.remove(tree.len() / 2);
            }
            assert!(matches!(tree.root, Root::Inner(None)));
        }
    }

    fn leaves(node: &Node) -> usize {
        match node.view() {
            View::Bytes(_) => 1,
            View::Node(inner) => inner.nodes().map(leaves).sum(),
        }
    }
}
