//! The option `heal` on real servers: what a filter made withheld gets the value that the primary
//! has, whatever happens meanwhile to the key, the link or the second connection; and nothing else
//! does.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::change::{Phase, Reason, Verdict};
use rets::error::Kind;
use rets::log::{Level, set_sink};
use rets::replica::{Answer, Info, KeyDigest, Replica};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use support::follower::{
    Witness, catch_up, cut_link, found, get, keys, ready, wait_info, whole, witnessed,
};
use support::random::{Dice, Generator, Words};
use support::sides::now_ms;
use support::{Client, Reply, Server, Which, on_each_server, wait_until};

on_each_server!(
    what_a_filter_made_withheld_gets_its_value,
    what_the_primary_does_not_have_is_no_longer_withheld,
    deadlines_are_the_primary_s,
    a_database_that_is_not_followed_is_a_filter_too,
    random_commands_leave_nothing_withheld,
    keys_are_healed_under_a_writer_while_connections_die,
    what_the_callback_skipped_is_not_fetched,
    a_user_without_the_rights_is_told_which_and_nothing_is_lost,
    a_replica_is_not_asked,
    a_value_that_is_too_large_stays_withheld,
    a_module_s_value_stays_withheld,
);

const FAR: &str = "4102444800123";

/// Keys whose names end with an even digit are left out.
const HALF: &[(&str, &str)] = &[("heal", "yes"), ("exclude-keys", "*[02468]")];

const RAW: &[(&str, &str)] = &[("heal", "yes"), ("exclude-keys", "raw:*")];

fn is_excluded(key: &[u8]) -> bool {
    key.starts_with(b"raw:") || key.last().is_some_and(|last| b"02468".contains(last))
}

/// All keys of the primary that the filter keeps.
fn kept(client: &mut Client) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for db in 0..16 {
        client.accepted(&["SELECT", &db.to_string()]);
        let keys = client.accepted(&["KEYS", "*"]);
        let mut keys: Vec<_> = keys.array().iter().map(Reply::bytes).collect();
        keys.retain(|key| !is_excluded(key));
        keys.sort();
        if !keys.is_empty() {
            all.insert(db, keys);
        }
    }
    client.accepted(&["SELECT", "0"]);
    all
}

/// Waits until everything is applied and nothing is to be fetched any more.
#[track_caller]
fn healed(replica: &Replica, client: &mut Client) -> Info {
    catch_up(replica, client);
    wait_info(replica, "everything is healed", |info| info.healing == 0)
}

/// What differs between both sides in one key.
fn difference_in(
    replica: &Replica,
    client: &mut Client,
    db: u32,
    key: &[u8],
    tells_deadlines: bool,
) -> Option<String> {
    let hex = client.digest_values(&[key]).remove(0);
    let at =
        if tells_deadlines { client.accepted(&[b"PEXPIRETIME".as_slice(), key]).int() } else { -1 };
    let ours = replica.key_digest(db, key);
    let due = replica.lookups().expires_at(db, key);
    // The primary hides what is past, and may delete it at any moment.
    let is_past = |due: i64| due < now_ms() + 1_000;
    if is_past(at) && at >= 0 || matches!(due, Answer::Found(Some(due)) if is_past(due)) {
        return None;
    }
    if replica.lookups().exists(db, key) == Answer::NotFound && hex == "0".repeat(40) {
        return None;
    }
    if ours != Answer::Found(KeyDigest { hex: hex.clone(), complete: true }) {
        return Some(format!("{ours:?}, not {hex}"));
    }
    (tells_deadlines && due != Answer::Found((at >= 0).then_some(at)))
        .then(|| format!("due {due:?}, not {at}"))
}

