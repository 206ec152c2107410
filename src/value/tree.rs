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
use crate::memory::Block;
use block::{entries, offset};
use inner::{Children, Inner, MERGED_FANOUT, Siblings};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

pub(super) use block::{LENGTH_BYTES_MAX, Length};
pub(super) use order::{
    ByName, Head, Name, Order, Unordered, Whole, compare_bytes, first_bytes, head_of,
};

pub(super) use builder::Builder;
pub(super) use iter::Iter;

pub use block::{push_length, split_length};

/// A leaf is split when it would grow beyond this many bytes. Large enough for the overhead of a
/// node to be small, small enough for rewriting a leaf to be cheap. An entry that is larger has a
/// leaf of its own, so that its neighbours' edits don't copy it.
pub(super) const LEAF_BYTES: usize = 1024;

/// What a leaf takes besides its entries: the counts of its block, the allocator's, its place in
/// the node above.
const LEAF_OVERHEAD: usize = 80;

/// Neighbours are merged when they fit in this together: less than a leaf, so that they aren't
/// split again at once.
const MERGED_BYTES: usize = LEAF_BYTES * 3 / 4;

/// A sequence of entries.
#[derive(Clone, Debug)]
pub(super) struct Tree<O = Unordered> {
    root: Option<Node>,
    len: usize,
    /// Bytes of all leaves, lengths included.
    bytes: usize,
    order: PhantomData<O>,
}

impl<O> Default for Tree<O> {
    fn default() -> Self {
        Self { root: None, len: 0, bytes: 0, order: PhantomData }
    }
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Bytes),
    Inner(Arc<Inner>),
}

#[derive(Clone, Debug)]
struct Child {
    node: Node,
    /// Not none: so a place for a child takes no more than a child.
    len: NonZeroUsize,
}

