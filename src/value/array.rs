//! Arrays: values at places that need not be next to each other (Redis 8.8).

use super::tree::{Head, Order, Tree, head_of, push_length, split_length};
use std::cmp::Ordering;

/// The highest index that a value can have; the one behind it stands for none.
const INDEX_MAX: u64 = u64::MAX - 1;

/// Values by their index. Cloning takes constant time, everything about one index logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct Array {
    /// An entry is the index, seven bits a byte, and the value.
    slots: Tree<ByIndex>,
    /// Where the last value was appended; the next one goes behind it. None: the first place is
    /// next.
    cursor: Option<u64>,
}

fn entry(index: u64, value: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(value.len() + 4);
    push_length(&mut entry, index as usize);
    entry.extend_from_slice(value);
    entry
}

fn parts(entry: &[u8]) -> (u64, &[u8]) {
    let (index, value) = split_length(entry);
    (index as u64, value)
}

/// Entries in the order of their indexes.
#[derive(Clone, Copy, Debug)]
struct ByIndex;

impl Order for ByIndex {
    type Key<'a> = u64;

    fn key(entry: &[u8]) -> u64 {
        parts(entry).0
    }

    fn compare(a: u64, b: u64) -> Ordering {
        a.cmp(&b)
    }

    fn head(index: u64) -> Head {
        head_of(&[&index.to_be_bytes()])
    }

    fn lead(index: u64) -> u64 {
        index
    }
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

    /// About the bytes of what `later`, an edited clone, has no more.
    pub(super) fn lost_to(&self, later: &Self) -> usize {
        self.slots.lost_to(&later.slots)
    }

    /// The place behind the last one that is taken.
    pub fn span(&self) -> u64 {
        let last = self.len().checked_sub(1).and_then(|last| self.slots.get(last));
        last.map_or(0, |entry| parts(entry).0 + 1)
    }

    fn find(&self, index: u64) -> Result<usize, usize> {
        self.slots.find(index).map(|(at, _)| at)
    }

    /// The value at an index.
    pub fn get(&self, index: u64) -> Option<&[u8]> {
        self.slots.seek(index).map(|entry| parts(entry).1)
    }

    /// Stores a value; false where there is no such place.
    pub fn set(&mut self, index: u64, value: &[u8]) -> bool {
        if index > INDEX_MAX {
            return false;
        }
        match self.find(index) {
            Ok(at) => self.slots.replace(at, &entry(index, value)),
            Err(at) => self.slots.insert(at, &entry(index, value)),
        }
        true
    }

    /// Empties the places from one index to another.
    pub fn remove(&mut self, first: u64, last: u64) {
        let start = self.find(first).unwrap_or_else(|at| at);
        let end = self.find(last).map_or_else(|at| at, |at| at + 1);
        if start < end {
            self.slots.remove_range(start..end);
        }
    }

    /// Where the last value was appended; none where the next one goes to the first place.
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// Moves the place for the next value.
    pub fn set_cursor(&mut self, cursor: Option<u64>) {
        self.cursor = cursor.filter(|cursor| *cursor <= INDEX_MAX);
    }

    /// Stores a value behind the last one that was appended; false where there is no place left.
    pub fn push(&mut self, value: &[u8]) -> bool {
        let next = self.cursor.map_or(0, |cursor| cursor + 1);
        let stored = self.set(next, value);
        if stored {
            self.cursor = Some(next);
        }
        stored
    }

    /// Stores a value behind the last one, and at the first place behind place `size`.
    pub fn push_ring(&mut self, value: &[u8], size: u64) {
        let next = self.cursor.map_or(0, |cursor| cursor + 1).checked_rem(size).unwrap_or(0);
        if self.set(next, value) {
            self.cursor = Some(next);
        }
    }

    /// Makes a ring of this size of what is there: where it would lose its order, the newest values
    /// move to the first places, back to the first hole.
    pub fn resize_ring(&mut self, size: u64) {
        let span = self.span();
        let wrapped = self.cursor.is_some_and(|cursor| cursor + 1 < span);
        if size >= span && (size == span || !wrapped) {
            return;
        }
        let mut newest_first = Vec::new();
        let mut at = self.cursor.map_or(span - 1, |cursor| cursor % span);
        while let Some(value) =
            self.get(at).filter(|_| (newest_first.len() as u64) < size.min(span))
        {
            newest_first.push(value);
            at = at.checked_sub(1).unwrap_or(span - 1);
        }
        let mut ring = Self::default();
        for value in newest_first.iter().rev() {
            ring.push(value);
        }
        *self = ring;
    }

