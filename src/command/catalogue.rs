//! What the documentation tells of each command: to which family it belongs, which servers send it.
//! It is apart from the table of handlers because it also has what can't be followed.

/// Major and minor number of a server's version.
pub type Version = (u32, u32);

/// What is known of a command, but for how it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name in upper case.
    pub name: &'static str,
    /// The kind of data that it is about.
    pub family: &'static str,
    /// The first Redis that has it.
    pub redis: Option<Version>,
    /// The first Valkey that has it.
    pub valkey: Option<Version>,
    /// Which primaries send it under this name.
    pub sent: Sent,
}

/// Which of the primaries that have a command send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All.
    Always,
    /// Those up to this version of Redis; newer ones send other commands in its place.
    Until(Version),
    /// None that is known: they send other commands in its place.
    Rewritten,
    /// Nodes of clusters.
    InClusters,
}

/// Valkey begins where Redis 7.2 ends.
const FIRST_VALKEY: Version = (7, 2);

const fn both(name: &'static str, family: &'static str, since: Version) -> About {
    let (redis, valkey) = (Some(since), Some(FIRST_VALKEY));
    About { name, family, redis, valkey, sent: Sent::Always }
}

const fn redis(name: &'static str, family: &'static str, since: Version) -> About {
    About { valkey: None, ..both(name, family, since) }
}

const fn valkey(name: &'static str, family: &'static str, since: Version) -> About {
    About { redis: None, valkey: Some(since), ..both(name, family, since) }
}

impl About {
    const fn valkey(self, since: Version) -> Self {
        Self { valkey: Some(since), ..self }
    }

    const fn until(self, last: Version) -> Self {
        Self { valkey: None, sent: Sent::Until(last), ..self }
    }

    const fn rewritten(self) -> Self {
        Self { sent: Sent::Rewritten, ..self }
    }

    const fn in_clusters(self) -> Self {
        Self { sent: Sent::InClusters, ..self }
    }

    /// Whether a primary with this version of Redis, that is no node of a cluster, sends it.
    pub fn is_sent_by_redis(&self, version: Version) -> bool {
        let is_there = self.redis.is_some_and(|since| since <= version);
        is_there
            && match self.sent {
                Sent::Always => true,
                Sent::Until(last) => version <= last,
                Sent::Rewritten | Sent::InClusters => false,
            }
    }
}

/// What is known of the command with this name in upper case.
pub fn about(name: &str) -> Option<&'static About> {
    let at = CATALOGUE.binary_search_by(|about| about.name.cmp(name)).ok()?;
    CATALOGUE.get(at)
}

