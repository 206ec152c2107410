//! A server, the replica under test, and a replica of the server's own as the judge of both:
//! whether they are equal, and if not, in which keys.

use super::follower::{self, Digests, Witness, catch_up, digests, keys, whole};
use super::random::Words;
use super::tap::{Tap, shown};
use super::{Client, PATIENCE, Reply, Server, Which, wait_until};
use rets::rdb::decode_payload;
use rets::replica::{Answer, Replica, WaitOutcome, Whole};
use rets::value::{Consumer, Pending, Stream, Value};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Deadlines nearer than this may pass while they are compared.
const SOON_MS: i64 = 20_000;

/// How long the primary may take to delete a field that has expired.
const HEALING: Duration = Duration::from_secs(20);

/// How many commands about a key that differs are shown.
const SHOWN: usize = 60;

/// What is told of differences is cut about here.
const TEXT_MAX: usize = 8000;

/// A key and its database.
pub type Place = (u32, Vec<u8>);

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// All of them, with a second connection that sees what the server sends.
pub struct Sides {
    pub server: Server,
    pub replica: Replica,
    pub tap: Tap,
    judge: Server,
    /// A connection to the server that has database 0 selected.
    client: Client,
    gate: Option<Arc<Witness>>,
    /// Where the offset was when all of it was made to begin again.
    began: i64,
}

/// What a comparison finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Equal,
    /// Fields that had expired were equal only when the primary had deleted them.
    Healed,
    /// The primary differs from its own replica as it does from ours: servers have faults, too.
    NotOurs,
    Ours(Difference),
}

/// Where two sides differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// None where the replica itself says that something is wrong.
    pub keys: Vec<Place>,
    pub what: String,
}

impl Difference {
    fn of(place: Place, what: String) -> Self {
        Self { keys: vec![place], what }
    }
}

/// A replica that gives up where it can't follow.
fn strict(server: &Server, gate: Option<&Arc<Witness>>) -> Replica {
    let options = [("on-unknown", "stop"), ("on-failure", "stop")];
    match gate {
        Some(gate) => follower::witnessed(&server.url(), &options, gate),
        None => follower::ready(&server.url(), &options),
    }
}

impl Sides {
    /// Attaches all to a server; what the gate vetoes makes our side wrong.
    #[track_caller]
    pub fn attach(server: Server, gate: Option<Arc<Witness>>) -> Self {
        let tap = Tap::attach(server.port());
        let judge = Server::start(server.which());
        // A server that saves at times also saves at every FLUSHALL.
        server.client().accepted(&["CONFIG", "SET", "save", ""]);
        judge.client().accepted(&["CONFIG", "SET", "save", ""]);
        judge.client().accepted(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
        let replica = strict(&server, gate.as_ref());
        let client = server.client();
        Self { server, replica, tap, judge, client, gate, began: 0 }
    }

    /// Puts a new replica in the place of ours: it gets all by a snapshot.
    #[track_caller]
    pub fn renew(&mut self) {
        self.replica = strict(&self.server, self.gate.as_ref());
    }

    /// Empties the server, and makes sure that both sides begin equal.
    #[track_caller]
    pub fn begin_again(&mut self) {
        self.client.accepted(&["FLUSHALL"]);
        self.client.accepted(&["SCRIPT", "FLUSH"]);
        if self.server.version() >= (7, 0, 0) {
            self.client.accepted(&["FUNCTION", "FLUSH"]);
        }
        if self.settle().is_err() || self.replica.info().ghosts > 0 || !self.digests().1 {
            self.renew();
        }
        self.began = self.client.offset();
    }

    pub fn offset(&mut self) -> i64 {
        self.client.offset()
    }

    /// Both digests at one offset, and whether they are equal.
    fn digests(&mut self) -> (Digests, bool) {
        let digests = digests(&self.replica, &mut self.client);
        let equal = digests.ours == digests.theirs;
        (digests, equal)
    }

    /// Waits until our side is where the server is, or says why it never will be.
    fn settle(&mut self) -> Result<(), Difference> {
        let (replid, offset) = (self.client.replid(), self.client.offset());
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let outcome = self.replica.wait_offset(Some(&replid), offset, 20);
            let info = self.replica.info();
            if info.failed_commands != 0 || info.unknown_commands != 0 || info.full_syncs != 1 {
                return Err(Difference { keys: vec![], what: format!("{info:#?}") });
            }
            if outcome == Ok(WaitOutcome::Reached) {
                return Ok(());
            }
        }
        panic!("not where the primary is: {:#?}", self.replica.info());
    }

    /// Compares the digests.
    #[track_caller]
    pub fn compare(&mut self) -> Outcome {
        if let Err(difference) = self.settle() {
            return Outcome::Ours(difference);
        }
        if self.digests().1 {
            return Outcome::Equal;
        }
        let keys = unequal_keys(&self.replica, &mut self.client);
        if self.heals(&keys) {
            return Outcome::Healed;
        }
        let (ours, judgement) = self.judged();
        if ours == judgement {
            return Outcome::NotOurs;
        }
        Outcome::Ours(Difference { keys, what: "the digests differ".to_owned() })
    }

    /// Compares what digests leave out: deadlines, and what belongs to streams. Returns how many of
    /// both.
    #[track_caller]
    pub fn look(&mut self) -> Result<(u64, u64), Difference> {
        let deadlines = compare_deadlines(&self.replica, &mut self.client, &self.server)?;
        let streams = compare_streams(&self.replica, &mut self.client, &self.server)?;
        Ok((deadlines, streams))
    }