/// What differs between both sides of what is kept.
fn difference(replica: &Replica, client: &mut Client, server: &Server) -> Option<String> {
    let mut all = kept(client);
    for (db, keys) in keys(replica) {
        let names = all.entry(db).or_default();
        names.extend(keys);
        names.sort();
        names.dedup();
    }
    let mut found = None;
    for (db, keys) in &all {
        client.accepted(&["SELECT", &db.to_string()]);
        for key in keys {
            let new = server.version() >= (7, 0, 0);
            let what = difference_in(replica, client, *db, key, new);
            found = found.or(what.map(|what| format!("{db}/{}: {what}", key.escape_ascii())));
        }
    }
    client.accepted(&["SELECT", "0"]);
    found
}

/// Fails unless both sides have the same of what is kept, and nothing is withheld.
#[track_caller]
fn assert_healed(replica: &Replica, client: &mut Client, server: &Server) -> Info {
    let mut last = String::new();
    for _ in 0..100 {
        let before = catch_up(replica, client);
        let info = healed(replica, client);
        let difference = difference(replica, client, server);
        // Primaries delete by themselves what has expired.
        if client.offset() == before {
            assert_eq!(difference, None);
            assert_eq!(info.ghosts, 0, "{info:#?}");
            return info;
        }
        last = format!("{difference:?}");
    }
    panic!("no offset stood still long enough: {last}");
}

#[track_caller]
fn run(client: &mut Client, commands: &[&str]) {
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let reply = client.command(&words);
        assert_eq!(reply.error(), None, "{command}");
    }
}

fn what_a_filter_made_withheld_gets_its_value(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(
        &mut client,
        &[
            "SET raw:s text",
            "RPUSH raw:l 3 1 2",
            "SADD raw:t a b c",
            "ZADD raw:z 1 a -0.0 b inf c",
            "HSET raw:h f 1 g 2",
            "XADD raw:x 1-1 f v",
            "XGROUP CREATE raw:x group 0",
            "XREADGROUP GROUP group me STREAMS raw:x >",
            "SETBIT raw:b 77 1",
            "PFADD raw:p 1 2 3",
            "GEOADD raw:g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            "RPUSH l:move before",
            "SADD t d",
            "ZADD z 5 d",
            "PFADD p 9",
        ],
    );
    let witness = Witness::new();
    let replica = witnessed(&server.url(), RAW, &witness);
    run(
        &mut client,
        &[
            "COPY raw:s s:copied",
            "COPY raw:h h:copied",
            "COPY raw:x x:copied",
            "COPY raw:l l:copied",
            "HSET h:copied more 1",
            "SUNIONSTORE t:union t raw:t",
            "SINTERSTORE t:inter raw:t raw:t",
            "SADD t:union x",
            "ZUNIONSTORE z:union 2 z raw:z",
            "ZRANGESTORE z:range raw:z 0 1",
            "ZINCRBY z:union 3 d",
            "BITOP OR b:or raw:b raw:s",
            "PFMERGE p raw:p",
            "SORT raw:l STORE l:sorted",
            "GEOSEARCHSTORE g raw:g FROMMEMBER Palermo BYRADIUS 300 km",
            "LMOVE raw:l l:move LEFT RIGHT",
            "RPOPLPUSH raw:l l:new",
            // What is made of these is withheld as well until then.
            "COPY t:union t:again",
            "RENAME z:range z:renamed",
            "SWAPDB 0 5",
            "SWAPDB 5 0",
            "RENAME raw:z z:renamed-raw",
        ],
    );
    let info = assert_healed(&replica, &mut client, &server);
    assert_eq!((info.full_syncs, info.connects, info.unhealed), (1, 1, 0), "{info:#?}");
    // Those made of filtered keys; what was made of these may have found them healed already.
    assert!(info.healed >= 15, "{info:#?}");
    let ours = whole(&replica, 0, b"h:copied").unwrap();
    assert_eq!(ours, ("hash", vec!["f=1".into(), "g=2".into(), "more=1".into()]));
    let all = witness.all();
    let told = all.iter().rfind(|asked| asked.key == "s:copied").unwrap();
    assert_eq!((told.effect.as_str(), told.reason, told.phase), ("set", Reason::Heal, Phase::Live));
    assert_eq!((told.value.as_deref(), told.result_known), (Some("text"), true));
    assert_eq!(told.args, [""; 0]);
    // The second connection goes when it is not needed; a later ghost makes it anew.
    run(&mut client, &["COPY raw:s s:later"]);
    assert_healed(&replica, &mut client, &server);
    assert_eq!(get(&replica, 0, "s:later"), found("text"));
}

