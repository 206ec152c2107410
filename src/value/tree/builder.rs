//! Builds a tree from its first entry to its last, with full leaves.

use super::block::{Length, push};
use super::inner::{FANOUT, Inner};
use super::order::Order;
use super::{Child, LEAF_BYTES, LEAF_OVERHEAD, Node, Root, Tree};
use std::marker::PhantomData;

/// Builds a tree from its first entry to its last.
#[derive(Debug, Default)]
pub(in crate::value) struct Builder {
    leaves: Vec<Child>,
    block: Vec<u8>,
    len: usize,
    all: usize,
    bytes: usize,
}

impl Builder {
    /// Adds an entry behind the others.
    pub(in crate::value) fn push(&mut self, entry: &[u8]) {
        let grown = self.block.len() + Length::of(entry.len()).len() + entry.len();
        if !self.block.is_empty() && grown > LEAF_BYTES {
            self.close_leaf();
        }
        push(&mut self.block, entry);
        self.len += 1;
    }

    fn close_leaf(&mut self) {
        self.bytes += self.block.len();
        self.all += self.len;
        let node = Node::joined(&[&self.block]);
        self.leaves.push(Child { node, len: std::mem::take(&mut self.len) });
        self.block.clear();
    }

    /// About the memory that it takes so far, in bytes.
    pub(in crate::value) fn memory(&self) -> usize {
        self.bytes + self.block.capacity() + self.leaves.len() * LEAF_OVERHEAD
    }

    /// The tree.
    pub(in crate::value) fn finish<O: Order>(mut self) -> Tree<O> {
        if self.leaves.is_empty() {
            if self.block.is_empty() {
                return Tree::default();
            }
            let root = Root::Leaf(self.block.as_slice().into());
            return Tree { root, len: self.len, bytes: self.block.len(), order: PhantomData };
        }
        if !self.block.is_empty() {
            self.close_leaf();
        }
        let mut level = self.leaves;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len() / FANOUT + 1);
            let mut rest = level.into_iter().peekable();
            while rest.peek().is_some() {
                let inner = Inner::new::<O>(rest.by_ref().take(FANOUT));
                above.push(Child { len: inner.len(), node: Node::node(inner) });
            }
            level = above;
        }
        let root = Root::Inner(level.pop().map(|child| child.node));
        Tree { root, len: self.all, bytes: self.bytes, order: PhantomData }
    }
}