    /// Waits until hashes are equal because the primary deletes fields that have expired: before
    /// that, an HPERSIST does not tell a replica which of them it left alone. Anything else does
    /// not heal.
    fn heals(&mut self, keys: &[Place]) -> bool {
        let sent = self.tap.since(self.began);
        if !sent.iter().any(|line| line.contains("HPERSIST")) {
            return false;
        }
        for (db, key) in keys {
            self.client.accepted(&["SELECT", &db.to_string()]);
            let kind = self.client.accepted(&[b"TYPE".as_slice(), key]).text();
            self.client.accepted(&["SELECT", "0"]);
            if kind != "hash" {
                return false;
            }
        }
        let began = Instant::now();
        let mut healed = false;
        while !healed && began.elapsed() < HEALING {
            std::thread::sleep(Duration::from_millis(20));
            healed = self.digests().1;
        }
        healed
    }

    /// Our digest and that of the server's own replica, at one offset: the primary may go on
    /// deleting what has expired.
    fn judged(&mut self) -> (String, String) {
        let mut theirs = self.judge.client();
        let mut both = None;
        wait_until("both replicas are at one offset", || {
            let ours = digests(&self.replica, &mut self.client);
            let judgement = theirs.digest();
            both = (theirs.offset() == ours.offset).then_some((ours.ours, judgement));
            both.is_some()
        });
        both.expect("waited for it")
    }

    /// What both sides have under the first keys that differ, and how it came about.
    #[track_caller]
    pub fn explain(&mut self, burst: &[Words]) -> String {
        let offset = self.client.offset();
        self.tap.wait(offset);
        self.client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        let text = differences(&self.replica, &mut self.client, &self.tap, burst);
        self.client.accepted(&["SELECT", "0"]);
        self.client.accepted(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
        text
    }
}

/// The keys of which both sides have other digests, also those that are logically expired.
fn unequal_keys(replica: &Replica, client: &mut Client) -> Vec<(u32, Vec<u8>)> {
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
            if theirs != our_digest(replica, db, &key) {
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
        let ours = our_row(replica, db, &key);
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
        if text.len() > TEXT_MAX {
            return text;
        }
    }
    text
}

/// DIGEST-VALUE of our own; zeros where there is nothing.
fn our_digest(replica: &Replica, db: u32, key: &[u8]) -> String {
    match replica.key_digest(db, key) {
        Answer::Found(digest) => digest.hex,
        _ => "0".repeat(40),
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

fn our_row(replica: &Replica, db: u32, key: &[u8]) -> Option<Row> {
    match replica.lookups().whole(db, key, true, &mut Whole::default()).expect("memory") {
        Answer::Withheld => Some(("withheld".to_owned(), Vec::new())),
        _ => whole(replica, db, key).map(|(kind, elements)| (kind.to_owned(), elements)),
    }
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
fn compare_deadlines(
    replica: &Replica,
    client: &mut Client,
    server: &Server,
) -> Result<u64, Difference> {
    // Before 7.0 deadlines are sent as times to live.
    if server.version() < (7, 0, 0) {
        return Ok(0);
    }
    catch_up(replica, client);
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
            let ours = ours.unwrap_or(-1);
            if ours != theirs {
                let what =
                    format!("deadline of {} in {db}: {ours}, not {theirs}", key.escape_ascii());
                client.accepted(&["SELECT", "0"]);
                return Err(Difference::of((db, key), what));
            }
            compared += 1;
            if server.version() >= (7, 4, 0) {
                compared += compare_fields(replica, client, db, &key)?;
            }
        }
    }
    client.accepted(&["SELECT", "0"]);
    Ok(compared)
}

fn compare_fields(
    replica: &Replica,
    client: &mut Client,
    db: u32,
    key: &[u8],
) -> Result<u64, Difference> {
    let soon = now_ms() + SOON_MS;
    if client.command(&[b"TYPE".as_slice(), key]).text() != "hash" {
        return Ok(0);
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
            let (Answer::Found(ours), theirs) = (ours, theirs.int()) else { continue };
            if near(ours) || near(theirs) {
                continue;
            }
            if ours != theirs {
                let (shown, field) = (key.escape_ascii(), field.escape_ascii());
                let what =
                    format!("deadline of field {field} of {shown} in {db}: {ours}, not {theirs}");
                client.accepted(&["SELECT", "0"]);
                return Err(Difference::of((db, key.to_owned()), what));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

/// Compares what the digest leaves out of streams: their ids, and their groups. Returns how many.
fn compare_streams(
    replica: &Replica,
    client: &mut Client,
    server: &Server,
) -> Result<u64, Difference> {
    catch_up(replica, client);
    let mut compared = 0;
    for (db, keys) in keys(replica) {
        client.accepted(&["SELECT", &db.to_string()]);
        for key in keys {
            let mut copy = Whole::default();
            let found = replica.lookups().whole(db, &key, true, &mut copy).expect("memory");
            let (Answer::Found(()), Some(ours)) = (found, copy.stream()) else { continue };
            let Reply::Bulk(dump) = client.accepted(&[b"DUMP".as_slice(), &key]) else { continue };
            let Ok(Value::Stream(theirs)) = decode_payload(&dump) else { panic!("no stream") };
            let ours = stream_shown(ours, server.version());
            let theirs = stream_shown(&theirs, server.version());
            if ours != theirs {
                let shown = key.escape_ascii();
                let what = format!("stream {shown} in {db}:\n  {ours:?}, not\n  {theirs:?}");
                client.accepted(&["SELECT", "0"]);
                return Err(Difference::of((db, key), what));
            }
            compared += 1;
        }
    }
    client.accepted(&["SELECT", "0"]);
    Ok(compared)
}

/// What a replica of this server can know of a stream. Before 7.0 nobody counts entries; a consumer
/// that asked and got nothing is made without telling.
pub fn stream_shown(stream: &Stream, version: (u32, u32, u32)) -> Vec<String> {
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