impl Child {
    fn new(len: usize, node: Node) -> Self {
        Self { node, len: NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MIN) }
    }

    fn len(&self) -> usize {
        self.len.get()
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
            Some(Node::Leaf(block)) => Some(block),
            _ => None,
        }
    }

    /// A tree of one leaf, which has so many entries.
    pub(super) fn of_leaf(block: Bytes, len: usize) -> Self {
        Self { len, bytes: block.len(), root: Some(Node::Leaf(block)), order: PhantomData }
    }

    /// A tree of these entries, one behind the other as they are in a leaf.
    pub(super) fn of_entries(bytes: &[u8]) -> Self {
        entries(bytes).collect()
    }

    /// About the memory that it takes, in bytes: of its entries with their lengths, and of a share
    /// of its nodes, taking leaves to be three quarters full.
    pub(super) fn memory(&self) -> usize {
        self.bytes + (self.bytes / (LEAF_BYTES * 3 / 4) + 1) * LEAF_OVERHEAD
    }

    /// The entry at this place.
    pub(super) fn get(&self, mut index: usize) -> Option<&[u8]> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Inner(inner) => {
                    let (at, within) = locate(inner.children(), index, false);
                    (node, index) = (&inner.children().get(at)?.node, within);
                }
                Node::Leaf(block) => return entries(block).nth(index),
            }
        }
    }

    /// The place of the entry with this key, and the entry; or the place where it would have to be.
    pub(super) fn find(&self, key: O::Key<'_>) -> Result<(usize, &[u8]), usize> {
        let (mut before, mut node) = (0, self.root.as_ref());
        if let Some(Node::Inner(_)) = node {
            let head = O::head(key);
            while let Some(Node::Inner(inner)) = node {
                node = inner.enter(inner.child_of::<O>(key, &head), &mut before);
            }
        }
        let Some(Node::Leaf(block)) = node else { return Err(before) };
        self.fetch(block);
        let lead = O::lead(key);
        find_in(block, before, |entry| order_of::<O>(entry, lead, key))
    }

    /// The same by an order that only the caller knows: `order` tells how an entry compares to what
    /// is sought. It takes longer in large trees.
    pub(super) fn find_by(&self, mut order: impl FnMut(&[u8]) -> Ordering) -> Result<usize, usize> {
        let (mut before, mut node) = (0, self.root.as_ref());
        while let Some(Node::Inner(inner)) = node {
            node = inner.enter(inner.child_by(&mut order), &mut before);
        }
        let Some(Node::Leaf(block)) = node else { return Err(before) };
        self.fetch(block);
        find_in(block, before, order).map(|(at, _)| at)
    }

    /// The entry with this key.
    pub(super) fn seek(&self, key: O::Key<'_>) -> Option<&[u8]> {
        let mut node = self.root.as_ref()?;
        if let Node::Inner(_) = node {
            let head = O::head(key);
            while let Node::Inner(inner) = node {
                node = &inner.children().get(inner.child_of::<O>(key, &head))?.node;
            }
        }
        let Node::Leaf(block) = node else { return None };
        self.fetch(block);
        let lead = O::lead(key);
        let mut entries = entries(block);
        let found = entries.find_map(|entry| match order_of::<O>(entry, lead, key) {
            Ordering::Less => None,
            Ordering::Equal => Some(Some(entry)),
            Ordering::Greater => Some(None),
        });
        found.flatten()
    }

    /// Asks main memory for all of a leaf.
    #[inline]
    fn fetch(&self, leaf: &Bytes) {
        // How long it is is known of the only one.
        leaf.fetch(self.leaf().map_or(LEAF_BYTES, |leaf| leaf.len()));
    }

    /// The first entry that is `wanted`, whatever their order.
    pub(super) fn scan(&self, wanted: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        self.root.as_ref()?.scan(&wanted)
    }

    /// Whether both have the same entries in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            _ if self.len != other.len => false,
            (Some(Node::Inner(a)), Some(Node::Inner(b))) if Arc::ptr_eq(a, b) => true,
            _ => self.iter().eq(other.iter()),
        }
    }

    /// Whether `later` is a clone of this tree that was not edited since, in constant time.
    pub(super) fn is_untouched(&self, later: &Self) -> bool {
        match (&self.root, &later.root) {
            (Some(own), Some(later)) => own.is(later),
            (own, later) => own.is_none() && later.is_none(),
        }
    }

    /// All entries.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The entries from this place on.
    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter::new(self.root.as_ref(), self.len, index)
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
        if let Some(Node::Leaf(block)) = &self.root
            && let Some(moved) = moved_in_leaf(block, from, to, entry)
        {
            self.bytes = moved.len();
            self.root = Some(Node::Leaf(moved));
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
        let Some(mut root) = self.root.take() else {
            *self = insert.into_iter().collect();
            return;
        };
        let siblings = root.splice::<O>(index, &mut change);
        self.bytes = self.bytes + change.grown - change.shrunk;
        self.len = self.len + usize::from(insert.is_some()) - usize::from(remove);
        self.root = Some(if siblings.is_empty() {
            root
        } else {
            let below: usize = siblings.iter().map(Child::len).sum();
            let first = Child::new(self.len - below, root);
            Node::Inner(Arc::new(Inner::new::<O>([first].into_iter().chain(siblings))))
        });
        self.collapse();
    }

    /// Removes the entries of a range of places.
    pub(super) fn remove_range(&mut self, range: Range<usize>) {
        let range = range.start.min(self.len)..range.end.min(self.len);
        if range.len() < 2 {
            return range.into_iter().for_each(|index| self.remove(index));
        }
        if let Some(root) = &mut self.root {
            self.bytes -= root.remove_range::<O>(range.clone());
            self.len -= range.len();
        }
        self.collapse();
    }

    /// Takes away inner nodes that have only one child, or none.
    fn collapse(&mut self) {
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        while let Some(Node::Inner(inner)) = &self.root {
            let mut children = inner.children().iter();
            let (Some(only), None) = (children.next(), children.next()) else { return };
            self.root = Some(only.node.clone());
        }
    }
}

/// What a splice does to a leaf, and what became of the bytes.
struct Change<'a> {
    remove: bool,
    insert: Option<&'a [u8]>,
    grown: usize,
    shrunk: usize,
}

