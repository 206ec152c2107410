//! One sort for everybody who is not on the hottest ways: the standard library's is compiled anew
//! for each kind of element and each order, fifteen thousand bytes of code every time.

use std::cmp::Ordering;

/// Sorts, and leaves elements that are equal in their order.
pub fn sort<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.len() > 1 {
        let mut places = places(items.len(), &|a, b| compare(&items[a], &items[b]));
        put(items, &mut places);
    }
}

/// Where each element stood that is to stand here.
#[inline(never)]
fn places(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..len).collect();
    places.sort_by(|a, b| compare(*a, *b));
    places
}

/// Puts each where it belongs, one round of exchanges after the other.
fn put<T>(items: &mut [T], places: &mut [usize]) {
    for start in 0..places.len() {
        let mut to = start;
        loop {
            let from = std::mem::replace(&mut places[to], to);
            if from == start {
                break;
            }
            items.swap(to, from);
            to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(keys in proptest::collection::vec(0u8..40, 0..200)) {
            let mut items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            sort(&mut items, |a, b| a.0.cmp(&b.0));
            prop_assert_eq!(items, expected);
        }
    }
}
