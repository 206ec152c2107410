//! `COMMANDS.md` says what is followed and what that was tested against. It is made from the table
//! of commands, the catalogue and the recorded sessions; `RETS_BLESS=1` writes it anew.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::command::{About, CATALOGUE, ROWS, Sent, Version, about, find};
use rets::resp::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use support::Session;

/// The servers that `tests/differential.rs` runs against. It insists on having seen all that these
/// send.
const LIVE: &[Version] = &[(6, 2), (7, 0), (8, 2)];

const HEAD: &str = "\
# Commands

What a primary sends, and whether it is followed. This page is made from the code (`make header`); a
test says when it is not current.

*Tested against* names servers, and by `recorded` sessions of servers that are not at hand: random
commands on the former, the session's own on the latter, and then a comparison of all data with what
the server had. *From facts only* means that no server that sends the command could be had: its
effects are tested, but only against what is written about it.

A command that is in no list is counted, told to the callback with its arguments, and marks the data
as diverged; where its first argument names a value of a module, only that value is withheld.
";

/// The recorded sessions that have each command in their streams.
fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for session in Session::all() {
        let mut reader = Reader::new();
        reader.feed(session.stream());
        while let Some(command) = reader.next().expect("a sound stream") {
            let Some(name) = command.args.first() else { continue };
            let name = String::from_utf8_lossy(name).to_uppercase();
            let server = session.name.replace("redis-", "").replace("valkey-", "Valkey ");
            recorded.entry(name).or_default().insert(server);
        }
    }
    recorded
}

fn version((major, minor): Version) -> String {
    format!("{major}.{minor}")
}

fn since(about: &About) -> String {
    match (about.redis, about.valkey) {
        (Some(redis), Some((7, 2))) => version(redis),
        (Some(redis), Some(valkey)) => format!("{}, Valkey {}", version(redis), version(valkey)),
        (Some(redis), None) if matches!(about.sent, Sent::Until(_)) => version(redis),
        (Some(redis), None) => format!("Redis {}", version(redis)),
        (None, Some(valkey)) => format!("Valkey {}", version(valkey)),
        (None, None) => String::new(),
    }
}

fn sent(about: &About) -> String {
    match about.sent {
        Sent::Always => "yes".to_owned(),
        Sent::Until(last) => format!("up to {}", version(last)),
        Sent::Rewritten => "as other commands".to_owned(),
        Sent::InClusters => "in clusters".to_owned(),
    }
}

fn tested(about: &About, recorded: Option<&BTreeSet<String>>) -> String {
    let live = LIVE.iter().filter(|server| about.is_sent_by_redis(**server));
    let mut parts: Vec<_> = live.map(|server| version(*server)).collect();
    if let Some(sessions) = recorded {
        let sessions: Vec<_> = sessions.iter().map(String::as_str).collect();
        parts.push(format!("recorded {}", sessions.join(", ")));
    }
    if parts.is_empty() { "*from facts only*".to_owned() } else { parts.join(", ") }
}

fn page() -> String {
    let recorded = recorded();
    let mut families: BTreeMap<&str, Vec<&About>> = BTreeMap::new();
    for row in ROWS {
        let about = about(row.name).expect("a test of the catalogue insists on it");
        families.entry(about.family).or_default().push(about);
    }
    let mut page = HEAD.to_owned();
    for (family, commands) in families {
        writeln!(page, "\n## {family}\n\n| command | since | sent | tested against |").unwrap();
        page.push_str("| --- | --- | --- | --- |\n");
        for about in commands {
            let tested = tested(about, recorded.get(about.name));
            let (since, sent) = (since(about), sent(about));
            writeln!(page, "| {} | {since} | {sent} | {tested} |", about.name).unwrap();
        }
    }
    let unknown = CATALOGUE.iter().filter(|about| find(about.name.as_bytes()).is_none());
    page.push_str("\n## Not followed\n\n| command | since | sent |\n| --- | --- | --- |\n");
    for about in unknown {
        writeln!(page, "| {} | {} | {} |", about.name, since(about), sent(about)).unwrap();
    }
    page
}

#[test]
fn the_list_of_commands_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/COMMANDS.md");
    let page = page();
    if std::env::var_os("RETS_BLESS").is_some() {
        std::fs::write(path, &page).expect("a place to write");
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "COMMANDS.md is not current: `make header` writes it anew");
}

#[test]
fn nothing_was_recorded_that_the_catalogue_lacks() {
    let strangers: Vec<_> = recorded().into_keys().filter(|name| about(name).is_none()).collect();
    assert_eq!(strangers, [""; 0]);
}