fn what_the_primary_does_not_have_is_no_longer_withheld(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SADD t a", "RPUSH l x", "SADD raw:t a", "RPUSH raw:l y"]);
    let witness = Witness::new();
    let replica = witnessed(&server.url(), RAW, &witness);
    // Their results are empty, which the stream does not say.
    run(&mut client, &["SDIFFSTORE t t raw:t", "LMOVE raw:l l LEFT RIGHT", "LPOP l", "LPOP l"]);
    assert_healed(&replica, &mut client, &server);
    assert_eq!(replica.lookups().exists(0, b"t"), Answer::NotFound);
    assert_eq!(replica.lookups().exists(0, b"l"), Answer::NotFound);
    let all = witness.all();
    let told = all.iter().rfind(|asked| asked.key == "t").unwrap();
    assert_eq!((told.effect.as_str(), told.reason), ("delete", Reason::Heal));
}

fn deadlines_are_the_primary_s(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SET raw:s text", "RPUSH raw:l a", &format!("PEXPIREAT raw:s {FAR}")]);
    let replica = ready(&server.url(), RAW);
    run(
        &mut client,
        &["COPY raw:s copied", "COPY raw:l l:due", "PEXPIRE l:due 100", "RENAME raw:s renamed"],
    );
    catch_up(&replica, &mut client);
    let at: i64 = FAR.parse().unwrap();
    for key in ["copied", "renamed"] {
        wait_until("it is healed", || get(&replica, 0, key) == found("text"));
        assert_eq!(replica.lookups().expires_at(0, key.as_bytes()), Answer::Found(Some(at)));
    }
    wait_until("what has expired is gone", || {
        replica.lookups().exists(0, b"l:due") == Answer::NotFound
    });
    run(&mut client, &["PERSIST copied", "APPEND copied !"]);
    assert_healed(&replica, &mut client, &server);
}

fn a_database_that_is_not_followed_is_a_filter_too(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SET a 1", "SET b 2"]);
    let replica = ready(&format!("{}/3", server.url()), &[("heal", "yes")]);
    run(&mut client, &["MOVE a 3", "COPY b b DB 3", "SELECT 3", "INCR b", "SELECT 0"]);
    healed(&replica, &mut client);
    assert_eq!((get(&replica, 3, "a"), get(&replica, 3, "b")), (found("1"), found("3")));
    assert_eq!(get(&replica, 0, "b"), Answer::Withheld);
}

/// What only the primary can know is withheld for another reason than a filter.
fn is_sure(command: &Words) -> bool {
    let text = command.iter().map(|word| String::from_utf8_lossy(word).to_uppercase());
    !text.into_iter().any(|word| word.contains("SORT") || word == "BYPOLYGON")
}

fn random_commands_leave_nothing_withheld(which: Which) {
    let server = Server::start_with(which, &["--proto-max-bulk-len", "1mb"]);
    let mut client = server.client();
    let replica = ready(&server.url(), HALF);
    let mut writer = server.client();
    let mut generator = Generator::new(which as u64 + 77, Vec::new());
    generator.floats_in_scripts = server.version() >= (7, 0, 0);
    let mut healed = 0;
    for round in 0..12 {
        for _ in 0..4 {
            let mut burst = generator.burst(200, now_ms());
            burst.retain(is_sure);
            writer.pipeline(&burst);
            writer.command(&["DISCARD"]);
            writer.pipeline(&[generator.selected()]);
        }
        let info = assert_healed(&replica, &mut client, &server);
        assert_eq!((info.full_syncs, info.failed_commands), (1, 0), "round {round}: {info:#?}");
        healed = info.healed;
    }
    assert!(healed > 20, "{healed}");
}

