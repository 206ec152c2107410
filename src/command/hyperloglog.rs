//! HyperLogLogs: strings from which servers estimate how many different elements were added.
//!
//! The estimate does not matter here, the bytes do: they are a string that anybody may read, and
//! part of every digest. So registers, packing and the stored estimate are made exactly as the
//! servers make them. One thing can't be known: from which size on the primary unpacks, which is
//! its option `hll-sparse-max-bytes`. The default is taken for it.

mod estimate;
mod sketch;

use super::arguments::is;
use super::string::{source, text};
use super::unit::Source;
use super::{Applied, Failure, Unit};
use crate::change::Reason;
use crate::value::{Type, Value};
use estimate::estimate;
use sketch::Sketch;

/// Before, the result of a merge was always unpacked.
const PACKED_MERGE_SINCE: (u32, u32) = (4, 0);

fn value(sketch: Sketch) -> Option<Value> {
    Some(Value::String(sketch.into_bytes().into()))
}

/// `PFADD key [element ...]`
pub(super) fn pfadd(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    unit.edit(args[1], Type::String, |old| {
        let mut sketch = match old {
            None => Sketch::default(),
            some => Sketch::of(text(some))?,
        };
        let mut changed = old.is_none();
        for element in &args[2..] {
            changed |= sketch.add(element)?;
        }
        if changed {
            sketch.forget_estimate();
        }
        Ok(value(sketch))
    })
}

/// `PFMERGE key [key ...]`: the first is one of the sources, too
pub(super) fn pfmerge(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let (db, destination) = (unit.db(), args[1]);
    let mut registers = sketch::no_registers();
    let mut unpacked = !unit.server().is_since(PACKED_MERGE_SINCE);
    for key in &args[1..] {
        match source(unit, key)? {
            Source::Absent => {}
            Source::Known(value) => {
                let sketch = Sketch::of(text(Some(&value)))?;
                unpacked |= sketch.is_dense();
                sketch.merge_into(&mut registers)?;
            }
            Source::Unknown => {
                let due = unit.due(db, destination);
                unit.withhold(db, destination, due, Reason::Command);
                return Ok(());
            }
        }
    }
    unit.edit(destination, Type::String, |old| {
        let mut sketch = match old {
            None => Sketch::default(),
            some => Sketch::of(text(some))?,
        };
        if unpacked {
            sketch.unpack()?;
        }
        for (index, count) in registers.iter().enumerate().filter(|(_, count)| **count > 0) {
            sketch.raise(index, *count)?;
        }
        sketch.forget_estimate();
        Ok(value(sketch))
    })
}

/// `PFCOUNT key`: stores the estimate. Of several keys nothing is stored.
pub(super) fn pfcount(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    let [_, key] = args else { return Ok(()) };
    match source(unit, key)? {
        Source::Absent => return Ok(()),
        Source::Known(value) if Sketch::of(text(Some(&value)))?.has_estimate() => return Ok(()),
        Source::Known(_) | Source::Unknown => {}
    }
    let server = unit.server();
    unit.edit(key, Type::String, |old| {
        let mut sketch = Sketch::of(text(old))?;
        sketch.keep_estimate(estimate(&sketch.histogram()?, server));
        Ok(value(sketch))
    })
}

/// `PFDEBUG subcommand key`: two of the subcommands unpack
pub(super) fn pfdebug(unit: &mut Unit<'_>, args: &[&[u8]]) -> Applied {
    if !is(args[1], "TODENSE") && !is(args[1], "GETREG") {
        return Ok(());
    }
    unit.edit(args[2], Type::String, |old| {
        let Some(old) = old else { return Err(Failure::new("there is no HyperLogLog to unpack")) };
        let mut sketch = Sketch::of(text(Some(old)))?;
        sketch.unpack()?;
        Ok(value(sketch))
    })
}
