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

use super::Bytes;
use block::{Entries, entries, offset, push};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

pub(super) use block::{LENGTH_BYTES_MAX, length_len};
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

/// Children of an inner node.
const FANOUT: usize = 32;

/// Inner neighbours are merged when they have no more children than this together.
const MERGED_FANOUT: usize = FANOUT * 3 / 4;

/// A sequence of entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    root: Option<Node>,
    len: usize,
    /// Bytes of all leaves, lengths included.
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Bytes),
    Inner(Arc<Vec<Child>>),
}

#[derive(Clone, Debug)]
struct Child {
    node: Node,
    len: usize,
}

impl Tree {
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
        Self { len, bytes: block.len(), root: Some(Node::Leaf(block)) }
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
                Node::Inner(children) => {
                    let (at, within) = locate(children, index, false);
                    (node, index) = (&children.get(at)?.node, within);
                }
                Node::Leaf(block) => return entries(block).nth(index),
            }
        }
    }

    /// The place of the entry for which `order` says equal, or the place where it would have to be.
    /// `order` tells how an entry compares to what is sought.
    pub(super) fn find(&self, mut order: impl FnMut(&[u8]) -> Ordering) -> Result<usize, usize> {
        let Some((mut before, leaf)) = self.leaf_of(&mut order) else { return Err(0) };
        for entry in leaf {
            match order(entry) {
                Ordering::Less => before += 1,
                Ordering::Equal => return Ok(before),
                Ordering::Greater => break,
            }
        }
        Err(before)
    }

    /// The entry for which `order` says equal, in one way down.
    pub(super) fn seek(&self, mut order: impl FnMut(&[u8]) -> Ordering) -> Option<&[u8]> {
        let (_, leaf) = self.leaf_of(&mut order)?;
        let mut placed = leaf.map(|entry| (order(entry), entry));
        let (place, entry) = placed.find(|(place, _)| place.is_ge())?;
        place.is_eq().then_some(entry)
    }

    /// The leaf where something would have to be, and how many entries are before it.
    fn leaf_of(&self, order: &mut impl FnMut(&[u8]) -> Ordering) -> Option<(usize, Entries<'_>)> {
        let mut before = 0;
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Inner(children) => {
                    let behind = children.partition_point(|child| {
                        child.node.first().is_some_and(|first| order(first) != Ordering::Greater)
                    });
                    let at = behind.saturating_sub(1);
                    before += children.iter().take(at).map(|child| child.len).sum::<usize>();
                    node = &children.get(at)?.node;
                }
                Node::Leaf(block) => return Some((before, entries(block))),
            }
        }
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
            (None, None) => true,
            (Some(Node::Leaf(a)), Some(Node::Leaf(b))) => a.is_same(b),
            (Some(Node::Inner(a)), Some(Node::Inner(b))) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// All entries.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The entries from this place on.
    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        let mut iter = Iter { stack: Vec::new(), leaf: entries(&[]), left: 0 };
        if index < self.len {
            iter.left = self.len - index;
            iter.descend(self.root.as_ref(), index);
        }
        iter
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
        let split = root.splice(index, &mut change);
        self.bytes = self.bytes + change.grown - change.shrunk;
        self.len = self.len + usize::from(insert.is_some()) - usize::from(remove);
        self.root = Some(match split {
            None => root,
            Some(mut siblings) => {
                let below: usize = siblings.iter().map(|child| child.len).sum();
                siblings.insert(0, Child { node: root, len: self.len - below });
                Node::Inner(Arc::new(siblings))
            }
        });
        self.collapse();
    }

    /// Removes the entries of a range of places.
    pub(super) fn remove_range(&mut self, range: Range<usize>) {
        let range = range.start.min(self.len)..range.end.min(self.len);
        if range.is_empty() {
            return;
        }
        if let Some(root) = &mut self.root {
            self.bytes -= root.remove_range(range.clone());
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
        while let Some(Node::Inner(children)) = &self.root {
            let [only] = children.as_slice() else { return };
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
    fn first(&self) -> Option<&[u8]> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(block) => return entries(block).next(),
                Self::Inner(children) => node = &children.first()?.node,
            }
        }
    }

    fn scan(&self, wanted: &impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        match self {
            Self::Leaf(block) => entries(block).find(|entry| wanted(entry)),
            Self::Inner(children) => children.iter().find_map(|child| child.node.scan(wanted)),
        }
    }

    /// Changes one place below and returns the nodes that now follow this one.
    fn splice(&mut self, index: usize, change: &mut Change<'_>) -> Option<Vec<Child>> {
        match self {
            Self::Leaf(block) => {
                let mut blocks = splice_leaf(block, index, change).into_iter();
                *block = blocks.next()?;
                let siblings: Vec<Child> = blocks
                    .map(|block| Child { len: entries(&block).count(), node: Self::Leaf(block) })
                    .collect();
                (!siblings.is_empty()).then_some(siblings)
            }
            Self::Inner(children) => {
                let children = Arc::make_mut(children);
                let (at, index) = locate(children, index, !change.remove);
                let child = children.get_mut(at)?;
                let siblings = child.node.splice(index, change).unwrap_or_default();
                child.len += usize::from(change.insert.is_some());
                child.len -= usize::from(change.remove);
                child.len -= siblings.iter().map(|sibling| sibling.len).sum::<usize>();
                if child.len == 0 {
                    children.remove(at);
                    return None;
                }
                let behind = at + 1 + siblings.len();
                children.splice(at + 1..at + 1, siblings);
                if change.remove {
                    merge_around(children, at);
                }
                split_children(children, behind)
            }
        }
    }

    /// Removes places below and returns how many bytes went with them.
    fn remove_range(&mut self, range: Range<usize>) -> usize {
        match self {
            Self::Leaf(block) => {
                let (start, end) = (offset(block, range.start), offset(block, range.end));
                *block = [&block[..start], &block[end..]].concat().into();
                end - start
            }
            Self::Inner(children) => {
                let mut removed = 0;
                let mut before = 0;
                let children = Arc::make_mut(children);
                children.retain_mut(|child| {
                    let start = range.start.max(before);
                    let end = range.end.min(before + child.len);
                    let local = start.saturating_sub(before)..end.saturating_sub(before);
                    before += child.len;
                    if local.is_empty() {
                        return true;
                    }
                    if local.len() == child.len {
                        removed += child.node.bytes();
                        return false;
                    }
                    child.len -= local.len();
                    removed += child.node.remove_range(local);
                    true
                });
                for at in (0..children.len()).rev() {
                    merge_around(children, at);
                }
                removed
            }
        }
    }

    /// Bytes of all leaves below.
    fn bytes(&self) -> usize {
        match self {
            Self::Leaf(block) => block.len(),
            Self::Inner(children) => children.iter().map(|child| child.node.bytes()).sum(),
        }
    }
}