/// Edits a few keys of each kind as fast as the server takes it, and makes them of filtered ones
/// again and again. It may be ahead of the replica, but not more and more.
fn write_on(mut client: Client, seed: u64, replica: &Replica, ends: &AtomicBool) {
    let mut dice = Dice::new(seed);
    let mut burst: Vec<String> = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        burst.clear();
        while replica.info().spooled_bytes > 1 << 20 && !ends.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        for _ in 0..50 {
            let n = dice.below(4);
            let number = dice.below(1000);
            burst.push(match dice.below(22) {
                0 => format!("COPY raw:s s{n} REPLACE"),
                1 => format!("SUNIONSTORE t{n} raw:t t{n}"),
                2 => format!("ZUNIONSTORE z{n} 2 raw:z z{n}"),
                3 => format!("LMOVE raw:l l{n} LEFT RIGHT"),
                4 => format!("COPY raw:h h{n} REPLACE"),
                5 | 6 => format!("APPEND s{n} {number}"),
                7 => format!("SADD t{n} {number}"),
                8 => format!("SREM t{n} {number}"),
                9 => format!("ZINCRBY z{n} {number} a"),
                10 => format!("ZREMRANGEBYRANK z{n} 5 -1"),
                11 => format!("RPUSH l{n} {number}"),
                12 => format!("LTRIM l{n} 0 9"),
                13 => format!("HINCRBY h{n} f {number}"),
                14 => format!("HDEL h{n} g{number}"),
                15 => format!("HSET h{n} g{number} 1"),
                16 => format!("RPUSH raw:l {number}"),
                17 => format!("LMOVE l{n} l{} RIGHT LEFT", dice.below(4)),
                18 => format!("RENAME h{n} h{}", dice.below(4)),
                19 => format!("SADD raw:t {number}"),
                20 => format!("PEXPIREAT s{n} {FAR}"),
                _ => format!("DEL {}{n}", dice.pick(&["s", "t", "z", "l", "h"])),
            });
            if dice.percent(5) {
                burst.extend(["MULTI".into(), format!("INCR n{n}"), format!("SADD t{n} m")]);
                burst.push("EXEC".into());
            }
        }
        let commands: Vec<Vec<&str>> =
            burst.iter().map(|command| command.split_whitespace().collect()).collect();
        client.pipeline(&commands);
    }
}

/// Sets it when the test ends, however it does.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills every connection of an ordinary client but these.
fn kill_others(client: &mut Client, spared: &[i64]) -> usize {
    let list = client.accepted(&["CLIENT", "LIST", "TYPE", "normal"]).text();
    let ids = list.lines().filter_map(|line| {
        line.split(' ').find_map(|pair| pair.strip_prefix("id=")?.parse::<i64>().ok())
    });
    let others: Vec<_> = ids.filter(|id| !spared.contains(id)).collect();
    for id in &others {
        // It may be gone by itself.
        client.command(&["CLIENT", "KILL", "ID", &id.to_string()]);
    }
    others.len()
}

fn keys_are_healed_under_a_writer_while_connections_die(which: Which) {
    // Enough for whatever the writers do while the link is down.
    let server = Server::start_with(which, &["--repl-backlog-size", "256mb"]);
    let mut client = server.client();
    run(
        &mut client,
        &[
            "SET raw:s text",
            "SADD raw:t a b",
            "ZADD raw:z 1 a 2 b",
            "RPUSH raw:l 1",
            "HSET raw:h f 1 g 2",
        ],
    );
    let replica = ready(&server.url(), RAW);
    let mut writers: Vec<Client> = (0..2).map(|_| server.client()).collect();
    let mut spared: Vec<i64> =
        writers.iter_mut().map(|writer| writer.accepted(&["CLIENT", "ID"]).int()).collect();
    spared.push(client.accepted(&["CLIENT", "ID"]).int());
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (seed, writer) in writers.into_iter().enumerate() {
            let (replica, ends) = (&replica, &ends);
            scope.spawn(move || write_on(writer, seed as u64, replica, ends));
        }
        let _ends = Ends(&ends);
        for round in 0..8 {
            let before = replica.info().commands_applied;
            wait_info(&replica, "some is applied", |info| info.commands_applied > before + 2_000);
            wait_until("somebody fetches", || kill_others(&mut client, &spared) > 0);
            if round % 3 == 1 {
                cut_link(&replica, &mut client);
            }
        }
    });
    run(&mut client, &["COPY raw:s s0 REPLACE", "APPEND s0 !"]);
    let info = assert_healed(&replica, &mut client, &server);
    assert_eq!((info.failed_commands, info.unhealed), (0, 0), "{info:#?}");
    assert!(info.healed > 0 && info.partial_syncs > 0, "{info:#?}");
}

