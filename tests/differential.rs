//! Random commands on each live server, and the digests of both sides after each burst: what no
//! test thought of. A longer run: `make differential SERVER=8.2 SECONDS=600 SEED=1`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod support;

use rets::command::{self, Action, ROWS, about};
use rets::rdb::decode_payload;
use rets::replica::{Answer, Replica, Type, Whole};
use rets::value::{
    Bytes, Consumer, DigestRules, Field, Hash, Pending, ScoreText, Stream, Value, value_digest,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::follower::{self, Digests, assert_equal, digests, keys, whole};
use support::random::{Generator, SAMPLE_KEYS, Words, samples};
use support::tap::{Tap, shown};
use support::{Client, PATIENCE, Reply, Server, Which, on_each_server, wait_until};

/// How long the run takes that every test run makes, for each server.
const SHORT: Duration = Duration::from_secs(15);

/// Commands between two comparisons.
const BURST: usize = 250;

/// After so many bursts all deadlines are compared, which the digest leaves out.
const BURSTS_PER_LOOK: u64 = 10;

/// Deadlines nearer than this may pass while they are compared.
const SOON_MS: i64 = 20_000;

/// In so many bursts every command that the server sends is seen.
const MANY_BURSTS: u64 = 200;

/// How many commands about a key that differs are shown.
const SHOWN: usize = 60;

on_each_server!(both_sides_are_equal_after_each_burst);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// The figures of one run.
#[derive(Default)]
struct Tally {
    bursts: u64,
    commands: u64,
    refused: u64,
    deadlines: u64,
    /// Bursts after which the primary differed from its own replica, which was as we are.
    not_ours: u64,
    streams: u64,
    /// Bursts after which fields that had expired were equal only when the primary deleted them.
    healed: u64,
}

/// Waits until hashes are equal because the primary deletes fields that have expired: before that,
/// an HPERSIST does not tell a replica which of them it left alone. Anything else does not heal.
fn heals(replica: &Replica, client: &mut Client, digests: &mut Digests) -> bool {
    for (db, key) in unequal_keys(replica, client) {
        client.accepted(&["SELECT", &db.to_string()]);
        let kind = client.accepted(&[b"TYPE".as_slice(), &key]).text();
        client.accepted(&["SELECT", "0"]);
        if kind != "hash" {
            return false;
        }
    }
    let began = Instant::now();
    while digests.ours != digests.theirs && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        *digests = follower::digests(replica, client);
    }
    digests.ours == digests.theirs
}

/// Our digest and that of the server's own replica, at one offset: the primary may go on deleting
/// what has expired.
fn judged(judge: &Server, replica: &Replica, client: &mut Client) -> (String, String) {
    let mut theirs = judge.client();
    let mut both = None;
    wait_until("both replicas are at one offset", || {
        let ours = digests(replica, client);
        let judgement = theirs.digest();
        both = (theirs.offset() == ours.offset).then_some((ours.ours, judgement));
        both.is_some()
    });
    both.expect("waited for it")
}

