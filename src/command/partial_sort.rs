//! The servers' partial sort. Which of several equal elements come first is its doing alone, and a
//! COUNT cuts between them: a replica that is to cut at the same place has to take the same steps.
//!
//! It is the quicksort of Bentley and McIlroy with three-way partitions, which passes over what
//! lies outside of the places that are wanted.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Fewer elements than this are sorted by insertion.
const INSERTION_MAX: usize = 7;

/// With more than this the pivot is the median of nine, not of three.
const NINTHER_MIN: usize = 40;

/// Sorts as far as needed for the elements at these places to be the right ones in the right
/// order. `compare` must be a total order.
pub(super) fn partial_sort<T>(
    all: &mut [T],
    wanted: RangeInclusive<usize>,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let mut parts = vec![(0, all.len())];
    while let Some((start, end)) = parts.pop() {
        let Some(part) = all.get_mut(start..end) else { continue };
        let (below, above) = partition(part, &compare);
        for (from, to) in [(start, start + below), (end - above, end)] {
            if to - from > 1 && *wanted.start() < to && *wanted.end() >= from {
                parts.push((from, to));
            }
        }
    }
}

/// Puts what is less than a pivot to the front and what is greater to the back, and says how many
/// each are; none where it has sorted everything.
fn partition<T>(all: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = all.len();
    if len < INSERTION_MAX {
        insertion_sort(all, compare);
        return (0, 0);
    }
    let pivot = pivot(all, compare);
    all.swap(0, pivot);
    // Equal ones gather at both ends, [..equal_low] and [equal_high + 1..].
    let (mut equal_low, mut low) = (1, 1);
    let (mut equal_high, mut high) = (len - 1, len - 1);
    loop {
        while low <= high {
            match compare(&all[low], &all[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    all.swap(equal_low, low);
                    equal_low += 1;
                }
                Ordering::Less => {}
            }
            low += 1;
        }
        while low <= high {
            match compare(&all[high], &all[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    all.swap(high, equal_high);
                    equal_high -= 1;
                }
                Ordering::Greater => {}
            }
            high -= 1;
        }
        if low > high {
            break;
        }
        all.swap(low, high);
        low += 1;
        high -= 1;
    }
    let (below, above) = (low - equal_low, equal_high - high);
    exchange(all, 0, low, equal_low.min(below));
    exchange(all, low, len, above.min(len - 1 - equal_high));
    (below, above)
}

/// Exchanges so many elements from `start` on with as many before `end`.
fn exchange<T>(all: &mut [T], start: usize, end: usize, count: usize) {
    for n in 0..count {
        all.swap(start + n, end - count + n);
    }
}

fn insertion_sort<T>(all: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for next in 1..all.len() {
        let mut at = next;
        while at > 0 && compare(&all[at - 1], &all[at]) == Ordering::Greater {
            all.swap(at, at - 1);
            at -= 1;
        }
    }
}

fn pivot<T>(all: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = all.len();
    let median = |a: usize, b: usize, c: usize| {
        let less = |x: usize, y: usize| compare(&all[x], &all[y]) == Ordering::Less;
        let greater = |x: usize, y: usize| compare(&all[x], &all[y]) == Ordering::Greater;
        match (less(a, b), less(a, c)) {
            (true, _) if less(b, c) => b,
            (true, true) => c,
            (true, false) => a,
            (false, _) if greater(b, c) => b,
            (false, true) => a,
            (false, false) => c,
        }
    };
    let (mut low, mut middle, mut high) = (0, len / 2, len - 1);
    if len == INSERTION_MAX {
        return middle;
    }
    if len > NINTHER_MIN {
        let eighth = len / 8;
        low = median(low, low + eighth, low + 2 * eighth);
        middle = median(middle - eighth, middle, middle + eighth);
        high = median(high - 2 * eighth, high - eighth, high);
    }
    median(low, middle, high)
}