fn what_the_callback_skipped_is_not_fetched(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SET raw:s text", "SADD raw:t a", "SET never x"]);
    let witness = Witness::judging(|change| {
        let never = change.key.starts_with(b"never");
        let late = change.key == b"late" && change.reason == Reason::Heal;
        if never || late { Verdict::Skip } else { Verdict::Keep }
    });
    let replica = witnessed(&server.url(), RAW, &witness);
    run(
        &mut client,
        &[
            "COPY raw:s never:1",
            "COPY never of-never",
            "SUNIONSTORE never:2 raw:t",
            "COPY raw:s late",
            "COPY raw:s wanted",
            "COPY never:1 of-never:1",
        ],
    );
    healed(&replica, &mut client);
    run(&mut client, &["APPEND never:1 x", "APPEND late x", "APPEND of-never x"]);
    let info = healed(&replica, &mut client);
    assert_eq!(get(&replica, 0, "wanted"), found("text"));
    for key in ["never", "never:1", "never:2", "of-never", "of-never:1", "late"] {
        assert_eq!(get(&replica, 0, key), Answer::Withheld, "{key}");
    }
    assert_eq!((info.healed, info.ghosts, info.unhealed), (1, 6, 0), "{info:#?}");
    let healed: Vec<_> = witness.all().into_iter().filter(|a| a.reason == Reason::Heal).collect();
    let mut healed: Vec<_> = healed.iter().map(|asked| asked.brief()).collect();
    healed.sort();
    assert_eq!(healed, ["set late", "set wanted"]);
    // What is written whole is theirs again to decide on.
    run(&mut client, &["SET late y"]);
    catch_up(&replica, &mut client);
    assert_eq!(get(&replica, 0, "late"), found("y"));
}

fn a_user_without_the_rights_is_told_which_and_nothing_is_lost(which: Which) {
    // The log is the whole process's, so the tests on all servers listen together.
    static HEARD: Mutex<String> = Mutex::new(String::new());
    set_sink(
        Some(Arc::new(|_, line| *HEARD.lock().unwrap() += &format!("{line}\n"))),
        Level::Warning,
    );
    let server = Server::start(which);
    let mut client = server.client();
    let user = format!("rep{}", server.port());
    client.accepted(&["ACL", "SETUSER", &user, "on", ">pw", "+psync", "+replconf", "+ping"]);
    run(&mut client, &["SET raw:s text"]);
    let options = [RAW, &[("user", &*user), ("password", "pw")]].concat();
    let replica = ready(&server.url(), &options);
    run(&mut client, &["COPY raw:s a", "COPY raw:s b"]);
    let needs = |right: &str, from: usize| {
        let here = format!(":{}:", server.port());
        let heard = HEARD.lock().unwrap();
        let mut lines = heard.lines().skip(from);
        lines.any(|line| line.contains(&here) && line.contains("+dump") && line.contains(right))
    };
    wait_until("a warning says what is missing", || needs("info", 0));
    catch_up(&replica, &mut client);
    assert_eq!(get(&replica, 0, "a"), Answer::Withheld);
    assert_eq!(replica.info().healing, 2);
    // Everything but DUMP.
    let rights = ["+multi", "+exec", "+select", "+pexpiretime", "+pttl", "+time", "+role", "+info"];
    for right in rights {
        // A server need not know it.
        client.command(&["ACL", "SETUSER", &user, right]);
    }
    client.accepted(&["ACL", "SETUSER", &user, "~*"]);
    let from = HEARD.lock().unwrap().lines().count();
    replica.set_option("password", "pw").unwrap();
    wait_until("a warning says so", || needs("dump\\'", from));
    let info = wait_info(&replica, "it is counted", |info| info.unhealed > 0);
    assert_eq!(info.last_error.map(|error| error.kind()), Some(Kind::Auth));
    run(&mut client, &["APPEND a !"]);
    client.accepted(&["ACL", "SETUSER", &user, "+dump"]);
    replica.set_option("password", "pw").unwrap();
    healed(&replica, &mut client);
    assert_eq!((get(&replica, 0, "a"), get(&replica, 0, "b")), (found("text!"), found("text")));
    assert_eq!(replica.info().full_syncs, 1);
}

