//! Lists: sequences that grow and shrink at both ends and can be cut and edited anywhere.

use super::{BYTES_OVERHEAD, Bytes};

/// So many elements the sequence keeps in itself; more are in chunks of so many.
const INLINE_MAX: usize = 3;
const CHUNK: usize = 64;
const CHUNK_OVERHEAD: usize = 32;

/// A sequence of strings. Cloning takes constant time, an edit logarithmic time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    elements: imbl::Vector<Bytes>,
    bytes: usize,
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// No element at all.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        let len = self.elements.len();
        let chunks = if len > INLINE_MAX { len.div_ceil(CHUNK) } else { 0 };
        self.bytes + len * BYTES_OVERHEAD + chunks * (CHUNK * size_of::<Bytes>() + CHUNK_OVERHEAD)
    }

    /// The element at this place, counted from 0 at the head.
    pub fn get(&self, index: usize) -> Option<&Bytes> {
        self.elements.get(index)
    }

    /// All elements from head to tail.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.elements.iter()
    }

    /// Adds at the head.
    pub fn push_front(&mut self, element: Bytes) {
        self.bytes += element.len();
        self.elements.push_front(element);
    }

    /// Adds at the tail.
    pub fn push_back(&mut self, element: Bytes) {
        self.bytes += element.len();
        self.elements.push_back(element);
    }
}

impl FromIterator<Bytes> for List {
    fn from_iter<I: IntoIterator<Item = Bytes>>(elements: I) -> Self {
        let mut list = Self::default();
        for element in elements {
            list.push_back(element);
        }
        list
    }
}
