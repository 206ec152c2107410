//! Random commands of a client, and random answers of a program.

use super::*;
use proptest::prelude::*;

/// Commands that a client may give; some of them fail.
pub(crate) fn any_command() -> impl Strategy<Value = String> {
    let pick = |words: &'static [&'static str]| proptest::sample::select(words);
    let key = pick(&["a", "b", "c", "x"]);
    let value = pick(&["1", "7", "v"]);
    let at = pick(&["900000", "2000000", "3000000"]);
    let field = pick(&["f", "g", "h"]);
    let condition = pick(&["NX", "XX", "GT", "LT"]);
    let forms = pick(&[
        "SET K V",
        "SET K V KEEPTTL",
        "SET K V PXAT T",
        "SETNX K V",
        "GETSET K V",
        "MSET K V L W",
        "APPEND K V",
        "INCRBY K 5",
        "INCRBY K 5",
        "DEL K L",
        "UNLINK K",
        "PEXPIREAT K T",
        "PEXPIREAT K T",
        "PERSIST K",
        "RENAME K L",
        "RENAME K L",
        "MOVE K D",
        "COPY K L DB D REPLACE",
        "SELECT D",
        "HSET K F V G W",
        "HSET K F V G W",
        "HSET K F V G W",
        "HSETEX K KEEPTTL FIELDS 1 F V",
        "HSETEX K PXAT T FIELDS 1 F V",
        "HINCRBY K F 3",
        "HINCRBY K F 3",
        "HDEL K F G",
        "HDEL K F G",
        "HPEXPIREAT K T C FIELDS 2 F G",
        "HPERSIST K FIELDS 2 F G",
        "RPUSH K V W",
        "RPUSH K V W",
        "LPUSH K V",
        "LPOP K",
        "RPOP K 2",
        "LSET K -1 V",
        "LREM K 1 V",
        "LTRIM K 1 2",
        "LINSERT K BEFORE V W",
        "RPOPLPUSH K L",
        "LMOVE K L LEFT RIGHT",
        "LMOVE K L LEFT RIGHT",
        "SADD K F G",
        "SADD K F G",
        "SADD K F G",
        "SREM K F G",
        "SREM K F G",
        "SMOVE K L F",
        "SMOVE K L F",
        "SUNIONSTORE K L a",
        "SINTERSTORE K L a",
        "SDIFFSTORE K L a",
        "SORT K ALPHA STORE L",
        "ZADD K 1 F 2 G",
        "ZADD K 1 F 2 G",
        "ZADD K 2 F 1 G",
        "ZADD K NX 3 F 4 G",
        "ZADD K XX GT 3 F 0 G",
        "ZADD K LT 1 F 1 G",
        "ZINCRBY K 2 F",
        "ZREM K F G",
        "ZREM K F G",
        "ZREMRANGEBYRANK K 0 0",
        "ZREMRANGEBYRANK K 1 -1",
        "ZREMRANGEBYRANK K 0 -1",
        "ZREMRANGEBYSCORE K 2 3",
        "ZREMRANGEBYSCORE K -inf (2",
        "ZREMRANGEBYSCORE K 2 3",
        "ZREMRANGEBYLEX K [f (h",
        "ZPOPMIN K",
        "ZPOPMAX K 2",
        "ZUNIONSTORE K 2 L a",
        "ZINTERSTORE K 2 L a",
        "ZDIFFSTORE K 2 L a",
        "ZRANGESTORE K L 0 0 REV",
        "RARE",
    ]);
    let rare = pick(&["FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "DEL K"]);
    let db = pick(&["0", "1"]);
    (forms, key.clone(), key, value.clone(), value, at, (field.clone(), field, condition, rare, db))
        .prop_map(|(form, k, l, v, w, t, (f, g, c, rare, d))| {
            let form = if form == "RARE" { rare } else { form };
            let word = |word: &str| match word {
                "K" => k.to_owned(),
                "L" => l.to_owned(),
                "V" => v.to_owned(),
                "W" => w.to_owned(),
                "T" => t.to_owned(),
                "F" => f.to_owned(),
                "G" => g.to_owned(),
                "C" => c.to_owned(),
                "D" => d.to_owned(),
                word => word.to_owned(),
            };
            form.split(' ').map(word).collect::<Vec<_>>().join(" ")
        })
}

/// Whole units of such commands, and how often a program says no.
pub(crate) fn any_history() -> impl Strategy<Value = (Vec<Vec<String>>, u64, u64)> {
    let unit = proptest::collection::vec(any_command(), 1..4);
    (proptest::collection::vec(unit, 1..40), any::<u64>(), 0u64..4)
}

/// Says no to one question out of so many, by chance that can be repeated; to none for 0.
pub(crate) struct Moods {
    state: u64,
    one_of: u64,
}

impl Moods {
    pub(crate) fn new(seed: u64, one_of: u64) -> Self {
        Self { state: seed | 1, one_of }
    }

    pub(crate) fn answer(&mut self) -> Verdict {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let no = self.one_of > 0 && (self.state >> 33).is_multiple_of(self.one_of + 1);
        if no { Verdict::Skip } else { Verdict::Keep }
    }
}

/// Lets the primary carry out a unit and the bench follow what it sends.
pub(crate) fn follow(
    bench: &mut Bench,
    truth: &mut Truth,
    mirror: &mut Mirror,
    moods: &mut Moods,
    unit: &[String],
) {
    let sent: Vec<Vec<&[u8]>> =
        unit.iter().filter(|command| truth.execute(command)).map(|c| words(c)).collect();
    bench.run_words(&sent, &mut |change| {
        let verdict = moods.answer();
        mirror.hear(change, verdict);
        verdict
    });
    assert_eq!(bench.failures, [""; 0], "{unit:?}");
}
