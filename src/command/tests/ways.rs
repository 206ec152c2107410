//! Edits of small values have a short way: whatever happens, it comes to what the general one comes
//! to.

use super::*;
use crate::command::known_fingerprint;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn key() -> impl Strategy<Value = String> {
    // Those of some lengths are compared in a way of their own.
    select(vec!["k", "kk", "key-of-usual", "key-of-more-than-sixteen-bytes"])
        .prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["a", "b", "c", "m1", "''", "field-long-name", "1", "-5", "007"])
            .prop_map(str::to_owned),
        1 => select(vec![8, 9, 64, 65, 200]).prop_map(|len| "x".repeat(len)),
        1 => select(vec![300, 490, 520, 900]).prop_map(|len| "y".repeat(len)),
        2 => (0..90_u32).prop_map(|n| format!("n{n}")),
    ]
}

fn integer() -> impl Strategy<Value = String> {
    let least = "-9223372036854775808";
    select(vec!["1", "-1", "+1", "-0", "007", "9223372036854775807", least, "''", "x", "1.5"])
        .prop_map(str::to_owned)
}

fn score() -> impl Strategy<Value = String> {
    let long = "3.14159265358979";
    select(vec!["1", "-0", "0", "-0.0", "inf", "-inf", "1.5", "nan", "1e400", "0x10", "x", long])
        .prop_map(str::to_owned)
}

/// The words of a command: its name, a key, and what follows.
fn of(name: &str, key: String, rest: impl IntoIterator<Item = String>) -> Vec<String> {
    [name.to_owned(), key].into_iter().chain(rest).collect()
}

fn scored() -> impl Strategy<Value = Vec<String>> {
    let options = proptest::sample::subsequence(vec!["NX", "XX", "GT", "LT", "CH", "INCR"], 0..3);
    (key(), options, vec((score(), word()), 1..4)).prop_map(|(key, options, pairs)| {
        let options = options.into_iter().map(str::to_owned);
        of("ZADD", key, options.chain(pairs.into_iter().flat_map(|(score, name)| [score, name])))
    })
}

fn many_scored() -> impl Strategy<Value = Vec<String>> {
    let pairs = |len: usize| (0..len).flat_map(|n| ["-0".to_owned(), format!("n{n}")]);
    (key(), 100..140_usize).prop_map(move |(key, len)| of("ZADD", key, pairs(len)))
}

fn with_deadline() -> impl Strategy<Value = Vec<String>> {
    let options = select(vec!["KEEPTTL FIELDS 1", "PXAT 2000000 FIELDS 1"]);
    (key(), word(), word(), options).prop_map(|(key, name, value, options)| {
        let options = options.split(' ').map(str::to_owned);
        of("HSETEX", key, options.chain([name, value]))
    })
}

/// What edits in a short way, and what makes, moves and ends that which they edit.
fn command() -> impl Strategy<Value = Vec<String>> {
    let one = |name: &'static str| move |(key, word): (String, String)| of(name, key, [word]);
    let push = select(vec!["LPUSH", "RPUSH"]);
    prop_oneof![
        3 => (key(), word()).prop_map(one("SET")),
        2 => (key(), integer()).prop_map(one("SET")),
        4 => (key(), integer()).prop_map(one("INCRBY")),
        1 => (key(), integer()).prop_map(one("DECRBY")),
        6 => (push, key(), vec(word(), 1..5)).prop_map(|(name, key, words)| of(name, key, words)),
        6 => (key(), vec((word(), word()), 1..3)).prop_map(|(key, pairs)| {
            of("HSET", key, pairs.into_iter().flat_map(|(name, value)| [name, value]))
        }),
        2 => with_deadline(),
        2 => (key(), word()).prop_map(one("HDEL")),
        1 => (key(), word(), integer())
            .prop_map(|(key, name, number)| of("HINCRBY", key, [name, number])),
        8 => scored(),
        1 => many_scored(),
        2 => (key(), score(), word())
            .prop_map(|(key, score, name)| of("ZINCRBY", key, [score, name])),
        2 => (key(), word()).prop_map(one("ZREM")),
        2 => key().prop_map(|key| of("PEXPIREAT", key, ["1500000".to_owned()])),
        1 => key().prop_map(|key| of("PERSIST", key, [])),
        2 => key().prop_map(|key| of("DEL", key, [])),
        1 => (key(), key()).prop_map(one("RENAME")),
        1 => select(vec!["FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "SELECT 0", "SELECT 1"])
            .prop_map(|words| words.split(' ').map(str::to_owned).collect()),
    ]
}

fn word_of(word: &str) -> &[u8] {
    if word == "''" { b"" } else { word.as_bytes() }
}

/// All that a key has, as far as that can be told from outside.
fn all_of(entry: &Entry) -> impl PartialEq + fmt::Debug + use<> {
    let zset = match &entry.value {
        Some(Value::Zset(zset)) => {
            let scores: Vec<u64> = zset.iter().map(|(_, score)| score.to_bits()).collect();
            Some((zset.is_packed(), scores))
        }
        _ => None,
    };
    (entry.clone(), known_fingerprint(entry), zset)
}

fn everything(bench: &Bench) -> Vec<(Db, Bytes, impl PartialEq + fmt::Debug + use<>)> {
    let entries = bench.table.entries();
    let mut all: Vec<_> = entries.map(|(db, key, entry)| (db, key, all_of(&entry))).collect();
    all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_short_way_of_an_edit_leads_where_the_general_one_does(
        units in vec((vec(command(), 1..4), any::<u16>()), 1..25),
        server in select(vec!["6.2.14", "7.0.15", "8.2.3"]),
        is_filtered: bool,
        is_unheard: bool,
    ) {
        let bench = |is_general| {
            let server = Server::new(false, server);
            let mut bench = Bench { server, is_general, is_unheard, ..Bench::default() };
            if is_filtered {
                bench.scope.exclude_keys = vec!["kk".into()];
            }
            bench
        };
        let mut both = [bench(false), bench(true)];
        for (commands, vetoes) in &units {
            let commands: Vec<Vec<&[u8]>> = commands
                .iter()
                .map(|words| words.iter().map(|word| word_of(word)).collect())
                .collect();
            let heard = both.each_mut().map(|bench| {
                // About a fourth of the answers is no.
                let mut vetoes = vetoes & vetoes.rotate_left(5);
                bench.run_words(&commands, &mut |_| {
                    vetoes = vetoes.rotate_left(1);
                    if vetoes & 1 == 1 { Verdict::Skip } else { Verdict::Keep }
                })
            });
            let [short, general] = &both;
            prop_assert_eq!(&heard[0], &heard[1]);
            prop_assert_eq!(&short.failures, &general.failures);
            prop_assert_eq!(everything(short), everything(general));
            prop_assert_eq!(short.table.reader().counts(), general.table.reader().counts());
        }
    }
}
