//! Any bytes at all, and any damage, cut anywhere.

use super::*;
use proptest::prelude::*;

fn parts(bytes: &[u8], cuts: Vec<prop::sample::Index>) -> Vec<&[u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    places
        .into_iter()
        .map(|to| {
            let part = &bytes[from..to];
            from = to;
            part
        })
        .collect()
}

/// Whatever comes out, cuts don't change it.
fn holds_together(bytes: &[u8], cuts: Vec<prop::sample::Index>) {
    let whole = items_of(Decoder::new(), [bytes]);
    let cut = items_of(Decoder::new(), parts(bytes, cuts.clone()));
    // What is left over depends on the cuts while more is awaited, but not after the end.
    assert_eq!((&whole.0, &whole.1), (&cut.0, &cut.1));
    let whole = items_of(skips_all(), [bytes]);
    let cut = items_of(skips_all(), parts(bytes, cuts));
    assert_eq!((&whole.0, &whole.1), (&cut.0, &cut.1));
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..8)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        header in prop::sample::select(vec!["", "REDIS0002", "REDIS0014", "VALKEY080"]),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..34, 242u8..], 0..200),
        cuts in cuts(),
    ) {
        holds_together(&[header.as_bytes(), &bytes].concat(), cuts);
        let _ = decode_payload(&payload(&bytes, 12));
        let _ = decode_payload(&payload(&bytes, 80));
    }

    #[test]
    fn damaged_snapshots_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        lost in proptest::option::of(any::<prop::sample::Index>()),
        cuts in cuts(),
    ) {
        let (mut bytes, _) = everything();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(lost) = lost {
            bytes.remove(lost.index(bytes.len()));
        }
        holds_together(&bytes, cuts);
    }

    #[test]
    fn damaged_payloads_never_panic(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        which in any::<prop::sample::Index>(),
    ) {
        // Nothing but the value is damaged: the checksum is made anew.
        let (bytes, _) = everything();
        let from = which.index(bytes.len() - 9);
        let mut body = bytes[from..bytes.len() - 9].to_vec();
        let place = place.index(body.len());
        body[place] = byte;
        let _ = decode_payload(&payload(&body, 12));
    }
}
