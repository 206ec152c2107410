//! The servers' partial sort. Which of several equal elements come first is its doing alone, and a
//! COUNT cuts between them: a replica that is to cut at the same place has to come to the same
//! order.
//!
//! It is the quicksort that Bentley and McIlroy describe in "Engineering a Sort Function" (1993),
//! which passes over the parts that hold nothing of what is wanted. They exchange elements within
//! an array; here each side of the pivot is a queue, and an exchange is what it does to the queue.

use crate::value::sort;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// Fewer elements than this are sorted by insertion, which keeps the order of equal ones.
const INSERTION_MAX: usize = 7;

/// With more than this the pivot is the median of three medians.
const NINTHER_MIN: usize = 40;

/// Sorts as far as needed for the first `count` elements to be the right ones in the right order.
/// `compare` must be a total order.
pub(super) fn sort_front<T: Copy>(
    all: &mut [T],
    count: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let mut parts = vec![(0, all.len())];
    while let Some((start, end)) = parts.pop() {
        let Some(part) = all.get_mut(start..end).filter(|part| part.len() > 1 && start < count)
        else {
            continue;
        };
        if part.len() < INSERTION_MAX {
            sort(part, &compare);
            continue;
        }
        let (less, greater) = partition(part, &compare);
        parts.extend([(start, start + less), (end - greater, end)]);
    }
}

/// Puts what is less than a pivot to the front and what is greater to the back, and says how many
/// each are.
fn partition<T: Copy>(part: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let at = pivot(part, compare);
    part.swap(0, at);
    let pivot = part[0];
    let to_pivot = |element: &T| compare(element, &pivot);
    let (mut low, mut high) = (Side::new(Ordering::Less), Side::new(Ordering::Greater));
    low.equal.push(pivot);
    let mut rest = part[1..].iter().copied();
    loop {
        let too_great = low.gather(&mut rest, to_pivot);
        let too_small = high.gather(&mut rest.by_ref().rev(), to_pivot);
        high.own.extend(too_great);
        low.own.extend(too_small);
        if too_small.is_none() {
            break;
        }
    }
    let sizes = (low.own.len(), high.own.len());
    // What is outermost of the upper side stands last.
    let parted: Vec<T> = low.outside_in().chain(high.outside_in().rev()).collect();
    part.copy_from_slice(&parted);
    sizes
}

/// One side of the pivot, from the outside in.
struct Side<T> {
    /// How its elements compare with the pivot.
    sign: Ordering,
    /// Elements equal to the pivot are kept at the outside while others are gathered.
    equal: Vec<T>,
    own: VecDeque<T>,
}

impl<T: Copy> Side<T> {
    fn new(sign: Ordering) -> Self {
        Self { sign, equal: Vec::new(), own: VecDeque::new() }
    }

    /// Takes in what belongs here, until something does not, which is returned.
    fn gather(
        &mut self,
        rest: &mut impl Iterator<Item = T>,
        to_pivot: impl Fn(&T) -> Ordering,
    ) -> Option<T> {
        for element in rest {
            match to_pivot(&element) {
                Ordering::Equal => {
                    // It changes places with the outermost of the others, which so becomes the
                    // innermost.
                    self.equal.push(element);
                    let outermost = self.own.pop_front();
                    self.own.extend(outermost);
                }
                sign if sign == self.sign => self.own.push_back(element),
                _ => return Some(element),
            }
        }
        None
    }

    /// All of it in its final order: the equal ones have changed places with the innermost of the
    /// others, as many as there are of both.
    fn outside_in(mut self) -> impl DoubleEndedIterator<Item = T> {
        let exchanged = self.equal.len().min(self.own.len());
        self.own.rotate_right(exchanged);
        self.equal.rotate_left(exchanged);
        self.own.into_iter().chain(self.equal)
    }
}

/// The place of an element that is likely to be in the middle.
fn pivot<T>(part: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let median = |[a, b, c]: [usize; 3]| {
        let order = |x: usize, y: usize| compare(&part[x], &part[y]);
        let rises = order(a, b) == Ordering::Less;
        if order(b, c) == if rises { Ordering::Less } else { Ordering::Greater } {
            return b;
        }
        // The second is at one end of the three. Of the others the one nearer to it; where these
        // are equal, the first below it and the third above it.
        if rises == (order(a, c) == Ordering::Less) { c } else { a }
    };
    let (middle, last) = (part.len() / 2, part.len() - 1);
    if part.len() == INSERTION_MAX {
        return middle;
    }
    if part.len() <= NINTHER_MIN {
        return median([0, middle, last]);
    }
    let step = part.len() / 8;
    let around = [step, middle, last - step];
    median(around.map(|place| median([place - step, place, place + step])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_wanted_is_in_its_place_and_nothing_is_lost(
            numbers in proptest::collection::vec(0u8..20, 1..300), count: usize
        ) {
            let count = count % (numbers.len() + 1);
            let mut all: Vec<(u8, usize)> = numbers.iter().copied().zip(0..).collect();
            sort_front(&mut all, count, |a, b| a.0.cmp(&b.0));
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let got = all[..count].iter().map(|(number, _)| number);
            prop_assert!(got.eq(&sorted[..count]));
            all.sort_unstable_by_key(|(_, place)| *place);
            prop_assert!(all.iter().map(|(number, _)| number).eq(&numbers));
        }
    }

    /// All but the first were seen on servers: what a search with COUNT finds of places that are
    /// equally far away.
    #[test]
    fn equal_elements_end_where_the_servers_leave_them() {
        let sorted = |numbers: &[u8], count: usize| {
            let mut all: Vec<(u8, usize)> = numbers.iter().copied().zip(0..).collect();
            sort_front(&mut all, count, |a, b| a.0.cmp(&b.0));
            all.iter().take(count).map(|(_, place)| *place).collect::<Vec<_>>()
        };
        // A few are sorted by insertion, which is stable.
        assert_eq!(sorted(b"211211", 4), [1, 2, 4, 5]);
        // The pivot, which is larger than all but one, changes places with the last of the equal
        // ones.
        assert_eq!(sorted(b"51111119", 5), [6, 1, 2, 3, 4]);
        assert_eq!(sorted(b"022411222334455555444422043220", 6), [0, 24, 29, 5, 4, 28]);
        assert_eq!(sorted(b"000010000111110000111111000000", 6), [29, 1, 2, 3, 7, 8]);
        let of_nine: &[u8] = b"000001111111122222220000001111122222222221110002222111100000";
        assert_eq!(sorted(of_nine, 6), [46, 20, 21, 22, 23, 24]);
        let of_nine: &[u8] = b"002222233333333000001223333333322100322211100";
        assert_eq!(sorted(of_nine, 7), [15, 17, 18, 19, 44, 43, 35]);
    }

    #[test]
    fn elements_that_are_in_order_or_all_equal_take_no_stack_and_not_long() {
        let mut all: Vec<u32> = (0..200_000).collect();
        sort_front(&mut all, 200_000, u32::cmp);
        assert!(all.is_sorted());
        let mut all = vec![7; 200_000];
        sort_front(&mut all, 11, u32::cmp);
        assert_eq!(all.len(), 200_000);
    }
}