    /// All values with their indexes, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        self.slots.iter().map(parts)
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.cursor == other.cursor && self.slots.same(&other.slots)
    }
}

impl<V: AsRef<[u8]>> FromIterator<(u64, V)> for Array {
    fn from_iter<I: IntoIterator<Item = (u64, V)>>(values: I) -> Self {
        let mut array = Self::default();
        for (index, value) in values {
            array.set(index, value.as_ref());
        }
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The rules in the plainest form.
    #[derive(Clone, Debug, Default)]
    struct Model {
        values: BTreeMap<u64, Vec<u8>>,
        cursor: Option<u64>,
    }

    impl Model {
        fn span(&self) -> u64 {
            self.values.last_key_value().map_or(0, |(index, _)| index + 1)
        }

        fn resize_ring(&mut self, size: u64) {
            let span = self.span();
            let grows = size > span && self.cursor.is_some_and(|cursor| cursor + 1 < span);
            if span == 0 || size >= span && !grows {
                return;
            }
            let newest = self.cursor.map_or(span - 1, |cursor| cursor % span);
            let order = (0..span).map(|back| (newest + span - back) % span);
            let kept = order.map_while(|at| self.values.get(&at).cloned());
            let mut kept: Vec<_> = kept.take(size.min(span) as usize).collect();
            kept.reverse();
            self.cursor = (kept.len() as u64).checked_sub(1);
            self.values = (0..).zip(kept).collect();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn behaves_like_a_map(
            steps in proptest::collection::vec((0u8..9, 0u64..40, 0u64..40), 0..200)
        ) {
            let (mut array, mut model) = (Array::default(), Model::default());
            for (step, (kind, a, b)) in steps.into_iter().enumerate() {
                let value = vec![step as u8; (a * b % 300) as usize];
                // Now and then far away.
                let far = |index: u64| if index > 35 { INDEX_MAX - index } else { index };
                match kind {
                    0..=1 => {
                        prop_assert!(array.set(far(a), &value));
                        model.values.insert(far(a), value);
                    }
                    2 => {
                        array.remove(far(a), far(a));
                        model.values.remove(&far(a));
                    }
                    3 => {
                        let (first, last) = (far(a).min(far(b)), far(a).max(far(b)));
                        array.remove(first, last);
                        model.values.retain(|index, _| *index < first || *index > last);
                    }
                    4 => {
                        let next = model.cursor.map_or(0, |cursor| cursor + 1);
                        let fits = next <= INDEX_MAX;
                        prop_assert_eq!(array.push(&value), fits);
                        if fits {
                            model.cursor = Some(next);
                            model.values.insert(next, value);
                        }
                    }
                    5..=7 if model.span() < 100 => {
                        array.resize_ring(b % 9 + 1);
                        model.resize_ring(b % 9 + 1);
                        array.push_ring(&value, b % 9 + 1);
                        let next = model.cursor.map_or(0, |cursor| cursor + 1) % (b % 9 + 1);
                        model.cursor = Some(next);
                        model.values.insert(next, value);
                    }
                    _ => {
                        let cursor = a.checked_sub(1).map(far);
                        array.set_cursor(cursor);
                        model.cursor = cursor;
                    }
                }
                prop_assert_eq!(array.cursor(), model.cursor);
                prop_assert_eq!(array.span(), model.span());
                let all = model.values.iter().map(|(index, value)| (*index, value.as_slice()));
                prop_assert!(array.iter().eq(all));
                prop_assert_eq!(array.get(far(b)), model.values.get(&far(b)).map(Vec::as_slice));
            }
        }
    }

    #[test]
    fn the_last_index_has_no_place_and_a_ring_stops_at_the_first_hole_however_far_it_reaches() {
        let mut array = Array::default();
        assert!(!array.set(u64::MAX, b"v"));
        assert!(array.set(INDEX_MAX, b"v") && array.set(3, b"w"));
        assert_eq!(array.span(), u64::MAX);
        array.set_cursor(Some(u64::MAX));
        assert_eq!(array.cursor(), None);
        array.set_cursor(Some(INDEX_MAX));
        assert!(!array.push(b"x"));
        array.resize_ring(i64::MAX as u64);
        assert_eq!(array.iter().collect::<Vec<_>>(), [(0, &b"v"[..])]);
        assert_eq!(array.cursor(), Some(0));
    }
}
