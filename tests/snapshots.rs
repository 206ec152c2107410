//! Snapshots as real servers write them decode to what the servers say they hold; recorded ones
//! decode as far as their types are supported, and then say exactly where they are not.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::error::Error;
use rets::rdb::{Checksum, Decoder, Item, decode_payload};
use rets::value::{DatasetDigest, DigestRules, ScoreText, Value, key_digest};
use std::collections::BTreeMap;
use support::{Client, Reply, Server, Session, Which, on_each_server};

on_each_server!(snapshots_and_payloads_hold_what_the_server_holds);

/// As much as a socket gives at a time.
const PART: usize = 16 * 1024;

type Dataset = BTreeMap<(u32, Vec<u8>), (Value, bool)>;

struct Snapshot {
    keys: Dataset,
    checksum: Option<Checksum>,
    rest: Vec<u8>,
    error: Option<Error>,
}

fn decode(bytes: &[u8]) -> Snapshot {
    let mut decoder = Decoder::new();
    let mut all = Snapshot { keys: Dataset::new(), checksum: None, rest: Vec::new(), error: None };
    for part in bytes.chunks(PART) {
        decoder.feed(part);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(Item::End { checksum })) => all.checksum = Some(checksum),
                Ok(Some(Item::Entry { db, key, value, expires_at_ms })) => {
                    let value = (value, expires_at_ms.is_some());
                    assert!(all.keys.insert((db, key.to_vec()), value).is_none());
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    all.error = Some(error);
                    return all;
                }
            }
        }
    }
    all.rest = decoder.take_rest();
    all
}

fn digest(keys: &Dataset, rules: &DigestRules) -> String {
    let mut digest = DatasetDigest::new();
    let mut current = None;
    for ((db, key), (value, has_expiry)) in keys {
        if current != Some(db) {
            digest.database(*db);
            current = Some(db);
        }
        digest.key(key_digest(key, value, *has_expiry, rules));
    }
    digest.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rules(version: (u32, u32, u32)) -> DigestRules {
    DigestRules {
        scores: if version >= (7, 2, 0) { ScoreText::Short } else { ScoreText::G17 },
        hash_field_mark: version >= (7, 4, 0),
        skip_expired_fields_at_ms: None,
    }
}

/// Numbers that only depend on the seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }

    fn number(&mut self) -> Vec<u8> {
        let bits = self.one_of(&[4, 7, 8, 12, 13, 15, 16, 23, 24, 31, 32, 63]);
        let edge = i64::MIN >> (63 - bits);
        let near = edge.wrapping_add(self.below(5) as i64 - 2);
        let number = if self.below(2) == 0 { near } else { near.wrapping_neg() };
        number.to_string().into_bytes()
    }

    /// Text, numbers and bytes with lengths on both sides of the borders of encodings.
    fn string(&mut self) -> Vec<u8> {
        let len = self.one_of(&[0, 1, 20, 62, 63, 64, 65, 126, 253, 254, 4095, 4096, 16378, 16383]);
        match self.below(8) {
            0 => self.number(),
            1 => vec![b'x'; len],
            2 => (0..len).map(|_| self.below(256) as u8).collect(),
            _ => format!("element:{}", self.below(100_000)).into_bytes(),
        }
    }

    fn score(&mut self) -> Vec<u8> {
        let fixed = ["0", "1", "-1.5", "inf", "-inf", "0.1", "1e300", "5e-324", "17179869184"];
        match self.below(3) {
            0 => self.one_of(&fixed).as_bytes().to_vec(),
            1 => self.number(),
            _ => format!("{}", self.below(1 << 50) as f64 / 1e6).into_bytes(),
        }
    }

    fn command(&mut self, key: Vec<u8>) -> Vec<Vec<u8>> {
        let count = self.one_of(&[1, 2, 5, 30, 127, 128, 129, 512, 513]);
        let plain = self.below(2) == 0;
        let numbers = self.below(4) == 0;
        let string = |dice: &mut Self| match (numbers, plain) {
            (true, _) => dice.number(),
            (_, true) => format!("e{}", dice.below(1_000_000)).into_bytes(),
            _ => dice.string(),
        };
        let name = self.one_of(&["SET", "RPUSH", "LPUSH", "SADD", "ZADD", "HSET"]);
        let mut args = vec![name.as_bytes().to_vec(), key];
        for _ in 0..if name == "SET" { 1 } else { count } {
            if name == "ZADD" {
                args.push(self.score());
            }
            args.push(string(self));
            if name == "HSET" {
                args.push(string(self));
            }
        }
        args
    }
}