fn both_sides_are_equal_after_each_burst(which: Which) {
    let only = std::env::var("RETS_SERVER").unwrap_or_default();
    if !only.is_empty() && !which.names().contains(&only.as_str()) {
        println!("passed over: RETS_SERVER is {only}");
        return;
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("RETS_SEED").unwrap_or(clock.as_micros() as u64 % 1_000_000_000);
    let time = number("RETS_SECONDS").map_or(SHORT, Duration::from_secs);
    println!("server {}, seed {seed}, {time:?}", which.names()[0]);
    let server = Server::start(which);
    let mut client = server.client();
    let payloads = prepare(&mut client, seed);
    let tap = Tap::attach(server.port());
    let judge = Server::start(which);
    judge.client().accepted(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    let replica = follower::ready(&server.url(), &[("on-unknown", "stop"), ("on-failure", "stop")]);
    assert_equal(&replica, &mut client);

    let mut generator = Generator::new(seed, payloads);
    generator.floats_in_scripts = server.version() >= (7, 0, 0);
    let mut writer = server.client();
    let mut tally = Tally::default();
    let began = Instant::now();
    while began.elapsed() < time {
        let burst = generator.burst(BURST, now_ms());
        let replies = writer.pipeline(&burst);
        tally.bursts += 1;
        tally.commands += burst.len() as u64;
        tally.refused += replies.iter().filter(|reply| reply.error().is_some()).count() as u64;
        let mut digests = digests_or_tell(&replica, &mut client, seed, &tally);
        if digests.ours != digests.theirs && heals(&replica, &mut client, &mut digests) {
            tally.healed += 1;
        }
        if digests.ours != digests.theirs {
            let what = explain(&replica, &mut client, &tap, &burst, digests.offset);
            let place = format!("seed {seed}, burst {}", tally.bursts);
            // Servers have faults, too: what their own replica has as well is none of ours.
            let (ours, judgement) = judged(&judge, &replica, &mut client);
            assert_eq!(judgement, ours, "{place}: {what}");
            if tally.not_ours == 0 {
                println!("{place}: the server's own replica differs from it as we do: {what}");
            }
            tally.not_ours += 1;
        }
        if tally.bursts % BURSTS_PER_LOOK == 0 {
            tally.deadlines += compare_deadlines(&replica, &mut client, &server, seed);
            tally.streams += compare_streams(&replica, &mut client, &server, seed);
        }
    }
    report(&replica, &tap, &server, seed, &tally);
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Fills the database of the samples, and dumps them.
fn prepare(client: &mut Client, seed: u64) -> Vec<Vec<u8>> {
    client.pipeline(&samples(seed));
    let mut payloads = Vec::new();
    for key in SAMPLE_KEYS {
        payloads.push(client.accepted(&["DUMP", key]).bytes());
    }
    client.accepted(&["SELECT", "0"]);
    payloads
}

fn digests_or_tell(replica: &Replica, client: &mut Client, seed: u64, tally: &Tally) -> Digests {
    let info = replica.info();
    let sound = info.failed_commands == 0 && info.unknown_commands == 0 && info.full_syncs == 1;
    assert!(sound, "seed {seed}, burst {}: {info:#?}", tally.bursts);
    digests(replica, client)
}

/// What both sides have under the first keys that differ, and how it came about.
fn explain(
    replica: &Replica,
    client: &mut Client,
    tap: &Tap,
    burst: &[Words],
    offset: i64,
) -> String {
    tap.wait(offset);
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    let text = differences(replica, client, tap, burst);
    client.accepted(&["SELECT", "0"]);
    client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    text
}

/// The keys of which both sides have other digests, also those that are logically expired.
fn unequal_keys(replica: &Replica, client: &mut Client) -> Vec<(u32, Vec<u8>)> {
    let version = replica.info().server_version;
    let mut all = keys(replica);
    let mut unequal = Vec::new();
    for db in 0..16u32 {
        client.accepted(&["SELECT", &db.to_string()]);
        let mut keys = all.remove(&db).unwrap_or_default();
        keys.extend(client.accepted(&["KEYS", "*"]).array().iter().map(Reply::bytes));
        keys.sort();
        keys.dedup();
        for key in keys {
            let theirs = client.digest_values(&[&key]).remove(0);
            if theirs != our_digest(replica, db, &key, &version) {
                unequal.push((db, key));
            }
        }
    }
    client.accepted(&["SELECT", "0"]);
    unequal
}

fn differences(replica: &Replica, client: &mut Client, tap: &Tap, burst: &[Words]) -> String {
    let mut text = String::new();
    for (db, key) in unequal_keys(replica, client) {
        client.accepted(&["SELECT", &db.to_string()]);
        let theirs = their_row(client, &key);
        let ours = whole(replica, db, &key).map(|(kind, elements)| (kind.to_owned(), elements));
        text += &format!(
            "\ndb {db} key {}:\n  theirs {}\n  ours   {}\n  deadline {:?}, sent to the server in \
             this burst:\n",
            key.escape_ascii(),
            cut(theirs.as_ref(), ours.as_ref()),
            cut(ours.as_ref(), theirs.as_ref()),
            replica.lookups().expires_at(db, &key),
        );
        let touching = burst.iter().filter(|command| command.contains(&key));
        touching.for_each(|command| text += &format!("    {}\n", shown(command)));
        text += "  and by the server:\n";
        tap.about(&key, SHOWN).iter().for_each(|line| text += &format!("    {line}\n"));
        if text.len() > 8000 {
            return text;
        }
    }
    if text.is_empty() { "no key differs".to_owned() } else { text }
}

/// DIGEST-VALUE of our own; zeros where there is nothing.
fn our_digest(replica: &Replica, db: u32, key: &[u8], version: &str) -> String {
    let mut copy = Whole::default();
    let found = replica.lookups().whole(db, key, true, &mut copy).expect("memory");
    let digest = if found == Answer::Found(()) {
        let old = version.starts_with("6.") || version.starts_with("7.0");
        let rules = DigestRules {
            scores: if old { ScoreText::G17 } else { ScoreText::Short },
            hash_field_mark: version.starts_with('8'),
            skip_expired_fields_at_ms: None,
        };
        value_digest(&value_of(&copy), copy.expires_at_ms().is_some(), &rules)
    } else {
        [0; 20]
    };
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value_of(copy: &Whole) -> Value {
    let mut elements = Vec::new();
    while let Some(element) = copy.element(elements.len()).expect("memory") {
        elements.push(element);
    }
    let bytes = |bytes: Option<&[u8]>| Bytes::from(bytes.unwrap_or_default());
    match copy.kind().expect("a value") {
        Type::String => Value::string(copy.string().unwrap_or_default()),
        Type::List => Value::List(elements.iter().map(|e| bytes(e.value)).collect()),
        Type::Set => Value::Set(elements.iter().map(|e| bytes(e.field)).collect()),
        Type::Zset => Value::Zset(elements.iter().map(|e| (bytes(e.field), e.score)).collect()),
        Type::Stream => Value::Stream(copy.stream().cloned().expect("a stream")),
        Type::Hash => {
            let mut hash = Hash::default();
            for e in &elements {
                let value = e.value.unwrap_or_default();
                let field = Field { value, expires_at_ms: e.expires_at_ms };
                hash.insert(e.field.unwrap_or_default(), field);
            }
            Value::Hash(hash)
        }
        other => panic!("no {} here yet", other.name()),
    }
}

type Row = (String, Vec<String>);

/// A row without what the other side has as well, and not all of it where it is long.
fn cut(row: Option<&Row>, other: Option<&Row>) -> String {
    let Some((kind, elements)) = row else { return "nothing".to_owned() };
    let common = |element: &&String| !other.is_some_and(|(_, others)| others.contains(element));
    let differing: Vec<_> = elements.iter().filter(common).take(10).collect();
    let text = format!("{kind} of {}, of which {differing:?}", elements.len());
    text.chars().take(500).collect()
}

/// What the server shows of a key in the selected database.
fn their_row(client: &mut Client, key: &[u8]) -> Option<Row> {
    let kind = client.accepted(&[b"TYPE".as_slice(), key]).text();
    let words: Vec<&[u8]> = match kind.as_str() {
        "string" => vec![b"GET", key],
        "list" => vec![b"LRANGE", key, b"0", b"-1"],
        "set" => vec![b"SMEMBERS", key],
        "zset" => vec![b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        "hash" => vec![b"HGETALL", key],
        "stream" => vec![b"XRANGE", key, b"-", b"+"],
        _ => return None,
    };
    let text = |reply: &Reply| String::from_utf8_lossy(&reply.bytes()).into_owned();
    let elements = match client.accepted(&words) {
        Reply::Array(all) if kind == "hash" || kind == "zset" => {
            all.chunks(2).map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1]))).collect()
        }
        Reply::Array(all) if kind == "stream" => {
            // As our own side shows them: field by field.
            let entries = all.iter().map(|entry| entry.array()[1].array());
            let fields = entries.flat_map(|fields| {
                fields.chunks(2).map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])))
            });
            fields.collect()
        }
        Reply::Array(all) => all.iter().map(text).collect(),
        Reply::Nil => return None,
        one => vec![text(&one)],
    };
    Some((kind, elements))
}

