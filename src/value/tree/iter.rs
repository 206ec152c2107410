//! Goes through the entries of a tree.

use super::block::{Entries, entries};
use super::inner::Nodes;
use super::{Node, Root};
use crate::memory::View;

/// Entries in their order.
#[derive(Clone, Debug)]
pub(in crate::value) struct Iter<'a> {
    /// What is still to come on each level above the leaf in hand.
    stack: Vec<Nodes<'a>>,
    leaf: Entries<'a>,
    left: usize,
}

impl<'a> Iter<'a> {
    /// From this place on, of so many.
    pub(super) fn new(root: &'a Root, len: usize, index: usize) -> Self {
        let mut iter = Self { stack: Vec::new(), leaf: entries(&[]), left: 0 };
        if index < len {
            iter.left = len - index;
            match root {
                Root::Leaf(block) => iter.enter(block, index),
                Root::Inner(Some(node)) => iter.descend(node, index),
                Root::Inner(None) => {}
            }
        }
        iter
    }

    fn descend(&mut self, mut node: &'a Node, mut index: usize) {
        loop {
            match node.view() {
                View::Bytes(leaf) => return self.enter(leaf, index),
                View::Node(inner) => {
                    let (at, within) = inner.locate(index, false);
                    let mut rest = inner.nodes_from(at);
                    let Some(child) = rest.next() else { return };
                    self.stack.push(rest);
                    (node, index) = (child, within);
                }
            }
        }
    }

    fn enter(&mut self, leaf: &'a [u8], index: usize) {
        self.leaf = entries(leaf);
        for _ in 0..index {
            self.leaf.next();
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
                Some(child) => self.descend(child, 0),
                None => drop(self.stack.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
