//! Changes after the fact, for programs that live in an event loop: a bounded queue that never
//! holds the apply task.
//!
//! What the gate kept is recorded while a unit is prepared and put into the queue when readers can
//! see it, all of the unit or nothing: where it does not fit, one marker stands for all that is
//! missing until there is room again.

use crate::change::{Change, EffectOf, Phase, Reason};
use crate::env::Waker;
use crate::value::{Type, Value};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// What an event takes besides the bytes that it has.
const EVENT_BYTES: usize = size_of::<Recorded>() + 64;

/// What an argument takes besides its bytes.
const ARGUMENT_BYTES: usize = size_of::<Box<[u8]>>() + 16;

/// An edited aggregate shares most of its memory with the table's own.
const EDITED_BYTES_MAX: usize = 4096;

/// What [`Events::next`] gives.
pub enum Event {
    /// Something changed.
    Change(Box<Recorded>),
    /// So much changed that not all of it is told: what follows comes after a gap.
    Overflow,
}

/// A change with bytes of its own.
pub struct Recorded {
    effect: EffectOf<Box<[u8]>>,
    reason: Reason,
    phase: Phase,
    db: Option<u32>,
    key: Box<[u8]>,
    value: Option<Value>,
    expires_at_ms: Option<i64>,
    result_known: bool,
    deadline_passed: bool,
    key_gone: bool,
    offset: i64,
    args: Box<[Box<[u8]>]>,
    bytes: usize,
}

impl Recorded {
    fn of(change: &Change<'_>) -> Self {
        let mut bytes = EVENT_BYTES + change.key.len();
        bytes += change.args.iter().map(|arg| ARGUMENT_BYTES + arg.len()).sum::<usize>();
        bytes += change.value.map_or(0, |value| held_by(change, value));
        Self {
            effect: change.effect.map(|bytes| Box::from(*bytes)),
            reason: change.reason,
            phase: change.phase,
            db: change.db,
            key: change.key.into(),
            value: change.value.cloned(),
            expires_at_ms: change.expires_at_ms,
            result_known: change.result_known,
            deadline_passed: change.deadline_passed,
            key_gone: change.key_gone,
            offset: change.offset,
            args: change.args.iter().map(|arg| Box::from(*arg)).collect(),
            bytes,
        }
    }

    /// The arguments, in the form in which [`Recorded::change`] takes them.
    pub fn args(&self) -> Vec<&[u8]> {
        self.args.iter().map(|arg| &**arg).collect()
    }

    /// What was recorded, with its own arguments.
    pub fn change<'a>(&'a self, args: &'a [&'a [u8]]) -> Change<'a> {
        Change {
            effect: self.effect.map(|bytes| &**bytes),
            reason: self.reason,
            phase: self.phase,
            db: self.db,
            key: &self.key,
            value: self.value.as_ref(),
            expires_at_ms: self.expires_at_ms,
            result_known: self.result_known,
            deadline_passed: self.deadline_passed,
            key_gone: self.key_gone,
            offset: self.offset,
            args,
        }
    }
}

/// Memory that a recorded value may be the last to hold.
fn held_by(change: &Change<'_>, value: &Value) -> usize {
    match change.effect {
        EffectOf::Set => value.memory(),
        _ if value.kind() == Type::String => value.memory(),
        _ => value.memory().min(EDITED_BYTES_MAX),
    }
}

/// The queue. Nothing is recorded before somebody asks for its descriptor.
pub struct Events {
    on: AtomicBool,
    limit: AtomicUsize,
    bell: Arc<dyn Waker>,
    /// Of the unit in hand; the apply task's.
    unit: Mutex<Batch>,
    queue: Mutex<Queue>,
}

/// The events of one unit.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    bytes: usize,
    overflown: bool,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Events {
    pub(super) fn new(bell: Arc<dyn Waker>, limit: u64) -> Self {
        let events = Self {
            on: AtomicBool::new(false),
            limit: AtomicUsize::new(0),
            bell,
            unit: Mutex::default(),
            queue: Mutex::default(),
        };
        events.set_limit(limit);
        events
    }

    /// The option `event-queue`, in bytes.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(usize::try_from(limit).unwrap_or(usize::MAX), Relaxed);
    }

    /// From the next unit on everything is recorded. Readable while there is something; `None` in a
    /// simulation.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.on.store(true, Relaxed);
        self.bell.descriptor()
    }

    /// The oldest event.
    pub fn next(&self) -> Option<Event> {
        let mut queue = self.queue.lock();
        let event = queue.events.pop_front();
        if let Some(Event::Change(change)) = &event {
            queue.bytes -= change.bytes;
        }
        if queue.events.is_empty() {
            // Under the lock: a ring for what comes next is not lost.
            self.bell.wait(0);
        }
        event
    }

    /// Whether anything is recorded.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// A change that is going to happen, if its unit does.
    pub(super) fn record(&self, change: &Change<'_>) {
        if !self.is_on() {
            return;
        }
        let mut unit = self.unit.lock();
        if unit.overflown {
            return;
        }
        let event = Recorded::of(change);
        unit.bytes += event.bytes;
        if unit.bytes > self.limit.load(Relaxed) {
            *unit = Batch { overflown: true, ..Batch::default() };
            return;
        }
        unit.events.push(Event::Change(Box::new(event)));
    }

    /// The unit can be seen.
    #[inline]
    pub(super) fn commit(&self) {
        if self.is_on() {
            self.enqueue();
        }
    }

    #[inline(never)]
    fn enqueue(&self) {
        let unit = std::mem::take(&mut *self.unit.lock());
        if unit.events.is_empty() && !unit.overflown {
            return;
        }
        let mut queue = self.queue.lock();
        let fits = queue.bytes + unit.bytes <= self.limit.load(Relaxed);
        if fits && !unit.overflown {
            queue.bytes += unit.bytes;
            queue.events.extend(unit.events);
        } else if !matches!(queue.events.back(), Some(Event::Overflow)) {
            queue.events.push_back(Event::Overflow);
        }
        self.bell.wake();
    }

    /// The unit will not be seen.
    pub(super) fn discard(&self) {
        if self.is_on() {
            *self.unit.lock() = Batch::default();
        }
    }
}