/// Every command that a primary is known to send, and some more that are taken all the same; in the
/// order of their names.
pub static CATALOGUE: &[About] = &[
    both("APPEND", "string", (2, 0)),
    redis("ARDEL", "array", (8, 8)),
    redis("ARDELRANGE", "array", (8, 8)),
    redis("ARINSERT", "array", (8, 8)),
    redis("ARMSET", "array", (8, 8)),
    redis("ARRING", "array", (8, 8)),
    redis("ARSEEK", "array", (8, 8)),
    redis("ARSET", "array", (8, 8)),
    both("BITFIELD", "bitmap", (3, 2)),
    both("BITOP", "bitmap", (2, 6)),
    both("BLMOVE", "list", (6, 2)).rewritten(),
    both("BLPOP", "list", (2, 0)).until((2, 4)),
    both("BRPOP", "list", (2, 0)).until((2, 4)),
    both("BRPOPLPUSH", "list", (2, 2)).rewritten(),
    valkey("CLUSTER", "cluster", (8, 0)).in_clusters(),
    both("COPY", "keys", (6, 2)),
    both("DECR", "string", (1, 0)),
    both("DECRBY", "string", (1, 0)),
    both("DEL", "keys", (1, 0)),
    redis("DELEX", "keys", (8, 4)),
    both("DISCARD", "transactions", (2, 0)).rewritten(),
    both("EVAL", "scripts", (2, 6)).until((6, 2)),
    both("EVALSHA", "scripts", (2, 6)).until((6, 2)),
    both("EXEC", "transactions", (1, 2)),
    both("EXPIRE", "keys", (1, 0)).until((6, 2)),
    both("EXPIREAT", "keys", (1, 2)).until((6, 2)),
    both("FLUSHALL", "keys", (1, 0)),
    both("FLUSHDB", "keys", (1, 0)),
    both("FUNCTION", "scripts", (7, 0)),
    both("GEORADIUS", "geo", (3, 2)),
    both("GEORADIUSBYMEMBER", "geo", (3, 2)),
    both("GEOSEARCHSTORE", "geo", (6, 2)),
    both("GETDEL", "string", (6, 2)).rewritten(),
    both("GETSET", "string", (1, 0)).until((6, 0)),
    both("HDEL", "hash", (2, 0)),
    both("HEXPIRE", "hash", (7, 4)).valkey((9, 0)).rewritten(),
    both("HEXPIREAT", "hash", (7, 4)).valkey((9, 0)).rewritten(),
    valkey("HGETDEL", "hash", (9, 0)),
    both("HINCRBY", "hash", (2, 0)),
    both("HMSET", "hash", (2, 0)),
    both("HPERSIST", "hash", (7, 4)).valkey((9, 0)),
    both("HPEXPIRE", "hash", (7, 4)).valkey((9, 0)).rewritten(),
    both("HPEXPIREAT", "hash", (7, 4)).valkey((9, 0)),
    both("HSET", "hash", (2, 0)),
    both("HSETEX", "hash", (8, 0)).valkey((9, 0)),
    both("HSETNX", "hash", (2, 0)),
    both("INCR", "string", (1, 0)),
    both("INCRBY", "string", (1, 0)),
    both("LINSERT", "list", (2, 2)),
    both("LMOVE", "list", (6, 2)),
    redis("LMOVEM", "list", (8, 10)),
    both("LPOP", "list", (1, 0)),
    both("LPUSH", "list", (1, 0)),
    both("LPUSHX", "list", (2, 2)),
    both("LREM", "list", (1, 0)),
    both("LSET", "list", (1, 0)),
    both("LTRIM", "list", (1, 0)),
    both("MOVE", "keys", (1, 0)),
    both("MSET", "string", (1, 0)),
    both("MSETEX", "string", (8, 4)).valkey((9, 1)),
    both("MSETNX", "string", (1, 0)),
    both("MULTI", "transactions", (1, 2)),
    both("PERSIST", "keys", (2, 2)),
    both("PEXPIRE", "keys", (2, 6)).until((6, 2)),
    both("PEXPIREAT", "keys", (2, 6)),
    both("PFADD", "hyperloglog", (2, 8)),
    both("PFCOUNT", "hyperloglog", (2, 8)),
    both("PFDEBUG", "hyperloglog", (2, 8)),
    both("PFMERGE", "hyperloglog", (2, 8)),
    both("PING", "connection", (1, 0)),
    both("PSETEX", "string", (2, 6)).until((6, 0)),
    both("PUBLISH", "publish", (2, 0)),
    both("RENAME", "keys", (1, 0)),
    both("RENAMENX", "keys", (1, 0)),
    both("REPLCONF", "connection", (2, 8)),
    both("RESTORE", "keys", (2, 6)),
    both("RESTORE-ASKING", "cluster", (3, 0)).in_clusters(),
    both("RPOP", "list", (1, 0)),
    both("RPOPLPUSH", "list", (1, 2)),
    both("RPUSH", "list", (1, 0)),
    both("RPUSHX", "list", (2, 2)),
    both("SADD", "set", (1, 0)),
    both("SCRIPT", "scripts", (2, 6)).until((6, 2)),
    both("SDIFFSTORE", "set", (1, 0)),
    both("SELECT", "connection", (1, 0)),
    both("SET", "string", (1, 0)),
    both("SETBIT", "bitmap", (2, 2)),
    both("SETEX", "string", (2, 0)).until((6, 0)),
    both("SETNX", "string", (1, 0)),
    both("SETRANGE", "string", (2, 2)),
    redis("SFLUSH", "cluster", (8, 0)).in_clusters(),
    both("SINTERSTORE", "set", (1, 0)),
    both("SMOVE", "set", (1, 0)),
    both("SORT", "keys", (1, 0)),
    both("SPUBLISH", "publish", (7, 0)),
    both("SREM", "set", (1, 0)),
    both("SUNIONSTORE", "set", (1, 0)),
    both("SWAPDB", "keys", (4, 0)),
    redis("TRIMSLOTS", "cluster", (8, 4)).in_clusters(),
    both("UNLINK", "keys", (4, 0)),
    redis("VADD", "vector set", (8, 0)),
    redis("VREM", "vector set", (8, 0)),
    redis("VSETATTR", "vector set", (8, 0)),
    both("XACK", "stream", (5, 0)),
    redis("XACKDEL", "stream", (8, 2)),
    both("XADD", "stream", (5, 0)),
    redis("XCFGSET", "stream", (8, 6)),
    both("XCLAIM", "stream", (5, 0)),
    both("XDEL", "stream", (5, 0)),
    redis("XDELEX", "stream", (8, 2)),
    both("XGROUP", "stream", (5, 0)),
    redis("XIDMPRECORD", "stream", (8, 6)),
    redis("XNACK", "stream", (8, 8)),
    both("XSETID", "stream", (5, 0)),
    both("XTRIM", "stream", (5, 0)),
    both("ZADD", "sorted set", (1, 2)),
    both("ZDIFFSTORE", "sorted set", (6, 2)),
    both("ZINCRBY", "sorted set", (1, 2)),
    both("ZINTERSTORE", "sorted set", (2, 0)),
    both("ZPOPMAX", "sorted set", (5, 0)),
    both("ZPOPMIN", "sorted set", (5, 0)),
    both("ZRANGESTORE", "sorted set", (6, 2)),
    both("ZREM", "sorted set", (1, 2)),
    both("ZREMRANGEBYLEX", "sorted set", (2, 8)),
    both("ZREMRANGEBYRANK", "sorted set", (2, 0)),
    both("ZREMRANGEBYSCORE", "sorted set", (1, 2)),
    both("ZUNIONSTORE", "sorted set", (2, 0)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ROWS;

    #[test]
    fn every_command_that_is_followed_is_in_the_catalogue_and_found_there() {
        for pair in CATALOGUE.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        let lacking: Vec<_> =
            ROWS.iter().map(|row| row.name).filter(|name| about(name).is_none()).collect();
        assert_eq!(lacking, [""; 0]);
    }

    #[test]
    fn a_command_is_sent_from_its_first_version_to_its_last() {
        let by = |name: &str, version| about(name).unwrap().is_sent_by_redis(version);
        assert!(by("EXPIRE", (2, 4)) && by("EXPIRE", (6, 2)) && !by("EXPIRE", (7, 0)));
        assert!(!by("ARSET", (8, 6)) && by("ARSET", (8, 8)));
        assert!(!by("HGETDEL", (9, 9)) && !by("HEXPIRE", (8, 0)) && !by("SFLUSH", (8, 2)));
        assert!(by("SET", (1, 0)));
    }
}
