//! Sorted sets: distinct strings ordered by a score and, where scores are equal, by their bytes.

use super::{Bytes, Map};
use std::cmp::Ordering;

/// A score as the servers order them: never NaN; -0 and 0 are one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(pub f64);

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A member's place in the order, at the usual load of its nodes; and the least that a node takes.
const ORDER_BYTES: usize = 40;
const ORDER_BYTES_MIN: usize = 512;

/// Members with a score each. Cloning takes constant time.
#[derive(Clone, Debug, Default)]
pub struct Zset {
    scores: Map<f64>,
    order: imbl::OrdSet<(Score, Bytes)>,
}

impl PartialEq for Zset {
    fn eq(&self, other: &Self) -> bool {
        self.scores == other.scores
    }
}

impl Zset {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// No member at all.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.scores.memory() + (self.scores.len() * ORDER_BYTES).max(ORDER_BYTES_MIN)
    }

    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Gives a member a score and returns the one it had. The caller has refused NaN.
    pub fn insert(&mut self, member: Bytes, score: f64) -> Option<f64> {
        debug_assert!(!score.is_nan());
        let old = self.scores.insert(member.clone(), score);
        if let Some(old) = old {
            self.order.remove(&(Score(old), member.clone()));
        }
        self.order.insert((Score(score), member));
        old
    }

    /// Removes a member and returns the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let old = self.scores.remove(member)?;
        self.order.remove(&(Score(old), Bytes::from(member)));
        Some(old)
    }

    /// All members from the lowest to the highest.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, f64)> {
        self.order.iter().map(|(score, member)| (member, score.0))
    }
}

impl FromIterator<(Bytes, f64)> for Zset {
    fn from_iter<I: IntoIterator<Item = (Bytes, f64)>>(members: I) -> Self {
        let mut zset = Self::default();
        for (member, score) in members {
            zset.insert(member, score);
        }
        zset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_score_then_bytes_and_follows_changes() {
        let member = |text: &str| Bytes::from(text.as_bytes());
        let mut zset: Zset =
            [(member("b"), 1.0), (member("a"), 1.0), (member("z"), f64::NEG_INFINITY)]
                .into_iter()
                .collect();
        let names = |zset: &Zset| {
            zset.iter().map(|(m, _)| String::from_utf8_lossy(m).into_owned()).collect::<String>()
        };
        assert_eq!(names(&zset), "zab");
        assert_eq!(zset.insert(member("z"), 2.0), Some(f64::NEG_INFINITY));
        assert_eq!(names(&zset), "abz");
        assert_eq!(zset.remove(b"a"), Some(1.0));
        assert_eq!(names(&zset), "bz");
        assert_eq!(zset.insert(member("b"), -0.0), Some(1.0));
        assert_eq!(zset.insert(member("b"), 0.0), Some(-0.0));
        assert_eq!((names(&zset), zset.len()), ("bz".into(), 2));
    }
}