/// Compares the deadlines of all keys and fields, where the server can tell them and they are not
/// near. Returns how many.
fn compare_deadlines(replica: &Replica, client: &mut Client, server: &Server, seed: u64) -> u64 {
    // Before 7.0 deadlines are sent as times to live.
    if server.version() < (7, 0, 0) {
        return 0;
    }
    follower::catch_up(replica, client);
    let soon = now_ms() + SOON_MS;
    let mut compared = 0;
    for (db, keys) in keys(replica) {
        client.accepted(&["SELECT", &db.to_string()]);
        for key in keys {
            let Answer::Found(ours) = replica.lookups().expires_at(db, &key) else { continue };
            if ours.is_some_and(|at| at < soon) {
                continue;
            }
            let theirs = client.accepted(&[b"PEXPIRETIME".as_slice(), &key]).int();
            assert_eq!(
                ours.unwrap_or(-1),
                theirs,
                "seed {seed}: the deadline of {} in {db}",
                key.escape_ascii()
            );
            compared += 1;
            if server.version() >= (7, 4, 0) {
                compared += compare_fields(replica, client, db, &key, seed);
            }
        }
    }
    client.accepted(&["SELECT", "0"]);
    compared
}

fn compare_fields(replica: &Replica, client: &mut Client, db: u32, key: &[u8], seed: u64) -> u64 {
    let soon = now_ms() + SOON_MS;
    if client.command(&[b"TYPE".as_slice(), key]).text() != "hash" {
        return 0;
    }
    let fields: Vec<_> =
        client.accepted(&[b"HKEYS".as_slice(), key]).array().iter().map(Reply::bytes).collect();
    let mut compared = 0;
    for fields in fields.chunks(100) {
        let count = fields.len().to_string();
        let mut words: Vec<&[u8]> = vec![b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()];
        words.extend(fields.iter().map(Vec::as_slice));
        let theirs = client.accepted(&words);
        for (field, theirs) in fields.iter().zip(theirs.array()) {
            let ours = replica.lookups().hget(db, key, field, |_, at| at.unwrap_or(-1));
            // Those that pass meanwhile are not there, on one side or on both.
            let near = |at: i64| (0..soon).contains(&at);
            match (ours, theirs.int()) {
                (Answer::Found(ours), theirs) if !near(ours) && !near(theirs) => {
                    let (key, field) = (key.escape_ascii(), field.escape_ascii());
                    assert_eq!(ours, theirs, "seed {seed}: field {field} of {key} in {db}");
                    compared += 1;
                }
                _ => {}
            }
        }
    }
    compared
}

