//! Arrays: values at places that need not be next to each other (Redis 8.8).

use super::tree::Tree;

/// Values by their index. Cloning takes constant time.
#[derive(Clone, Debug, Default)]
pub struct Array {
    slots: Tree,
}

impl Array {
    /// How many places are taken.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// No place is taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.slots.memory()
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.slots.same(&other.slots)
    }
}