/// A stream with blocks of entries, some deleted, and groups that have read some of them.
fn stream(client: &mut Client, dice: &mut Dice, key: &[u8]) {
    let mut add = |client: &mut Client, at: u64| {
        let id = format!("{}-{}", 1_600_000_000_000 + at * 7, at % 3).into_bytes();
        let fields = if dice.below(5) == 0 { vec![dice.string(), dice.string()] } else { vec![] };
        let value = dice.string();
        let mut command: Vec<&[u8]> = vec![b"XADD", key, &id, b"name", &value];
        command.extend(fields.iter().map(Vec::as_slice));
        client.accepted(&command);
        id
    };
    let ids: Vec<Vec<u8>> = (0..150).map(|at| add(client, at)).collect();
    for id in ids.iter().step_by(11) {
        client.accepted::<&[u8]>(&[b"XDEL", key, id]);
    }
    for (at, group) in [&b"first"[..], b"second", b"third"].into_iter().enumerate() {
        client.accepted::<&[u8]>(&[b"XGROUP", b"CREATE", key, group, &ids[at * 20]]);
        for (consumer, count) in [(&b"alice"[..], b"7"), (b"bob", b"2"), (b"alice", b"3")] {
            let read: [&[u8]; 9] =
                [b"XREADGROUP", b"GROUP", group, consumer, b"COUNT", count, b"STREAMS", key, b">"];
            client.accepted(&read);
        }
        let acknowledged = &ids[at * 20 + 3];
        client.accepted::<&[u8]>(&[b"XACK", key, group, acknowledged]);
    }
    client.accepted::<&[u8]>(&[b"XGROUP", b"DESTROY", key, b"third"]);
    match dice.below(3) {
        0 => client.accepted::<&[u8]>(&[b"XTRIM", key, b"MAXLEN", b"99"]),
        1 => client.accepted::<&[u8]>(&[b"XTRIM", key, b"MAXLEN", b"0"]),
        _ => Reply::Nil,
    };
}

fn fill(client: &mut Client, dice: &mut Dice, field_deadlines: bool) {
    for n in 0..6 {
        stream(client, dice, format!("stream:{n}").as_bytes());
    }
    const FAR_MS: u64 = 4_102_444_800_000;
    for n in 0..150 {
        if dice.below(5) == 0 {
            client.accepted(&["SELECT", &dice.below(16).to_string()]);
        }
        let key = format!("key:{n}").into_bytes();
        let command = dice.command(key.clone());
        client.accepted(&command);
        let due = (FAR_MS + dice.below(1 << 40)).to_string().into_bytes();
        if dice.below(3) == 0 {
            client.accepted(&[b"PEXPIREAT".to_vec(), key.clone(), due.clone()]);
        }
        if field_deadlines && command[0] == b"HSET" && dice.below(2) == 0 {
            for field in command[2..].chunks(2).step_by(3) {
                let at = (FAR_MS + dice.below(1 << 20)).to_string().into_bytes();
                let words: [&[u8]; 6] = [b"HPEXPIREAT", &key, &at, b"FIELDS", b"1", &field[0]];
                client.accepted(&words);
            }
        }
    }
}

fn snapshots_and_payloads_hold_what_the_server_holds(which: Which) {
    let settings: [&[&str]; 4] = [
        &[],
        &["--rdbcompression", "no", "--rdbchecksum", "no", "--list-max-ziplist-size", "4"],
        &["--hash-max-ziplist-value", "20000", "--zset-max-ziplist-value", "20000"],
        &["--maxmemory", "4gb", "--maxmemory-policy", "allkeys-lfu", "--list-compress-depth", "1"],
    ];
    for (seed, args) in (1..).zip(settings) {
        let server = Server::start_with(which, args);
        let mut client = server.client();
        let version = server.version();
        if version >= (7, 0, 0) && seed % 2 == 0 {
            client.accepted(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "3000b"]);
        }
        fill(&mut client, &mut Dice(0x9e37_79b9 * seed), version >= (7, 4, 0));
        client.accepted(&["SAVE"]);
        let found = decode(&std::fs::read(server.folder().join("dump.rdb")).unwrap());
        assert_eq!(found.error, None);
        assert_eq!(digest(&found.keys, &rules(version)), client.digest(), "{args:?}");
        let expected = if seed == 2 { Checksum::Disabled } else { Checksum::Verified };
        assert_eq!((found.checksum, found.rest), (Some(expected), vec![]));
        for ((db, key), (value, _)) in &found.keys {
            client.accepted(&["SELECT", &db.to_string()]);
            let dump = client.command(&[b"DUMP", &key[..]]);
            assert!(matches!(dump, Reply::Bulk(_)), "{dump:?}");
            assert_eq!(decode_payload(&dump.bytes()).as_ref(), Ok(value), "{args:?} {key:?}");
        }
    }
}

#[test]
fn recorded_snapshots_decode_wholly() {
    for (name, keys, checksum) in [
        ("redis-2.4", 286, Checksum::Absent),
        ("redis-2.8", 290, Checksum::Verified),
        ("redis-3.2", 290, Checksum::Verified),
        ("redis-5.0", 298, Checksum::Verified),
        ("redis-7.4", 298, Checksum::Verified),
        ("redis-8.9", 304, Checksum::Verified),
        ("valkey-8.0", 298, Checksum::Verified),
        ("valkey-9.0", 298, Checksum::Verified),
    ] {
        let session = Session::load(name);
        let found = decode(&[session.snapshot(), b"*1\r\n"].concat());
        assert_eq!(found.error, None, "{name}");
        assert_eq!(found.checksum, Some(checksum), "{name}");
        assert_eq!(found.keys.len(), keys, "{name}");
        assert_eq!(found.rest, b"*1\r\n", "{name}");
    }
}