/// Compares what the digest leaves out of streams: their ids, and their groups. Returns how many.
fn compare_streams(replica: &Replica, client: &mut Client, server: &Server, seed: u64) -> u64 {
    follower::catch_up(replica, client);
    let mut compared = 0;
    for (db, keys) in keys(replica) {
        client.accepted(&["SELECT", &db.to_string()]);
        for key in keys {
            let mut copy = Whole::default();
            let found = replica.lookups().whole(db, &key, true, &mut copy).expect("memory");
            let (Answer::Found(()), Some(ours)) = (found, copy.stream()) else { continue };
            let Reply::Bulk(dump) = client.accepted(&[b"DUMP".as_slice(), &key]) else { continue };
            let Ok(Value::Stream(theirs)) = decode_payload(&dump) else { panic!("no stream") };
            let (ours, theirs) =
                (stream_shown(ours, server.version()), stream_shown(&theirs, server.version()));
            let key = key.escape_ascii();
            assert_eq!(ours, theirs, "seed {seed}: ours and theirs, stream {key} in {db}");
            compared += 1;
        }
    }
    client.accepted(&["SELECT", "0"]);
    compared
}

/// What a replica of this server can know of a stream. Before 7.0 nobody counts entries; a consumer
/// that asked and got nothing is made without telling.
fn stream_shown(stream: &Stream, version: (u32, u32, u32)) -> Vec<String> {
    let mut lines = vec![format!("{} entries, last {}", stream.len(), stream.last_id())];
    let counts = version >= (7, 0, 0);
    if counts {
        lines.push(format!("deleted {}, added {}", stream.max_deleted_id(), stream.added()));
    }
    for (name, group) in stream.groups() {
        // 7.0 counts what is read without telling.
        let read = group.entries_read.filter(|_| version >= (7, 2, 0));
        lines.push(format!("{} {} {read:?}", name.escape_ascii(), group.last_id));
        // Before 7.0 what was deleted can still be claimed; whether by its owner, nobody can tell.
        let there = |pending: &Pending<'_>| counts || stream.contains(pending.id);
        lines.extend(group.pending().filter(there).map(|pending| format!("  {pending:?}")));
        let told = |consumer: &Consumer<'_>| counts && consumer.pending > 0;
        lines.extend(group.consumers().filter(told).map(|consumer| {
            format!("  {} has {}", consumer.name.escape_ascii(), consumer.pending)
        }));
    }
    lines
}

fn report(replica: &Replica, tap: &Tap, server: &Server, seed: u64, tally: &Tally) {
    let info = replica.info();
    let Tally { bursts, commands, refused, deadlines, not_ours, streams, healed } = tally;
    println!(
        "server {:?}, seed {seed}: {commands} commands ({refused} refused), {} units compared \
         in {bursts} bursts ({not_ours} with a fault of the server, {healed} healed), {deadlines} \
         deadlines and {streams} whole streams compared, {} keys in the end",
        server.version(),
        info.units,
        info.keys
    );
    let seen = tap.seen();
    let known: BTreeMap<_, _> = ROWS.iter().map(|row| (row.name, 0)).collect();
    let mut line = String::new();
    for name in known.keys() {
        line += &format!("{name} {}, ", seen.counts.get(*name).copied().unwrap_or(0));
    }
    println!("seen: {}", line.trim_end_matches(", "));
    let strangers: Vec<_> =
        seen.counts.keys().filter(|name| !known.contains_key(name.as_str())).collect();
    assert!(strangers.is_empty(), "no row for {strangers:?}");
    let (major, minor, _) = server.version();
    let is_sent = |row: &&command::Row| {
        let is_sent = about(row.name).is_some_and(|about| about.is_sent_by_redis((major, minor)));
        matches!(row.action, Action::Apply(_)) && is_sent
    };
    let unseen = ROWS.iter().filter(is_sent).map(|row| row.name);
    let unseen: Vec<_> = unseen.filter(|name| !seen.counts.contains_key(*name)).collect();
    println!("sent by this server and not seen: {unseen:?}");
    assert!(tally.bursts < MANY_BURSTS || unseen.is_empty(), "never seen: {unseen:?}");
    assert!(info.units > 0);
}
