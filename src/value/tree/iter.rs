//! Goes through the entries of a tree.

use super::block::{Entries, entries};
use super::inner::ChildIter;
use super::{Node, locate};

/// Entries in their order.
#[derive(Clone, Debug)]
pub(in crate::value) struct Iter<'a> {
    /// What is still to come on each level above the leaf in hand.
    stack: Vec<ChildIter<'a>>,
    leaf: Entries<'a>,
    left: usize,
}

impl<'a> Iter<'a> {
    /// From this place on, of so many.
    pub(super) fn new(root: Option<&'a Node>, len: usize, index: usize) -> Self {
        let mut iter = Self { stack: Vec::new(), leaf: entries(&[]), left: 0 };
        if index < len {
            iter.left = len - index;
            iter.descend(root, index);
        }
        iter
    }

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
                Node::Inner(inner) => {
                    let (at, within) = locate(inner.children(), index, false);
                    let mut rest = inner.children().iter_from(at);
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
