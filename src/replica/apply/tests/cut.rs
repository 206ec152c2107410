//! Recorded sessions whose stream is cut at every byte: after each cut the primary is asked for
//! exactly what follows the last whole unit, and in the end everything was applied once.

use super::*;
use crate::table::Entry;
use crate::value::{Bytes, Fingerprint, fingerprint};
use std::path::Path;

#[path = "../../../../tests/support/corpus.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "it belongs to the tests that play sessions by a server; they compare rows, too"
)]
mod corpus;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All that can be compared of a table, sorted: what the digest says nothing of is in the
/// fingerprints.
fn contents(site: &Site) -> Vec<(u32, Bytes, Option<i64>, Fingerprint)> {
    let (databases, _) = site.replica.lookups().reader().snapshot();
    let mut all = Vec::new();
    for (db, entries) in databases {
        for (key, Entry { value, expires_at_ms, .. }) in entries.iter() {
            let value = value.expect("nothing is withheld");
            all.push((db, key, expires_at_ms, fingerprint(&value, expires_at_ms)));
        }
    }
    all.sort();
    all
}

fn applied(site: &Site) -> [u64; 5] {
    let info = site.info();
    let (failed, unknown) = (info.failed_commands, info.unknown_commands);
    [info.commands_applied, info.units, failed, unknown, info.full_syncs]
}

/// Loads the snapshot of a session; what follows has not come yet.
fn loaded(session: &corpus::Session) -> Site {
    let mut site = Site::new();
    site.replica.set_gate(None).unwrap();
    let (_, offset) = session.position().expect("it tells its offset");
    let snapshot = session.snapshot();
    let transfer = Transfer::Length(snapshot.len() as u64);
    site.apply.take(Feed::FullSync { replid: Some(ID), offset, transfer, at_ms: 0 });
    site.bytes(snapshot);
    assert_eq!(site.info().state, State::Following, "{}: {:#?}", session.name, site.info());
    assert_eq!(site.offset(), offset);
    site
}

/// Cuts the link behind every byte of the stream; returns how often.
fn cut_at_every_byte(session: &corpus::Session) -> usize {
    let stream = session.stream();
    let (_, begin) = session.position().expect("it tells its offset");
    let place = |site: &Site| usize::try_from(site.info().offset - begin).unwrap();

    let mut uncut = loaded(session);
    let mut borders = vec![0];
    for at in 0..stream.len() {
        uncut.bytes(&stream[at..=at]);
        if place(&uncut) > *borders.last().unwrap() {
            assert_eq!(place(&uncut), at + 1, "a unit ends where its last byte came");
            borders.push(at + 1);
        }
    }
    assert_eq!(borders.last(), Some(&stream.len()), "it ends with a whole unit");

    let mut site = loaded(session);
    let mut border = borders.into_iter().peekable();
    let mut from = 0;
    for at in 0..stream.len() {
        site.bytes(&stream[from..=at]);
        site.lose();
        from = border.next_if(|next| *next == at + 1).unwrap_or(from);
        while border.next_if(|next| *next <= from).is_some() {}
        let next = begin + i64::try_from(from).unwrap();
        assert_eq!(site.resume(), Some(Some((ID, next))), "{}, cut at {at}", session.name);
        site.apply.take(Feed::Continue { replid: None });
        assert_eq!(site.offset(), next, "{}, cut at {at}", session.name);
    }
    assert_eq!(applied(&site), applied(&uncut), "{}", session.name);
    assert_eq!(contents(&site), contents(&uncut), "{}", session.name);
    let Answer::Found(digest) = site.replica.digest() else { panic!("closed") };
    assert_eq!(digest.hex, session.digest, "{}", session.name);
    stream.len()
}

#[test]
fn a_stream_cut_at_every_byte_is_applied_once_and_gives_the_same_table() {
    let mut cuts = 0;
    for session in corpus::Session::all().iter().filter(|session| session.psync) {
        cuts += cut_at_every_byte(session);
    }
    assert!(cuts > 1_000_000, "{cuts}");
}
