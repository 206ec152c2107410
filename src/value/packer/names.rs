//! Puts many names in order, eight bytes of all of them at a time: what is the same in all of some
//! names is passed over, and numbers are compared where otherwise each two names would have to be
//! fetched.

use super::super::sort;
use super::rank_of_name;

/// After so many rounds names are compared as they are: somebody may have chosen them.
const ROUNDS: usize = 6;

/// A place of something that has a name: its lowest bits. In the others is what it is put in order
/// by.
pub(super) type Place = u128;

/// Puts places in the order of their names, whatever they were put in order by. Whether two have
/// the same.
pub(super) fn sort_names<'n>(places: &mut [Place], name: &dyn Fn(usize) -> &'n [u8]) -> bool {
    sort_round(places, name, ROUNDS)
}

/// The same where places were put in order by something else, of those that are tied.
#[cold]
pub(super) fn sort_tied<'n>(places: &mut [Place], name: &dyn Fn(usize) -> &'n [u8]) -> bool {
    sort_ties(places, name, ROUNDS)
}

/// Which of the things it is the place of.
pub(super) fn at(place: Place) -> usize {
    place as u64 as usize
}

/// Whether two would be put in order by something else.
pub(super) fn is_tied(a: &Place, b: &Place) -> bool {
    a >> 64 == b >> 64
}

fn sort_round<'n>(places: &mut [Place], names: &dyn Fn(usize) -> &'n [u8], rounds: usize) -> bool {
    let name = |place: &Place| names(at(*place));
    if rounds == 0 {
        sort(places, |a, b| name(a).cmp(name(b)));
        return places.windows(2).any(|pair| name(&pair[0]) == name(&pair[1]));
    }
    let Some((first, others)) = places.split_first() else { return false };
    let mut common = name(first);
    for other in others {
        common = in_common(common, name(other));
    }
    let passed = common.len();
    for place in &mut *places {
        let rest = name(place).get(passed..).unwrap_or_default();
        *place = u128::from(rank_of_name(rest)) << 64 | at(*place) as u128;
    }
    places.sort_unstable();
    sort_ties(places, names, rounds - 1)
}

fn sort_ties<'n>(places: &mut [Place], names: &dyn Fn(usize) -> &'n [u8], rounds: usize) -> bool {
    let ties = places.chunk_by_mut(is_tied).filter(|tied| tied.len() > 1);
    ties.fold(false, |twice, tied| twice | sort_round(tied, names, rounds))
}

/// What both begin with.
fn in_common<'n>(a: &'n [u8], b: &[u8]) -> &'n [u8] {
    if b.starts_with(a) {
        return a;
    }
    let len = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_in_order_however_they_begin(
            names in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(0..2u8, 0..12),
                    proptest::collection::vec(0..2u8, 0..12)
                        .prop_map(|end| [vec![7; 100], end].concat()),
                    "(abcdefgh){0,9}[ab]?".prop_map(String::into_bytes),
                ],
                0..60,
            ),
        ) {
            let mut places: Vec<Place> = (0..names.len() as u128).map(|at| at | 5 << 64).collect();
            let twice = sort_names(&mut places, &|at| &names[at]);
            let sorted: Vec<&Vec<u8>> = places.iter().map(|place| &names[at(*place)]).collect();
            let mut wanted: Vec<&Vec<u8>> = names.iter().collect();
            wanted.sort();
            prop_assert_eq!(&sorted, &wanted);
            wanted.dedup();
            prop_assert_eq!(twice, wanted.len() < names.len());
        }
    }
}
