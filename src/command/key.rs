//! Commands on keys of any type: deletion, deadlines, names, databases.

use super::arguments::{Clock, argument, database, integer, is, upper};
use super::unit::{Due, Found};
use super::{Applied, Failure, Unit, zset};
use crate::change::Reason;
use crate::table::Db;
use crate::value::Value;

/// `DEL key [key ...]`, UNLINK, GETDEL
pub(super) fn del(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let db = unit.db();
    for key in &args[1..] {
        unit.delete(db, key, Reason::Delete);
    }
    Ok(())
}

/// `DELEX key [condition value]`
pub(super) fn delex(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    // With a condition it is sent as DEL by those servers that were seen to send it at all.
    del(unit, &args[..2])
}

fn expire_by(unit: &mut Unit<'_>, args: &[&[u8]], clock: Clock) -> Applied {
    let at = clock.deadline(args[2], unit.now_ms())?;
    let db = unit.db();
    unit.expire(db, args[1], Some(at));
    Ok(())
}

/// `EXPIRE key seconds [condition]`
pub(super) fn expire(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    // A time that has passed: from 2.6 on a primary sends DEL, before it deleted and sent this.
    if integer(args[2])? <= 0 {
        return del(unit, &args[..2]);
    }
    expire_by(unit, args, Clock::Seconds)
}

/// `PEXPIRE key milliseconds [condition]`
pub(super) fn pexpire(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::Millis)
}

/// `EXPIREAT key unix-seconds [condition]`
pub(super) fn expireat(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::UnixSeconds)
}

/// `PEXPIREAT key unix-milliseconds [condition]`
pub(super) fn pexpireat(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    expire_by(unit, args, Clock::UnixMillis)
}

/// `PERSIST key`
pub(super) fn persist(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let db = unit.db();
    unit.expire(db, args[1], None);
    Ok(())
}

/// Gives a key the value and deadline of another; false where the other is not there.
fn transfer(unit: &mut Unit<'_>, from: (Db, &[u8]), to: (Db, &[u8]), reason: Reason) -> bool {
    let found = unit.find(from.0, from.1);
    unit.note_lack(&found);
    match found {
        Found::Absent => return false,
        Found::Whole(entry) => {
            if let Some(value) = entry.value {
                unit.write(to.0, to.1, value, entry.expires_at_ms, reason);
            }
        }
        Found::Partial(_) | Found::Withheld(_) | Found::Excluded => {
            let (due, is_module) = (unit.due(from.0, from.1), unit.is_module(from.0, from.1));
            unit.withhold(to.0, to.1, due, reason);
            if is_module {
                unit.mark_module(to.0, to.1);
            }
        }
    }
    true
}

/// `RENAME key newkey`, and RENAMENX
pub(super) fn rename(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let db = unit.db();
    relocate(unit, (db, args[1]), (db, args[2]))
}

/// `MOVE key db`
pub(super) fn move_key(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let db = unit.db();
    relocate(unit, (db, args[1]), (database(args[2])?, args[1]))
}

fn relocate(unit: &mut Unit<'_>, from: (Db, &[u8]), to: (Db, &[u8])) -> Applied {
    if from == to {
        return Ok(());
    }
    if !transfer(unit, from, to, Reason::Rename) {
        return Err(Failure::new("the key that changes its name is not there"));
    }
    unit.delete(from.0, from.1, Reason::Rename);
    Ok(())
}

/// `COPY source destination [DB number] [REPLACE]`
pub(super) fn copy(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut db = unit.db();
    let mut at = 3;
    while let Some(option) = args.get(at) {
        at += if is(option, "DB") {
            db = database(argument(args, at + 1)?)?;
            2
        } else if is(option, "REPLACE") {
            1
        } else {
            return Err(Failure::syntax());
        };
    }
    let from = (unit.db(), args[1]);
    if !transfer(unit, from, (db, args[2]), Reason::Command) {
        return Err(Failure::new("the key to copy is not there"));
    }
    Ok(())
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`, RESTORE-ASKING
pub(super) fn restore(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let mut absolute = false;
    let mut at = 4;
    while let Some(option) = args.get(at) {
        at += match upper(option).as_slice() {
            b"REPLACE" => 1,
            b"ABSTTL" => {
                absolute = true;
                1
            }
            b"IDLETIME" | b"FREQ" => 2,
            _ => return Err(Failure::syntax()),
        };
    }
    let db = unit.db();
    if matches!(unit.find(db, args[1]), Found::Excluded) {
        return Ok(());
    }
    let ttl = integer(args[2])?;
    let clock = if absolute { Clock::UnixMillis } else { Clock::Millis };
    let deadline = if ttl == 0 { None } else { Some(clock.deadline(args[2], unit.now_ms())?) };
    match unit.decode_payload(args[3]) {
        Ok(value) => {
            let value = match value {
                Value::Zset(zset) => Value::Zset(zset::restored(zset, unit.server())),
                other => other,
            };
            unit.write(db, args[1], value, deadline, Reason::Command);
            Ok(())
        }
        Err(failure) => {
            // Whatever it is, the primary has it now, and what we had is no longer there.
            unit.withhold(db, args[1], Due::Known(deadline), Reason::Command);
            Err(failure)
        }
    }
}

/// `FLUSHDB [ASYNC | SYNC]`
pub(super) fn flushdb(unit: &mut Unit<'_>, _args: &[&[u8]]) -> Applied {
    let db = unit.db();
    unit.flush(Some(db));
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`
pub(super) fn flushall(unit: &mut Unit<'_>, _args: &[&[u8]]) -> Applied {
    unit.flush(None);
    Ok(())
}

/// `SWAPDB index index`
pub(super) fn swapdb(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (a, b) = (database(args[1])?, database(args[2])?);
    if a == b { Ok(()) } else { unit.swap(a, b) }
}