impl Node {
    /// The first entry below.
    #[inline(never)]
    fn first(&self) -> Option<&[u8]> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(block) => return entries(block).next(),
                Self::Inner(inner) => node = &inner.children().get(0)?.node,
            }
        }
    }

    fn scan(&self, wanted: &impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        match self {
            Self::Leaf(block) => entries(block).find(|entry| wanted(entry)),
            Self::Inner(inner) => inner.children().iter().find_map(|child| child.node.scan(wanted)),
        }
    }

    /// Changes one place below and returns the nodes that now follow this one.
    fn splice<O: Order>(&mut self, index: usize, change: &mut Change<'_>) -> Siblings {
        match self {
            Self::Leaf(block) => {
                let (first, siblings) = splice_leaf(block, index, change);
                *block = first;
                siblings
            }
            Self::Inner(inner) => {
                let (at, index) = locate(inner.children(), index, !change.remove);
                if Arc::strong_count(inner) > 1 {
                    inner.foresee_clone();
                }
                let inner = Arc::make_mut(inner);
                let Some(child) = inner.child_mut(at) else { return Siblings::new() };
                let siblings = child.node.splice::<O>(index, change);
                let new = child.len() + usize::from(change.insert.is_some());
                let gone = usize::from(change.remove);
                let moved = siblings.iter().map(Child::len).sum::<usize>();
                let Some(len) = NonZeroUsize::new(new - gone - moved) else {
                    inner.remove(at);
                    return Siblings::new();
                };
                child.len = len;
                let behind = inner.edited::<O>(at, index == 0, siblings);
                if change.shrunk > change.grown {
                    merge_around::<O>(inner, at);
                }
                behind.into_iter().collect()
            }
        }
    }

    /// Removes places below and returns how many bytes went with them.
    fn remove_range<O: Order>(&mut self, range: Range<usize>) -> usize {
        match self {
            Self::Leaf(block) => {
                let (start, end) = (offset(block, range.start), offset(block, range.end));
                *block = joined(&[&block[..start], &block[end..]]);
                end - start
            }
            Self::Inner(inner) => {
                let mut removed = 0;
                let mut before = 0;
                let inner = Arc::make_mut(inner);
                inner.retain::<O>(|child| {
                    let start = range.start.max(before);
                    let end = range.end.min(before + child.len());
                    let local = start.saturating_sub(before)..end.saturating_sub(before);
                    before += child.len();
                    if local.is_empty() {
                        return true;
                    }
                    let Some(len) = NonZeroUsize::new(child.len() - local.len()) else {
                        removed += child.node.bytes();
                        return false;
                    };
                    child.len = len;
                    removed += child.node.remove_range::<O>(local);
                    true
                });
                for at in (0..inner.children().len()).rev() {
                    merge_around::<O>(inner, at);
                }
                removed
            }
        }
    }

    /// Bytes of all leaves below.
    fn bytes(&self) -> usize {
        match self {
            Self::Leaf(block) => block.len(),
            Self::Inner(inner) => inner.children().iter().map(|child| child.node.bytes()).sum(),
        }
    }
}

