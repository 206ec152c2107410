//! Lists: sequences that grow and shrink at both ends and can be cut and edited anywhere.

use super::Bytes;
use super::tree::{Builder, Tree};
use std::ops::Range;

/// A sequence of strings. Cloning takes constant time, everything else at one place logarithmic
/// time.
#[derive(Clone, Debug, Default)]
pub struct List {
    elements: Tree,
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// No element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its elements as one block; `None` where they are more than one.
    pub(super) fn leaf(&self) -> Option<&Bytes> {
        self.elements.leaf()
    }

    /// What [`List::leaf`] told.
    pub(super) fn of_leaf(block: Bytes, len: usize) -> Self {
        Self { elements: Tree::of_leaf(block, len) }
    }

    /// Of its elements.
    pub(super) fn built(elements: Builder) -> Self {
        Self { elements: elements.finish() }
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.elements.memory()
    }

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        self.elements.lost_to(&later.elements)
    }

    /// Whether `later` is a clone of this list that was not edited since, in constant time.
    pub(super) fn is_untouched(&self, later: &Self) -> bool {
        self.elements.is_untouched(&later.elements)
    }

    /// The element at this place, counted from 0 at the head.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.elements.get(index)
    }

    /// All elements from head to tail.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.elements.iter()
    }

    /// The elements from this place on.
    pub fn iter_from(&self, index: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        self.elements.iter_from(index)
    }

    /// Adds at the head.
    pub fn push_front(&mut self, element: &[u8]) {
        self.elements.insert(0, element);
    }

    /// Adds at the tail.
    pub fn push_back(&mut self, element: &[u8]) {
        self.elements.insert(self.len(), element);
    }

    /// Puts an element at this place; those from there on move towards the tail.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        self.elements.insert(index, element);
    }

    /// Exchanges the element at this place.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        self.elements.replace(index, element);
    }

    /// Removes the elements of a range of places.
    pub fn remove(&mut self, range: Range<usize>) {
        self.elements.remove_range(range);
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.elements.same(&other.elements)
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for List {
    fn from_iter<I: IntoIterator<Item = B>>(elements: I) -> Self {
        let mut builder = Builder::default();
        elements.into_iter().for_each(|element| builder.push(element.as_ref()));
        Self { elements: builder.finish() }
    }
}
