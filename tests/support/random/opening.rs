//! Every command that a live server sends, once at least, in a form that it certainly sends: what
//! comes before the random ones, so that no run depends on chance for having seen them all.

use super::Words;
use rets::command::{Version, about};

/// A command of the stream, with the word that follows where there are several kinds; and what
/// makes a server send it, one command after the other. `@` stands for a key of its own, `PAYLOAD`
/// for the dump of a string.
type Scene = (&'static str, &'static [&'static str]);

/// It begins with FLUSHALL, which would take from the others what they need.
pub const SCENES: &[Scene] = &[
    ("FLUSHALL", &["SET @ v", "FLUSHALL"]),
    ("APPEND", &["APPEND @ v"]),
    ("BITFIELD", &["BITFIELD @ SET u8 0 255"]),
    ("BITOP", &["SET @ v", "BITOP NOT @2 @"]),
    ("COPY", &["SET @ v", "COPY @ @2"]),
    ("DECR", &["DECR @"]),
    ("DECRBY", &["DECRBY @ 2"]),
    ("DEL", &["SET @ v", "DEL @"]),
    ("EXEC", &["MULTI", "SET @ v", "SET @2 v", "EXEC"]),
    ("EXPIRE", &["SET @ v", "EXPIRE @ 1000000"]),
    ("EXPIREAT", &["SET @ v", "EXPIREAT @ 4102444800"]),
    ("FLUSHDB", &["SELECT 3", "SET @ v", "FLUSHDB", "SELECT 0"]),
    ("FUNCTION DELETE", &[LIBRARY, "FUNCTION DELETE opening"]),
    ("FUNCTION FLUSH", &["FUNCTION FLUSH"]),
    ("FUNCTION LOAD", &[LIBRARY]),
    ("GEORADIUS", &["GEOADD @ 13.36 38.11 a", "GEORADIUS @ 13 38 900 km STORE @2"]),
    ("GEORADIUSBYMEMBER", &["GEOADD @ 13.36 38.11 a", "GEORADIUSBYMEMBER @ a 9 km STORE @2"]),
    ("GEOSEARCHSTORE", &["GEOADD @ 1 2 a", "GEOSEARCHSTORE @2 @ FROMMEMBER a BYRADIUS 9 km"]),
    ("HDEL", &["HSET @ f v g v", "HDEL @ f"]),
    ("HINCRBY", &["HINCRBY @ f 2"]),
    ("HMSET", &["HMSET @ f v"]),
    ("HPERSIST", &["HSET @ f v", "HPEXPIREAT @ 4102444800000 FIELDS 1 f", "HPERSIST @ FIELDS 1 f"]),
    ("HPEXPIREAT", &["HSET @ f v", "HPEXPIREAT @ 4102444800000 FIELDS 1 f"]),
    ("HSET", &["HSET @ f v"]),
    ("HSETEX", &["HSETEX @ PXAT 4102444800000 FIELDS 1 f v"]),
    ("HSETNX", &["HSETNX @ f v"]),
    ("INCR", &["INCR @"]),
    ("INCRBY", &["INCRBY @ 2"]),
    ("LINSERT", &["RPUSH @ a c", "LINSERT @ BEFORE c b"]),
    ("LMOVE", &["RPUSH @ a b", "LMOVE @ @2 LEFT RIGHT"]),
    ("LPOP", &["RPUSH @ a b", "LPOP @"]),
    ("LPUSH", &["LPUSH @ a b"]),
    ("LPUSHX", &["LPUSH @ a", "LPUSHX @ b"]),
    ("LREM", &["RPUSH @ a b a", "LREM @ 1 a"]),
    ("LSET", &["RPUSH @ a b", "LSET @ 1 c"]),
    ("LTRIM", &["RPUSH @ a b c", "LTRIM @ 1 1"]),
    ("MOVE", &["SET @ v", "MOVE @ 3"]),
    ("MSET", &["MSET @ v @2 v"]),
    ("MSETNX", &["MSETNX @ v @2 v"]),
    ("MULTI", &["MULTI", "SET @ v", "SET @2 v", "EXEC"]),
    ("PERSIST", &["SET @ v PX 100000000", "PERSIST @"]),
    ("PEXPIRE", &["SET @ v", "PEXPIRE @ 100000000"]),
    ("PEXPIREAT", &["SET @ v", "PEXPIREAT @ 4102444800000"]),
    ("PFADD", &["PFADD @ a b"]),
    ("PFCOUNT", &["PFADD @ a b", "PFCOUNT @"]),
    ("PFDEBUG", &["PFADD @ a b", "PFDEBUG TODENSE @"]),
    ("PFMERGE", &["PFADD @ a b", "PFMERGE @2 @"]),
    // The server's clock sends it.
    ("PING", &["CONFIG SET repl-ping-replica-period 1"]),
    ("PUBLISH", &["PUBLISH channel message"]),
    ("RENAME", &["SET @ v", "RENAME @ @2"]),
    ("RENAMENX", &["SET @ v", "RENAMENX @ @2"]),
    // Asked to wait for more replicas than there are, a server asks those that there are.
    ("REPLCONF", &["SET @ v", "WAIT 100 10"]),
    ("RESTORE", &["RESTORE @ 0 PAYLOAD"]),
    ("RPOP", &["RPUSH @ a b", "RPOP @"]),
    ("RPOPLPUSH", &["RPUSH @ a b", "RPOPLPUSH @ @2"]),
    ("RPUSH", &["RPUSH @ a b"]),
    ("RPUSHX", &["RPUSH @ a", "RPUSHX @ b"]),
    ("SADD", &["SADD @ a b"]),
    ("SCRIPT FLUSH", &["SCRIPT FLUSH"]),
    ("SCRIPT LOAD", &["SCRIPT LOAD return(1)"]),
    ("SDIFFSTORE", &["SADD @ a b", "SDIFFSTORE @2 @ @3"]),
    ("SELECT", &["SELECT 3", "SET @ v", "SELECT 0"]),
    ("SET", &["SET @ v"]),
    ("SETBIT", &["SETBIT @ 9 1"]),
    ("SETNX", &["SETNX @ v"]),
    ("SETRANGE", &["SETRANGE @ 3 v"]),
    ("SINTERSTORE", &["SADD @ a b", "SINTERSTORE @2 @ @"]),
    ("SMOVE", &["SADD @ a b", "SMOVE @ @2 a"]),
    ("SORT", &["RPUSH @ 3 1 2", "SORT @ STORE @2"]),
    ("SPUBLISH", &["SPUBLISH channel message"]),
    ("SREM", &["SADD @ a b", "SREM @ a"]),
    ("SUNIONSTORE", &["SADD @ a b", "SUNIONSTORE @2 @ @3"]),
    ("SWAPDB", &["SWAPDB 3 4"]),
    ("UNLINK", &["SET @ v", "UNLINK @"]),
    ("XACK", &[GROUP, "XADD @ 1-1 f v", READ, "XACK @ g 1-1"]),
    ("XACKDEL", &[GROUP, "XADD @ 1-1 f v", READ, "XACKDEL @ g IDS 1 1-1"]),
    ("XADD", &["XADD @ 1-1 f v"]),
    ("XCLAIM", &[GROUP, "XADD @ 1-1 f v", READ, "XCLAIM @ g other 0 1-1"]),
    ("XDEL", &["XADD @ 1-1 f v", "XDEL @ 1-1"]),
    ("XDELEX", &["XADD @ 1-1 f v", "XDELEX @ IDS 1 1-1"]),
    ("XGROUP CREATE", &[GROUP]),
    ("XGROUP CREATECONSUMER", &[GROUP, "XGROUP CREATECONSUMER @ g al"]),
    ("XGROUP DELCONSUMER", &[GROUP, "XGROUP CREATECONSUMER @ g al", "XGROUP DELCONSUMER @ g al"]),
    ("XGROUP DESTROY", &[GROUP, "XGROUP DESTROY @ g"]),
    ("XGROUP SETID", &[GROUP, "XADD @ 1-1 f v", "XGROUP SETID @ g 1-1"]),
    ("XSETID", &["XADD @ 1-1 f v", "XSETID @ 5-5"]),
    ("XTRIM", &["XADD @ 1-1 f v", "XADD @ 2-2 f v", "XTRIM @ MAXLEN 1"]),
    ("ZADD", &["ZADD @ 1 a"]),
    ("ZDIFFSTORE", &["ZADD @ 1 a", "ZDIFFSTORE @2 2 @ @3"]),
    ("ZINCRBY", &["ZINCRBY @ 2 a"]),
    ("ZINTERSTORE", &["ZADD @ 1 a", "ZINTERSTORE @2 2 @ @"]),
    ("ZPOPMAX", &["ZADD @ 1 a 2 b", "ZPOPMAX @"]),
    ("ZPOPMIN", &["ZADD @ 1 a 2 b", "ZPOPMIN @"]),
    ("ZRANGESTORE", &["ZADD @ 1 a 2 b", "ZRANGESTORE @2 @ 0 0"]),
    ("ZREM", &["ZADD @ 1 a 2 b", "ZREM @ a"]),
    ("ZREMRANGEBYLEX", &["ZADD @ 1 a 1 b", "ZREMRANGEBYLEX @ - [a"]),
    ("ZREMRANGEBYRANK", &["ZADD @ 1 a 2 b", "ZREMRANGEBYRANK @ 0 0"]),
    ("ZREMRANGEBYSCORE", &["ZADD @ 1 a 2 b", "ZREMRANGEBYSCORE @ 0 1"]),
    ("ZUNIONSTORE", &["ZADD @ 1 a", "ZUNIONSTORE @2 2 @ @3"]),
];

const GROUP: &str = "XGROUP CREATE @ g 0 MKSTREAM";
const READ: &str = "XREADGROUP GROUP g al STREAMS @ >";
const LIBRARY: &str = "FUNCTION LOAD REPLACE \
    #!lua\tname=opening\nredis.register_function('opening',function()return(1)end)";

/// The scenes whose command this version of Redis sends.
pub fn scenes(version: Version) -> impl Iterator<Item = &'static Scene> {
    SCENES.iter().filter(move |(name, _)| {
        let first = name.split(' ').next().unwrap_or_default();
        about(first).is_some_and(|about| about.is_sent_by_redis(version))
    })
}

/// The commands of all scenes for this version, for a connection that has database 0 selected.
pub fn opening(version: Version, payload: &[u8]) -> Vec<Words> {
    let play_it = |scene: &'static Scene| play(scene, &format!("opening {}", scene.0), payload);
    scenes(version).flat_map(play_it).collect()
}

/// The commands of one scene, with keys that begin with this.
pub(super) fn play((_, lines): &Scene, key: &str, payload: &[u8]) -> Vec<Words> {
    let word = |word: &str| match (word, word.strip_prefix('@')) {
        ("PAYLOAD", _) => payload.to_vec(),
        (_, Some(number)) => format!("{key}{number}").into_bytes(),
        // What is one word has other blanks in it.
        _ => word.replace('\t', " ").into_bytes(),
    };
    lines.iter().map(|line| line.split(' ').map(word).collect()).collect()
}