fn a_replica_is_not_asked(which: Which) {
    let server = Server::start(which);
    let middle = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SET raw:s text"]);
    middle.client().accepted(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    let replica = ready(&middle.url(), RAW);
    wait_until("the chain is complete", || middle.client().info("master_link_status") == "up");
    run(&mut client, &["COPY raw:s a"]);
    wait_info(&replica, "it is withheld", |info| info.healing == 1);
    wait_until("somebody was asked in vain", || {
        let stats = middle.client().accepted(&["INFO", "commandstats"]).text();
        stats.contains("cmdstat_dump:")
    });
    assert_eq!(get(&replica, 0, "a"), Answer::Withheld);
    // Promoted, it knows.
    middle.client().accepted(&["REPLICAOF", "NO", "ONE"]);
    wait_info(&replica, "it is healed", |info| info.healing == 0);
    assert_eq!(get(&replica, 0, "a"), found("text"));
}

fn a_value_that_is_too_large_stays_withheld(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    run(&mut client, &["SET raw:s text"]);
    client.accepted(&["SETRANGE", "raw:big", "3000000", "x"]);
    // It can't be compressed away.
    let noise: String = {
        let mut dice = Dice::new(1);
        (0..300_000).map(|_| format!("{:08x}", dice.any() as u32)).collect()
    };
    client.accepted(&["SET", "raw:noise", &noise]);
    let options = [RAW, &[("max-memory", "1mb")]].concat();
    let replica = ready(&server.url(), &options);
    run(&mut client, &["COPY raw:big big", "COPY raw:noise noise", "COPY raw:s small"]);
    catch_up(&replica, &mut client);
    wait_info(&replica, "the small one is healed", |info| info.healed == 1 && info.unhealed >= 2);
    assert_eq!(get(&replica, 0, "small"), found("text"));
    for key in ["big", "noise"] {
        assert_eq!(get(&replica, 0, key), Answer::Withheld);
    }
    replica.set_option("max-memory", "0").unwrap();
    run(&mut client, &["SET big now", "DEL noise"]);
    assert_healed(&replica, &mut client, &server);
}

fn a_module_s_value_stays_withheld(which: Which) {
    let server = Server::start(which);
    let mut client = server.client();
    let added = client.command(&["VADD", "raw:m", "VALUES", "2", "1", "1", "a"]);
    if added.error().is_some() {
        assert!(server.version() < (8, 0, 0), "{added:?}");
        return;
    }
    let replica = ready(&server.url(), RAW);
    run(&mut client, &["RENAME raw:m m", "PEXPIREAT m 4102444800000", "VADD m VALUES 2 1 2 b"]);
    let info = healed(&replica, &mut client);
    assert_eq!((info.healed, info.ghosts), (0, 1), "{info:#?}");
    assert_eq!(get(&replica, 0, "m"), Answer::Withheld);
    // What it was is known now: its module's commands withhold nothing else.
    let diverged = info.diverged;
    run(&mut client, &["VADD m VALUES 2 3 2 c", "DEL m"]);
    let info = healed(&replica, &mut client);
    assert_eq!((info.ghosts, info.diverged), (0, diverged), "{info:#?}");
}
