//! What an edit takes away from a tree: its clones, which readers may look at, still have that.

use super::inner::{FANOUT, Inner};
use super::order::Order;
use super::{LEAF_OVERHEAD, Node, Tree};
use smallvec::SmallVec;
use std::sync::Arc;

/// Nodes next to each other on one level.
type Level<'a> = SmallVec<[&'a Node; 2 * FANOUT]>;

/// With more nodes of a level gone, a tree is taken to be another one.
const LOST_MAX: usize = 8 * FANOUT;

impl<O: Order> Tree<O> {
    /// About the bytes of what this tree has and `later` has not, where that is a clone of it that
    /// was edited. It takes about as long as the edits did.
    pub(in crate::value) fn lost_to<'a>(&'a self, later: &'a Self) -> usize {
        let (Some(own), Some(later)) = (&self.root, &later.root) else { return self.memory() };
        let (mut own, mut later, mut before) = (own, later, 0);
        // Most edits are in one place: they differ on the way to one leaf.
        while let (Node::Inner(a), Node::Inner(b)) = (own, later) {
            let Some((a, b)) = a.children().only_difference(b.children()) else { break };
            before += own.size();
            (own, later) = (&a.node, &b.node);
        }
        before + own.lost_to(later).unwrap_or_else(|| self.memory())
    }
}

impl Node {
    /// About the bytes of the nodes that this one has and the other one has not; `None` where they
    /// are very many.
    fn lost_to<'a>(&'a self, later: &'a Self) -> Option<usize> {
        if let (Self::Leaf(_), Self::Leaf(_)) = (self, later) {
            return Some(if self.is(later) { 0 } else { self.size() });
        }
        let (mut lost, mut depths) = (0, (self.depth(), later.depth()));
        let (mut own, mut later) = (Level::from_elem(self, 1), Level::from_elem(later, 1));
        loop {
            let (gone, new) = different(&own, &later);
            if gone.is_empty() {
                return Some(lost);
            }
            if gone.len() > LOST_MAX {
                return None;
            }
            // One level further down, in both where they are as far from their leaves.
            let below = |nodes: Level<'a>| nodes.into_iter().flat_map(Node::below).collect();
            let is_deeper = depths.0.cmp(&depths.1);
            if is_deeper.is_ge() {
                lost += gone.iter().map(|node| node.size()).sum::<usize>();
                depths.0 -= 1;
            }
            depths.1 -= usize::from(is_deeper.is_le());
            (own, later) = (
                if is_deeper.is_ge() { below(gone) } else { gone },
                if is_deeper.is_le() { below(new) } else { new },
            );
        }
    }

    /// Whether both are the same node.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Leaf(a), Self::Leaf(b)) => a.is_same(b),
            (Self::Inner(a), Self::Inner(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// How many levels there are.
    fn depth(&self) -> usize {
        1 + self.below().next().map_or(0, Self::depth)
    }

    /// The children.
    fn below(&self) -> impl Iterator<Item = &Self> {
        let inner = match self {
            Self::Leaf(_) => None,
            Self::Inner(inner) => Some(inner),
        };
        inner.into_iter().flat_map(|inner| inner.children().iter().map(|child| &child.node))
    }

    /// About the bytes that it takes itself.
    fn size(&self) -> usize {
        match self {
            Self::Leaf(block) => block.len() + LEAF_OVERHEAD,
            Self::Inner(_) => size_of::<Inner>(),
        }
    }
}

/// Of the nodes of one level of two trees, without those that both have. They are in one order, and
/// in the place of one node there are not many others.
fn different<'a>(own: &[&'a Node], other: &[&'a Node]) -> (Level<'a>, Level<'a>) {
    const NEAR: usize = 8;
    let same = |(a, b): &(&&Node, &&Node)| a.is(b);
    let before = own.iter().zip(other).take_while(same).count();
    let (own, mut rest) = (&own[before..], &other[before..]);
    let (mut gone, mut new) = (Level::new(), Level::new());
    for node in own {
        match rest.iter().take(NEAR).position(|other| node.is(other)) {
            Some(at) => {
                new.extend(rest[..at].iter().copied());
                rest = &rest[at + 1..];
            }
            None => gone.push(node),
        }
    }
    new.extend(rest.iter().copied());
    (gone, new)
}