/// The child that an index falls to, and the index within it. With `between`, for something that
/// is put between two places, a border belongs to the child before it.
fn locate(children: &[Child], mut index: usize, between: bool) -> (usize, usize) {
    for (at, child) in children.iter().enumerate() {
        if index < child.len || (between && index == child.len) {
            return (at, index);
        }
        index -= child.len;
    }
    (children.len().saturating_sub(1), children.last().map_or(0, |child| child.len))
}

/// Cuts a node's children in two where they are too many. `behind` is the place behind those that
/// are new: what grows at its end is not cut in the middle, so that its nodes stay full.
fn split_children(children: &mut Vec<Child>, behind: usize) -> Option<Vec<Child>> {
    if children.len() <= FANOUT {
        return None;
    }
    let at = if behind == children.len() { FANOUT } else { children.len() / 2 };
    let right = children.split_off(at);
    let len = right.iter().map(|child| child.len).sum();
    Some(vec![Child { node: Node::Inner(Arc::new(right)), len }])
}

/// Merges a child with its neighbours where they are small enough together.
fn merge_around(children: &mut Vec<Child>, at: usize) {
    for at in [at, at.wrapping_sub(1)] {
        let (Some(left), Some(right)) = (children.get(at), children.get(at.wrapping_add(1))) else {
            continue;
        };
        let node = match (&left.node, &right.node) {
            (Node::Leaf(a), Node::Leaf(b)) if a.len() + b.len() <= MERGED_BYTES => {
                Node::Leaf([&a[..], &b[..]].concat().into())
            }
            (Node::Inner(a), Node::Inner(b)) if a.len() + b.len() <= MERGED_FANOUT => {
                Node::Inner(Arc::new(a.iter().chain(b.iter()).cloned().collect()))
            }
            _ => continue,
        };
        let len = left.len + right.len;
        children.splice(at..at + 2, [Child { node, len }]);
    }
}

/// The blocks that take the place of a leaf: more than one where it would become too large.
fn splice_leaf(block: &[u8], index: usize, change: &mut Change<'_>) -> Vec<Bytes> {
    let start = offset(block, index);
    let end = if change.remove { start + offset(&block[start..], 1) } else { start };
    let (before, after) = (&block[..start], &block[end..]);
    change.shrunk = end - start;
    let Some(entry) = change.insert else {
        return vec![[before, after].concat().into()];
    };
    let mut middle = Vec::with_capacity(entry.len() + LENGTH_BYTES_MAX);
    push(&mut middle, entry);
    change.grown = middle.len();
    if before.len() + middle.len() + after.len() <= LEAF_BYTES {
        return vec![[before, &middle, after].concat().into()];
    }
    if before.is_empty() || after.is_empty() {
        // What grows at one end keeps its leaves full.
        let parts = [before, &middle, after].into_iter().filter(|part| !part.is_empty());
        return parts.map(Bytes::from).collect();
    }
    cut(&[before, &middle, after].concat())
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

/// Entries in their order.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    /// What is still to come on each level above the leaf in hand.
    stack: Vec<std::slice::Iter<'a, Child>>,
    leaf: Entries<'a>,
    left: usize,
}