impl Inner {
    /// The child at this place; `before` grows by how many entries are before it.
    fn enter(&self, at: usize, before: &mut usize) -> Option<&Node> {
        let passed = self.children().iter().take(at);
        *before += passed.map(Child::len).sum::<usize>();
        self.children().get(at).map(|child| &child.node)
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

/// The child that an index falls to, and the index within it. With `between`, for something that
/// is put between two places, a border belongs to the child before it.
fn locate(children: &Children, mut index: usize, between: bool) -> (usize, usize) {
    let (mut last, mut len) = (0, 0);
    for (at, child) in children.iter().enumerate() {
        if index < child.len() || (between && index == child.len()) {
            return (at, index);
        }
        index -= child.len();
        (last, len) = (at, child.len());
    }
    (last, len)
}

/// Merges a child with its neighbours where they are small enough together.
fn merge_around<O: Order>(inner: &mut Inner, at: usize) {
    // Most are not; and a look at the neighbours would have to wait for them.
    let is_small = |child: &Child| match &child.node {
        Node::Leaf(leaf) => leaf.len() <= MERGED_BYTES,
        Node::Inner(inner) => inner.children().len() <= MERGED_FANOUT,
    };
    if !inner.children().get(at).is_some_and(is_small) {
        return;
    }
    for at in [at, at.wrapping_sub(1)] {
        let children = inner.children();
        let (Some(left), Some(right)) = (children.get(at), children.get(at.wrapping_add(1))) else {
            continue;
        };
        let node = match (&left.node, &right.node) {
            (Node::Leaf(a), Node::Leaf(b)) if a.len() + b.len() <= MERGED_BYTES => {
                Node::Leaf(joined(&[a, b]))
            }
            (Node::Inner(a), Node::Inner(b))
                if a.children().len() + b.children().len() <= MERGED_FANOUT =>
            {
                let both = a.children().iter().chain(b.children().iter()).cloned();
                Node::Inner(Arc::new(Inner::new::<O>(both)))
            }
            _ => continue,
        };
        let len = left.len() + right.len();
        inner.merge(at, Child::new(len, node));
    }
}

/// The leaf that takes the place of a leaf, and those behind it where it would become too large.
fn splice_leaf(block: &[u8], index: usize, change: &mut Change<'_>) -> (Bytes, Siblings) {
    let start = offset(block, index);
    let end = if change.remove { start + offset(&block[start..], 1) } else { start };
    let (before, after) = (&block[..start], &block[end..]);
    change.shrunk = end - start;
    let Some(entry) = change.insert else {
        return (joined(&[before, after]), Siblings::new());
    };
    let length = Length::of(entry.len());
    change.grown = length.len() + entry.len();
    if before.len() + change.grown + after.len() <= LEAF_BYTES {
        return (joined(&[before, &length, entry, after]), Siblings::new());
    }
    let mut parts = if before.is_empty() || after.is_empty() {
        // What grows at one end keeps its leaves full.
        let middle = joined(&[&length, entry]);
        let ends = [before, after].map(|end| (!end.is_empty()).then(|| Bytes::from(end)));
        let [before, after] = ends;
        before.into_iter().chain([middle]).chain(after).collect()
    } else {
        cut(&[before, &length, entry, after].concat())
    }
    .into_iter();
    let first = parts.next().unwrap_or_default();
    let siblings = parts.map(|block| Child::new(entries(&block).count(), Node::Leaf(block)));
    (first, siblings.collect())
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
    Some(if start < to {
        joined(&[&block[..start], &block[end..to], &length, entry, &block[to..]])
    } else {
        joined(&[&block[..to], &length, entry, &block[to..start], &block[end..]])
    })
}

/// A leaf of these parts.
fn joined(parts: &[&[u8]]) -> Bytes {
    Block::joined(parts).into()
}

/// Cuts a block into leaves: two of about the same size, or three where large entries need it.
fn cut(block: &[u8]) -> Vec<Bytes> {
    let mut parts: Vec<Bytes> = Vec::with_capacity(3);
    let (mut start, mut at) = (0, 0);
    while at < block.len() {
        let next = at + offset(&block[at..], 1).max(1);
        let is_half = parts.is_empty() && 2 * at >= block.len();
        if at > start && (next - start > LEAF_BYTES || is_half) {
            parts.push(block[start..at].into());
            start = at;
        }
        at = next;
    }
    parts.push(block[start..].into());
    parts
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
            match node {
                Node::Leaf(block) => {
                    let len = entries(block).count();
                    prop_assert!(len > 0, "an empty leaf");
                    prop_assert!(block.len() <= LEAF_BYTES || len == 1, "{} bytes", block.len());
                    Ok((1, len, block.len()))
                }
                Node::Inner(inner) => {
                    let children = inner.children();
                    prop_assert!(inner.tells_apart::<O>());
                    prop_assert!(children.len() > 0);
                    prop_assert!(!is_root || children.len() > 1, "a root with one child");
                    let mut sums = (0, 0, 0);
                    for child in children.iter() {
                        let (depth, len, bytes) = walk::<O>(&child.node, false)?;
                        prop_assert_eq!(len, child.len());
                        prop_assert!(sums.0 == 0 || sums.0 == depth, "leaves at two depths");
                        sums = (depth, sums.1 + len, sums.2 + bytes);
                    }
                    Ok((sums.0 + 1, sums.1, sums.2))
                }
            }
        }
        if let Some(root) = &tree.root {
            let (_, len, bytes) = walk::<O>(root, true)?;
            prop_assert_eq!((len, bytes), (tree.len, tree.bytes));
        } else {
            prop_assert_eq!((tree.len, tree.bytes), (0, 0));
        }
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
            let leaves = leaves(tree.root.as_ref().unwrap());
            assert!(tree.bytes / leaves > LEAF_BYTES * 9 / 10 - 30, "{leaves} leaves, at {at}");
            while tree.len() > 0 {
                tree.remove(tree.len() / 2);
            }
            assert!(tree.root.is_none());
        }
    }

    fn leaves(node: &Node) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Inner(inner) => inner.children().iter().map(|c| leaves(&c.node)).sum(),
        }
    }
}
