//! What an edit takes away from a tree: its clones, which readers may look at, still have that.

use super::inner::{FANOUT, Inner};
use super::order::Order;
use super::{LEAF_OVERHEAD, Node, Root, Tree};
use crate::memory::View;
use smallvec::SmallVec;

/// Nodes next to each other on one level.
type Level<'a> = SmallVec<[&'a Node; 32]>;

/// With more nodes of a level gone, a tree is taken to be another one.
const LOST_MAX: usize = 8 * FANOUT;

impl<O: Order> Tree<O> {
    /// About the bytes of what this tree has and `later` has not, where that is a clone of it that
    /// was edited. It takes about as long as the edits did.
    pub(in crate::value) fn lost_to<'a>(&'a self, later: &'a Self) -> usize {
        let (mut own, mut later) = match (&self.root, &later.root) {
            (Root::Inner(Some(own)), Root::Inner(Some(later))) => (own, later),
            _ if self.is_untouched(later) => return 0,
            _ => return self.memory(),
        };
        let mut before = 0;
        // Most edits are in one place: they differ on the way to one leaf.
        while let (View::Node(a), View::Node(b)) = (own.view(), later.view()) {
            let Some((a, b)) = a.only_difference(b) else { break };
            before += size(own);
            (own, later) = (a, b);
        }
        before + lost(own, later).unwrap_or_else(|| self.memory())
    }
}

/// About the bytes of the nodes that one has and the other one has not; `None` where they are very
/// many.
fn lost<'a>(own: &'a Node, later: &'a Node) -> Option<usize> {
    if let (View::Bytes(_), View::Bytes(_)) = (own.view(), later.view()) {
        return Some(if own.is(later) { 0 } else { size(own) });
    }
    let (mut lost, mut depths) = (0, (depth(own), depth(later)));
    let (mut own, mut later) = (Level::from_elem(own, 1), Level::from_elem(later, 1));
    loop {
        let (gone, new) = different(&own, &later);
        if gone.is_empty() {
            return Some(lost);
        }
        if gone.len() > LOST_MAX {
            return None;
        }
        // One level further down, in both where they are as far from their leaves.
        let below = |nodes: Level<'a>| nodes.into_iter().flat_map(below).collect();
        let is_deeper = depths.0.cmp(&depths.1);
        if is_deeper.is_ge() {
            lost += gone.iter().map(|node| size(node)).sum::<usize>();
            depths.0 -= 1;
        }
        depths.1 -= usize::from(is_deeper.is_le());
        (own, later) = (
            if is_deeper.is_ge() { below(gone) } else { gone },
            if is_deeper.is_le() { below(new) } else { new },
        );
    }
}

/// How many levels there are.
fn depth(node: &Node) -> usize {
    1 + below(node).next().map_or(0, depth)
}

/// The children.
fn below(node: &Node) -> impl Iterator<Item = &Node> {
    let inner = match node.view() {
        View::Bytes(_) => None,
        View::Node(inner) => Some(inner),
    };
    inner.into_iter().flat_map(Inner::nodes)
}

/// About the bytes that it takes itself.
fn size(node: &Node) -> usize {
    match node.view() {
        View::Bytes(leaf) => leaf.len() + LEAF_OVERHEAD,
        View::Node(_) => size_of::<Inner>(),
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
