//! The write commands of the stream: one handler a command, one file a family, one row a command.
//!
//! To follow another command, write its handler in the file of its family and add its row to
//! [`ROWS`], and its line to the catalogue if it is not there. A handler turns arguments into
//! effects on the [`Unit`]; what a veto means, it need not know. These rules hold for all of them:
//!
//! - the primary sends only what succeeded, so conditions (NX, XX, GT, ...) are not tested again,
//!   but where one command carries several elements of which only some met it;
//! - a key whose deadline has passed is still there until the primary deletes it, and a deadline in
//!   the past is stored like any other;
//! - limits of the primary (sizes, syntax of generated forms) are not enforced again.

mod arguments;
mod array;
mod bitmap;
mod catalogue;
mod cluster;
mod geo;
mod hash;
mod hyperloglog;
mod key;
mod list;
mod partial_sort;
mod scope;
mod server;
mod set;
mod sort;
mod stream;
mod stream_group;
mod string;
#[cfg(test)]
pub(crate) mod tests;
mod unit;
mod zset;
mod zset_range;
mod zset_store;

use crate::error::{Error, Kind};
use std::borrow::Cow;
use std::fmt;

pub use catalogue::{About, CATALOGUE, Sent, Version, about};
pub use scope::Scope;
pub use server::Server;
pub use unit::{Asked, Setting, Touched, Unit, Watch, known_fingerprint};

/// Why a command could not be applied: our data differs from the primary's, or the command is not
/// what we think it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    text: Cow<'static, str>,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Differs,
    Unsupported,
    TooLarge,
}

