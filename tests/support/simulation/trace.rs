//! What happened in a run, as a sum that two runs of one seed must share, and as text for whoever
//! looks into a failure.

use std::collections::VecDeque;
use std::fmt::{Arguments, Write};
use std::hash::{DefaultHasher, Hasher};

/// So many lines are kept for a report.
const KEPT: usize = 4000;

pub struct Trace {
    sum: u64,
    line: String,
    /// The sum of lines whose order is not promised.
    unordered: u64,
    kept: Option<VecDeque<String>>,
}

impl Trace {
    pub fn new(is_kept: bool) -> Self {
        let kept = is_kept.then(VecDeque::new);
        Self { sum: 0, line: String::new(), unordered: 0, kept }
    }

    fn hash(&mut self, text: Arguments<'_>) -> u64 {
        self.line.clear();
        let _ = self.line.write_fmt(text);
        if let Some(kept) = &mut self.kept {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(self.line.clone());
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(self.line.as_bytes());
        hasher.finish()
    }

    pub fn note(&mut self, text: Arguments<'_>) {
        let hash = self.hash(text);
        self.sum = self.sum.rotate_left(5) ^ hash;
    }

    /// A line of a group that has no order.
    pub fn note_unordered(&mut self, text: Arguments<'_>) {
        let hash = self.hash(text);
        self.unordered = self.unordered.wrapping_add(hash);
    }

    /// The group is over.
    pub fn end_of_unordered(&mut self) {
        let unordered = std::mem::take(&mut self.unordered);
        self.note(format_args!("in any order: {unordered}"));
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.kept.iter().flatten()
    }
}
