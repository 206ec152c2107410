//! A command's arguments where they lie: commands have few, and their list is not worth an
//! allocation.

use std::fmt;
use std::ops::Deref;

/// So many arguments take no allocation.
const FEW: usize = 6;

/// A command's name and arguments.
#[derive(Clone)]
pub struct Args<'a>(List<'a>);

#[derive(Clone)]
enum List<'a> {
    Few([&'a [u8]; FEW], usize),
    Many(Vec<&'a [u8]>),
}

impl<'a> FromIterator<&'a [u8]> for Args<'a> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(args: I) -> Self {
        let mut args = args.into_iter();
        let mut few: [&[u8]; FEW] = [b""; FEW];
        for (len, place) in few.iter_mut().enumerate() {
            match args.next() {
                Some(arg) => *place = arg,
                None => return Self(List::Few(few, len)),
            }
        }
        Self(match args.next() {
            None => List::Few(few, FEW),
            Some(arg) => List::Many(few.into_iter().chain([arg]).chain(args).collect()),
        })
    }
}

impl<'a> Deref for Args<'a> {
    type Target = [&'a [u8]];

    #[inline]
    fn deref(&self) -> &[&'a [u8]] {
        match &self.0 {
            List::Few(args, len) => args.get(..*len).unwrap_or_default(),
            List::Many(args) => args,
        }
    }
}

impl PartialEq for Args<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Args<'_> {}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_arguments_there_are_they_come_back() {
        let text = [b'x'; 20];
        for count in 0..20 {
            let all: Vec<&[u8]> = (0..count).map(|len| text.get(..len).unwrap()).collect();
            let args: Args<'_> = all.iter().copied().collect();
            assert_eq!(args[..], all[..]);
            assert_eq!(matches!(args.0, List::Few(..)), count <= FEW);
        }
    }
}