impl<'a> Iter<'a> {
    fn descend(&mut self, node: Option<&'a Node>, mut index: usize) {
        let Some(mut node) = node else { return };
        loop {
            match node {
                Node::Leaf(block) => {
                    self.leaf = entries(block);
                    for _ in 0..index {
                        self.leaf.next();
                    }
                    return;
                }
                Node::Inner(children) => {
                    let (at, within) = locate(children, index, false);
                    let mut rest = children[at..].iter();
                    let Some(child) = rest.next() else { return };
                    self.stack.push(rest);
                    (node, index) = (&child.node, within);
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(entry) = self.leaf.next() {
                self.left -= 1;
                return Some(entry);
            }
            match self.stack.last_mut()?.next() {
                Some(child) => self.descend(Some(&child.node), 0),
                None => drop(self.stack.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'e> FromIterator<&'e [u8]> for Tree {
    /// Builds a tree with full leaves.
    fn from_iter<I: IntoIterator<Item = &'e [u8]>>(all: I) -> Self {
        let mut builder = Builder::default();
        all.into_iter().for_each(|entry| builder.push(entry));
        builder.finish()
    }
}

/// Builds a tree from its first entry to its last.
#[derive(Debug, Default)]
pub(super) struct Builder {
    leaves: Vec<Child>,
    block: Vec<u8>,
    len: usize,
    all: usize,
    bytes: usize,
}

impl Builder {
    /// Adds an entry behind the others.
    pub(super) fn push(&mut self, entry: &[u8]) {
        if !self.block.is_empty() && self.block.len() + entry.len() >= LEAF_BYTES {
            self.close_leaf();
        }
        push(&mut self.block, entry);
        self.len += 1;
    }

    fn close_leaf(&mut self) {
        self.bytes += self.block.len();
        self.all += self.len;
        let node = Node::Leaf(self.block.as_slice().into());
        self.leaves.push(Child { node, len: std::mem::take(&mut self.len) });
        self.block.clear();
    }

    /// About the memory that it takes so far, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.block.capacity() + self.leaves.len() * LEAF_OVERHEAD
    }

    /// The tree.
    pub(super) fn finish(mut self) -> Tree {
        if !self.block.is_empty() {
            self.close_leaf();
        }
        let mut level = self.leaves;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len() / FANOUT + 1);
            let mut rest = level.into_iter().peekable();
            while rest.peek().is_some() {
                let children: Vec<Child> = rest.by_ref().take(FANOUT).collect();
                let len = children.iter().map(|child| child.len).sum();
                above.push(Child { node: Node::Inner(Arc::new(children)), len });
            }
            level = above;
        }
        Tree { root: level.pop().map(|child| child.node), len: self.all, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Depth, and whether counts, sizes and limits are as they should be.
    fn check(tree: &Tree) -> Result<(), TestCaseError> {
        fn walk(node: &Node, is_root: bool) -> Result<(usize, usize, usize), TestCaseError> {
            match node {
                Node::Leaf(block) => {
                    let len = entries(block).count();
                    prop_assert!(len > 0, "an empty leaf");
                    prop_assert!(block.len() <= LEAF_BYTES || len == 1, "{} bytes", block.len());
                    Ok((1, len, block.len()))
                }
                Node::Inner(children) => {
                    prop_assert!(children.len() <= FANOUT && !children.is_empty());
                    prop_assert!(!is_root || children.len() > 1, "a root with one child");
                    let mut sums = (0, 0, 0);
                    for child in children.iter() {
                        let (depth, len, bytes) = walk(&child.node, false)?;
                        prop_assert_eq!(len, child.len);
                        prop_assert!(sums.0 == 0 || sums.0 == depth, "leaves at two depths");
                        sums = (depth, sums.1 + len, sums.2 + bytes);
                    }
                    Ok((sums.0 + 1, sums.1, sums.2))
                }
            }
        }
        if let Some(root) = &tree.root {
            let (_, len, bytes) = walk(root, true)?;
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
            sought: u16,
        ) {
            let sorted: Vec<u16> = numbers.into_iter().collect();
            let all: Vec<Vec<u8>> = sorted.iter().map(|n| entry(*n)).collect();
            let tree: Tree = all.iter().map(Vec::as_slice).collect();
            let wanted = sought.to_be_bytes();
            let found = tree.find(|entry| entry[..2].cmp(&wanted[..]));
            prop_assert_eq!(found, sorted.binary_search(&sought));
            let itself = found.ok().and_then(|at| tree.get(at));
            prop_assert_eq!(tree.seek(|entry| entry[..2].cmp(&wanted[..])), itself);
            prop_assert_eq!(tree.scan(|entry| entry[..2] == wanted), itself);
        }
    }

    #[test]
    fn what_grows_at_one_end_has_full_leaves_and_emptying_leaves_nothing() {
        for at in [usize::MAX, 0] {
            let mut tree = Tree::default();
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
            Node::Inner(children) => children.iter().map(|child| leaves(&child.node)).sum(),
        }
    }
}