impl Failure {
    fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), cause: Cause::Differs }
    }

    /// The key that the command writes was withheld instead.
    fn unsupported(text: &'static str) -> Self {
        Self { text: text.into(), cause: Cause::Unsupported }
    }

    fn of_payload(error: &Error) -> Self {
        let cause = match error.kind() {
            Kind::Unsupported => Cause::Unsupported,
            _ => Cause::Differs,
        };
        Self { text: error.text().to_owned().into(), cause }
    }

    fn too_large() -> Self {
        let text = "a value would grow beyond max-memory, or what the machine has";
        Self { text: text.into(), cause: Cause::TooLarge }
    }

    fn wrong_type(wanted: crate::value::Type) -> Self {
        Self::new(format!("the key does not hold a {}", wanted.name()))
    }

    fn syntax() -> Self {
        Self::new("the arguments are not those of this command")
    }

    /// Nothing is wrong with our data: the command brings what this version has no type for, or
    /// what only the primary can know.
    pub fn is_unsupported(&self) -> bool {
        self.cause == Cause::Unsupported
    }

    /// There is no memory for what the command makes.
    pub fn is_too_large(&self) -> bool {
        self.cause == Cause::TooLarge
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a handler returns.
pub type Applied = Result<(), Failure>;

/// What to do with a command of the stream.
#[derive(Clone, Copy)]
pub enum Action {
    /// Apply it to the unit.
    Apply(fn(&mut Unit<'_>, &[&[u8]]) -> Applied),
    /// It changes no keys.
    Ignore,
    /// SELECT: the database of what follows.
    Select,
    /// MULTI: the unit begins here.
    Multi,
    /// EXEC: the unit is complete.
    Exec,
    /// DISCARD: the unit is dropped (primaries don't send it; a chained one passes bytes on).
    Discard,
    /// REPLCONF: GETACK wants an acknowledgement at once.
    Replconf,
}

/// One row of the table of commands.
#[derive(Clone, Copy)]
pub struct Row {
    /// The name in upper case.
    pub name: &'static str,
    /// How many arguments there are at least, the name included.
    pub min_args: usize,
    /// What to do with it.
    pub action: Action,
}

const fn row(name: &'static str, min_args: usize, action: Action) -> Row {
    Row { name, min_args, action }
}

use Action::{Apply, Ignore};

/// Every command that is known, in the order of their names.
pub static ROWS: &[Row] = &[
    row("APPEND", 3, Apply(string::append)),
    row("ARDEL", 3, Apply(array::ardel)),
    row("ARDELRANGE", 4, Apply(array::ardelrange)),
    row("ARINSERT", 3, Apply(array::arinsert)),
    row("ARMSET", 4, Apply(array::armset)),
    row("ARRING", 4, Apply(array::arring)),
    row("ARSEEK", 3, Apply(array::arseek)),
    row("ARSET", 4, Apply(array::arset)),
    row("BITFIELD", 2, Apply(bitmap::bitfield)),
    row("BITOP", 4, Apply(bitmap::bitop)),
    row("BLMOVE", 6, Apply(list::lmove)),
    row("BLPOP", 3, Apply(list::blpop)),
    row("BRPOP", 3, Apply(list::brpop)),
    row("BRPOPLPUSH", 4, Apply(list::rpoplpush)),
    row("CLUSTER", 2, Apply(cluster::cluster)),
    row("COPY", 3, Apply(key::copy)),
    row("DECR", 2, Apply(string::decr)),
    row("DECRBY", 3, Apply(string::decrby)),
    row("DEL", 2, Apply(key::del)),
    row("DELEX", 2, Apply(key::delex)),
    row("DISCARD", 1, Action::Discard),
    row("EXEC", 1, Action::Exec),
    row("EXPIRE", 3, Apply(key::expire)),
    row("EXPIREAT", 3, Apply(key::expireat)),
    row("FLUSHALL", 1, Apply(key::flushall)),
    row("FLUSHDB", 1, Apply(key::flushdb)),
    row("FUNCTION", 1, Ignore),
    row("GEORADIUS", 6, Apply(geo::georadius)),
    row("GEORADIUSBYMEMBER", 5, Apply(geo::georadiusbymember)),
    row("GEOSEARCHSTORE", 6, Apply(geo::geosearchstore)),
    row("GETDEL", 2, Apply(key::del)),
    row("GETSET", 3, Apply(string::getset)),
    row("HDEL", 3, Apply(hash::hdel)),
    row("HEXPIRE", 6, Apply(hash::hexpire)),
    row("HEXPIREAT", 6, Apply(hash::hexpireat)),
    row("HGETDEL", 5, Apply(hash::hgetdel)),
    row("HINCRBY", 4, Apply(hash::hincrby)),
    row("HMSET", 4, Apply(hash::hset)),
    row("HPERSIST", 5, Apply(hash::hpersist)),
    row("HPEXPIRE", 6, Apply(hash::hpexpire)),
    row("HPEXPIREAT", 6, Apply(hash::hpexpireat)),
    row("HSET", 4, Apply(hash::hset)),
    row("HSETEX", 6, Apply(hash::hsetex)),
    row("HSETNX", 4, Apply(hash::hset)),
    row("INCR", 2, Apply(string::incr)),
    row("INCRBY", 3, Apply(string::incrby)),
    row("LINSERT", 5, Apply(list::linsert)),
    row("LMOVE", 5, Apply(list::lmove)),
    row("LMOVEM", 5, Apply(list::lmovem)),
    row("LPOP", 2, Apply(list::lpop)),
    row("LPUSH", 3, Apply(list::lpush)),
    row("LPUSHX", 3, Apply(list::lpush)),
    row("LREM", 4, Apply(list::lrem)),
    row("LSET", 4, Apply(list::lset)),
    row("LTRIM", 4, Apply(list::ltrim)),
    row("MOVE", 3, Apply(key::move_key)),
    row("MSET", 3, Apply(string::mset)),
    row("MSETEX", 4, Apply(string::msetex)),
    row("MSETNX", 3, Apply(string::mset)),
    row("MULTI", 1, Action::Multi),
    row("PERSIST", 2, Apply(key::persist)),
    row("PEXPIRE", 3, Apply(key::pexpire)),
    row("PEXPIREAT", 3, Apply(key::pexpireat)),
    row("PFADD", 2, Apply(hyperloglog::pfadd)),
    row("PFCOUNT", 2, Apply(hyperloglog::pfcount)),
    row("PFDEBUG", 3, Apply(hyperloglog::pfdebug)),
    row("PFMERGE", 2, Apply(hyperloglog::pfmerge)),
    row("PING", 1, Ignore),
    row("PSETEX", 4, Apply(string::psetex)),
    row("PUBLISH", 1, Ignore),
    row("RENAME", 3, Apply(key::rename)),
    row("RENAMENX", 3, Apply(key::rename)),
    row("REPLCONF", 1, Action::Replconf),
    row("RESTORE", 4, Apply(key::restore)),
    row("RESTORE-ASKING", 4, Apply(key::restore)),
    row("RPOP", 2, Apply(list::rpop)),
    row("RPOPLPUSH", 3, Apply(list::rpoplpush)),
    row("RPUSH", 3, Apply(list::rpush)),
    row("RPUSHX", 3, Apply(list::rpush)),
    row("SADD", 3, Apply(set::sadd)),
    row("SCRIPT", 1, Ignore),
    row("SDIFFSTORE", 3, Apply(set::sdiffstore)),
    row("SELECT", 2, Action::Select),
    row("SET", 3, Apply(string::set)),
    row("SETBIT", 4, Apply(bitmap::setbit)),
    row("SETEX", 4, Apply(string::setex)),
    row("SETNX", 3, Apply(string::setnx)),
    row("SETRANGE", 4, Apply(string::setrange)),
    row("SFLUSH", 3, Apply(cluster::sflush)),
    row("SINTERSTORE", 3, Apply(set::sinterstore)),
    row("SMOVE", 4, Apply(set::smove)),
    row("SORT", 2, Apply(sort::sort)),
    row("SPUBLISH", 1, Ignore),
    row("SREM", 3, Apply(set::srem)),
    row("SUNIONSTORE", 3, Apply(set::sunionstore)),
    row("SWAPDB", 3, Apply(key::swapdb)),
    row("TRIMSLOTS", 5, Apply(cluster::trimslots)),
    row("UNLINK", 2, Apply(key::del)),
    row("XACK", 4, Apply(stream_group::xack)),
    row("XACKDEL", 6, Apply(stream_group::xackdel)),
    row("XADD", 5, Apply(stream::xadd)),
    row("XCFGSET", 4, Apply(stream::xcfgset)),
    row("XCLAIM", 6, Apply(stream_group::xclaim)),
    row("XDEL", 3, Apply(stream::xdel)),
    row("XDELEX", 5, Apply(stream::xdelex)),
    row("XGROUP", 4, Apply(stream_group::xgroup)),
    row("XIDMPRECORD", 5, Apply(stream::xidmprecord)),
    row("XNACK", 7, Apply(stream_group::xnack)),
    row("XSETID", 3, Apply(stream::xsetid)),
    row("XTRIM", 4, Apply(stream::xtrim)),
    row("ZADD", 4, Apply(zset::zadd)),
    row("ZDIFFSTORE", 4, Apply(zset_store::zdiffstore)),
    row("ZINCRBY", 4, Apply(zset::zincrby)),
    row("ZINTERSTORE", 4, Apply(zset_store::zinterstore)),
    row("ZPOPMAX", 2, Apply(zset::zpopmax)),
    row("ZPOPMIN", 2, Apply(zset::zpopmin)),
    row("ZRANGESTORE", 5, Apply(zset_store::zrangestore)),
    row("ZREM", 3, Apply(zset::zrem)),
    row("ZREMRANGEBYLEX", 4, Apply(zset::zremrangebylex)),
    row("ZREMRANGEBYRANK", 4, Apply(zset::zremrangebyrank)),
    row("ZREMRANGEBYSCORE", 4, Apply(zset::zremrangebyscore)),
    row("ZUNIONSTORE", 4, Apply(zset_store::zunionstore)),
];

/// By a name's hash: its place in [`ROWS`], counted from 1; 0 where there is none. A name whose
/// place is taken is behind it. Three of four are free.
static PLACES: [u8; PLACES_LEN] = places();

const PLACES_LEN: usize = 512;

/// Names that are not longer are told apart by [`ends`] alone.
const SHORT: usize = 8;

/// The first and the last bytes of a name in any case, which without their bits that tell upper
/// from lower case are those of one in upper case only if they are letters, too.
#[inline]
const fn ends(name: &[u8]) -> [u64; 2] {
    const UPPER: u64 = 0xdfdf_dfdf_dfdf_dfdf;
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return [u64::from_le_bytes(*first) & UPPER, u64::from_le_bytes(*last) & UPPER];
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        let [first, last] = [u32::from_le_bytes(*first), u32::from_le_bytes(*last)];
        return [first as u64 & UPPER, last as u64 & UPPER];
    }
    match *name {
        [a, b, c] => [a as u64 & UPPER, ((b as u64) << 8 | c as u64) & UPPER],
        _ => [0; 2],
    }
}

/// Of a name in any case.
#[inline]
const fn hash(name: &[u8]) -> usize {
    let [first, last] = ends(name);
    let mixed =
        (first ^ last.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as usize % PLACES_LEN
}

const fn places() -> [u8; PLACES_LEN] {
    let (mut places, mut row) = ([0; PLACES_LEN], 0);
    while row < ROWS.len() {
        let name = ROWS[row].name.as_bytes();
        assert!(is_told_apart(name));
        let mut place = hash(name);
        while places[place] != 0 {
            place = (place + 1) % PLACES_LEN;
        }
        row += 1;
        places[place] = row as u8;
    }
    assert!(row < 256, "a place is a byte");
    places
}

/// Whether a short name has no other characters than letters, and enough of them.
const fn is_told_apart(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if name.len() <= SHORT && !name[at].is_ascii_uppercase() {
            return false;
        }
        at += 1;
    }
    name.len() >= 3
}

/// The row of a command, whose name may be written in any case.
pub fn find(name: &[u8]) -> Option<&'static Row> {
    let mut place = hash(name);
    loop {
        let row = ROWS.get(usize::from(PLACES[place]).checked_sub(1)?)?;
        let own = row.name.as_bytes();
        let is_it = match own.len() {
            len if len != name.len() => false,
            ..=SHORT => ends(own) == ends(name),
            _ => own.eq_ignore_ascii_case(name),
        };
        if is_it {
            return Some(row);
        }
        // Not all places are taken.
        place = (place + 1) % PLACES_LEN;
    }
}

/// Whether what a command does, and what is told of it, is the same at any time: as it is of a SET
/// without options, which most streams are full of. Who knows that need not read a clock for it.
pub fn is_timeless(row: &Row, args: &[&[u8]]) -> bool {
    row.name == "SET" && args.len() == 3
}

/// Applies one command of the stream to a unit.
pub fn apply<'a>(unit: &mut Unit<'a>, row: &Row, args: &'a [&'a [u8]]) -> Applied {
    let Apply(handler) = row.action else { return Ok(()) };
    unit.begin_command(args);
    if args.len() < row.min_args {
        return Err(Failure::syntax());
    }
    handler(unit, args)
}
