//! The composition root: owns the threads and the table, and is all that the C surface sees.
//!
//! Two threads: the link (`rets/link`) keeps a connection to the primary and hands on what comes;
//! the apply thread (`rets/apply`) makes loads and units of it. The table's only writer is the one
//! of them that has the seat (`tasks.rs`). With the option `heal` a third one (`rets/heal`) fetches
//! single values.

mod apply;
mod digest;
mod events;
mod follow;
mod freshness;
mod heal;
mod load;
mod lookup;
pub mod panics;
mod position;
mod slot;
mod state;
mod tasks;
mod whole;

use crate::change::{Change, Gate, Verdict};
use crate::command::Scope;
use crate::config::{Address, Config};
use crate::env::{Env, System, Thread};
use crate::error::{Error, Kind, Result};
use crate::link::{Control, Fetch, Link, Wishes};
use crate::log::{self, Level};
use crate::table::Table;
use apply::{Apply, Settings};
use parking_lot::Mutex;
use slot::{Borrowed, Slot};
use state::{Board, Counters};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::table::forked;
pub use digest::{DigestAt, KeyDigest};
pub use events::{Event, Events, Recorded};
pub use lookup::{
    Answer, Bytes, Clock, Element, Excluded, FEW, Group, Length, Lookups, Readable, Stream, Type,
    View, Walk, Whole,
};
pub use slot::SharedGate;
pub use state::{Info, Moment, State, StateListener};
pub use tasks::{Applier, Tasks};

/// What the engine's threads and the program's share.
struct Shared {
    control: Arc<Control>,
    board: Board,
    counters: Counters,
    /// Bytes in the parser that belong to no complete unit yet.
    held: AtomicU64,
    /// As configured now; the apply task takes them over with the next connection.
    settings: Mutex<Settings>,
    gate: Slot<dyn SharedGate>,
    events: Events,
    listener: Slot<StateListener>,
    view: Arc<View>,
    lookups: Lookups,
    primary: Mutex<String>,
    env: Arc<dyn Env>,
}

/// How a wait for an offset ended well or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// Everything up to the offset is visible.
    Reached,
    /// The replica follows another history than the one that was named.
    OtherHistory,
    /// The primary gives no offsets.
    Unsupported,
}

/// A replica of one primary.
pub struct Replica {
    env: Arc<dyn Env>,
    shared: Arc<Shared>,
    engine: Mutex<Engine>,
}

struct Engine {
    config: Config,
    /// Taken by the apply thread when it starts.
    table: Option<Table>,
    threads: Vec<Box<dyn Thread>>,
    /// To the thread that fetches, where the option `heal` is on.
    wishes: Option<Arc<Wishes>>,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    New,
    Running,
    Stopped,
}

impl Replica {
    /// A replica of the primary that a URL names. Nothing is started.
    pub fn new(url: &str) -> Result<Self> {
        Self::with_env(url, Arc::new(System::new()))
    }

    /// The same over another clock, network, disk and threads.
    pub fn with_env(url: &str, env: Arc<dyn Env>) -> Result<Self> {
        let config = Config::from_url(url)?;
        let table = Table::new(env.barrier());
        let clock = env.clone();
        let ticks = env.clone();
        let view = View::new(Box::new(move || clock.now_ms()), Box::new(move || ticks.ticks_ms()));
        let view = Arc::new(view);
        let shared = Shared {
            control: Arc::new(Control::new(&*env)?),
            board: Board::default(),
            counters: Counters::default(),
            held: AtomicU64::new(0),
            settings: Mutex::new(settings_of(&config)),
            gate: Slot::default(),
            events: Events::new(env.waker()?, config.event_queue),
            listener: Slot::default(),
            lookups: Lookups::new(table.reader(), view.clone()),
            view,
            primary: Mutex::new(name_of(&config.address)),
            env: env.clone(),
        };
        shared.board.update(|status| {
            status.offset = -1;
            status.load_total_bytes = -1;
            status.since_ms = env.now_ms();
        });
        let (table, threads) = (Some(table), Vec::new());
        let engine = Engine { config, table, threads, wishes: None, life: Life::New };
        Ok(Self { env, shared: Arc::new(shared), engine: Mutex::new(engine) })
    }

    /// Sets an option; on a running engine only those that may change, from the next connection on.
    pub fn set_option(&self, name: &str, value: &str) -> Result<()> {
        let mut engine = self.engine.lock();
        let running = engine.life != Life::New;
        if name == "sync-lock" && value.starts_with('/') {
            // Once it runs nobody could be told.
            self.env.try_lock(value)?;
        }
        engine.config.set(name, value, running)?;
        *self.shared.primary.lock() = name_of(&engine.config.address);
        *self.shared.settings.lock() = settings_of(&engine.config);
        self.shared.view.set_max_staleness(engine.config.max_staleness_ms);
        self.shared.events.set_limit(engine.config.event_queue);
        if running {
            let control = &self.shared.control;
            let config = engine.config.clone();
            if let Some(wishes) = &engine.wishes {
                wishes.set_config(config.clone());
            }
            self.shared.board.update(|status| {
                // From here on a wait is one for the new configuration's outcome. Both under one
                // lock: that outcome may come at once and must not be taken back.
                if status.state == State::Failed && !control.is_stopping() {
                    status.state = State::Connecting;
                }
                control.set_config(config);
            });
        }
        Ok(())
    }

    /// What an option is set to; secrets are not given back.
    pub fn option(&self, name: &str) -> Result<String> {
        self.engine.lock().config.get(name)
    }

    /// Exchanges the callback from a unit's border on; returns when the old one can't run any more.
    pub fn set_gate(&self, gate: Option<Arc<dyn SharedGate>>) -> Result<()> {
        self.shared.gate.replace(gate);
        Ok(())
    }

    /// Exchanges the state listener; returns when the old one can't run any more.
    pub fn set_state_listener(&self, listener: Option<Arc<StateListener>>) -> Result<()> {
        self.shared.listener.replace(listener);
        Ok(())
    }

    /// Starts the engine and returns at once. A replica starts once in its life.
    pub fn start(&self) -> Result<()> {
        let mut engine = self.engine.lock();
        let Tasks { link, apply, heal } = self.make_tasks(&mut engine)?;
        let link = apply.fed_by(link);
        if let Some(heal) = heal.map(|heal| apply.fed_by(heal)) {
            self.spawn(&mut engine, "rets/heal", move || heal.run())?;
        }
        self.spawn(&mut engine, "rets/apply", move || apply.run())?;
        self.spawn(&mut engine, "rets/link", move || link.run())
    }

    /// Starts the engine without threads: its tasks do nothing but what they are stepped for.
    pub fn start_stepped(&self) -> Result<Tasks> {
        self.make_tasks(&mut self.engine.lock())
    }

    fn make_tasks(&self, engine: &mut Engine) -> Result<Tasks> {
        if engine.life == Life::Stopped {
            return Err(Error::new(Kind::Stopped, "the engine was stopped; make another one"));
        }
        let Some(table) = engine.table.take() else {
            return Err(Error::invalid("a replica is started once; make another one"));
        };
        let config = engine.config.clone();
        let settings = settings_of(&config);
        self.shared.view.set_hide_expired(config.hide_expired);
        let scope = settings.scope.clone();
        if !scope.store || !scope.admits_all() {
            let excluded = move |db, key: &[u8]| !scope.store || !scope.admits(db, key);
            self.shared.view.set_excluded(Box::new(excluded));
        }
        let (feed, feeds) = crossbeam_channel::unbounded();
        let mut apply = Apply::new(self.env.clone(), self.shared.clone(), settings, table);
        let mut heal = None;
        if config.heal {
            let wishes = Arc::new(Wishes::new(&*self.env)?);
            apply = apply.healing(wishes.clone());
            engine.wishes = Some(wishes.clone());
            let (env, control) = (self.env.clone(), self.shared.control.clone());
            heal = Some(Fetch::new(env, config.clone(), control, wishes, feed.clone()));
        }
        let link = Link::new(self.env.clone(), config, self.shared.control.clone(), feed);
        engine.life = Life::Running;
        self.shared.board.update(|status| status.state = State::Connecting);
        let apply = Applier::new(self.shared.clone(), apply, feeds);
        Ok(Tasks { link, apply, heal })
    }

    /// Starts a thread whose panic ends as a state.
    fn spawn(
        &self,
        engine: &mut Engine,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let shared = self.shared.clone();
        shared.board.update(|status| status.threads += 1);
        let guarded = move || {
            if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(body)) {
                shared.fail(panics::caught(&*payload));
            }
            shared.board.update(|status| status.threads -= 1);
        };
        match self.env.spawn(name, Box::new(guarded)) {
            Ok(thread) => {
                engine.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.shared.control.stop();
                let at_ms = self.env.now_ms();
                self.shared.board.update(|status| {
                    status.threads -= 1;
                    status.fail(error.clone(), at_ms);
                });
                Err(error)
            }
        }
    }

    /// Waits until lookups answer; an error that is not retried ends the wait at once.
    pub fn wait_ready(&self, timeout_ms: i64) -> Result<()> {
        if self.engine.lock().life == Life::New {
            return Err(Error::invalid("not started: nothing would ever become ready"));
        }
        self.shared.board.wait(&*self.env, timeout_ms, |status| {
            match (status.state, &status.trouble) {
                _ if status.stopping => Some(Err(stopped())),
                // What was loaded stays readable, whatever became of the link, but for a bug of
                // ours.
                (State::Failed, Some(trouble)) if trouble.error.kind() == Kind::Panic => {
                    Some(Err(trouble.error.clone()))
                }
                _ if status.announced => Some(Ok(())),
                (State::Failed, Some(trouble)) => Some(Err(trouble.error.clone())),
                _ => None,
            }
        })
    }

    /// Waits until everything up to an offset is visible.
    pub fn wait_offset(
        &self,
        replid: Option<&str>,
        offset: i64,
        timeout_ms: i64,
    ) -> Result<WaitOutcome> {
        if self.engine.lock().life == Life::New {
            return Err(Error::invalid("not started: no offset would ever be reached"));
        }
        self.shared.board.wait(&*self.env, timeout_ms, |status| {
            match (status.state, &status.trouble) {
                _ if status.stopping => return Some(Err(stopped())),
                (State::Failed, Some(trouble)) => return Some(Err(trouble.error.clone())),
                _ if !status.ready || status.mixed => return None,
                _ => {}
            }
            if status.offset < 0 {
                return Some(Ok(WaitOutcome::Unsupported));
            }
            let ours = status.replid.as_ref().map(|id| &id[..]);
            if replid.is_some_and(|theirs| {
                !ours.is_some_and(|ours| ours.eq_ignore_ascii_case(theirs.as_bytes()))
            }) {
                return Some(Ok(WaitOutcome::OtherHistory));
            }
            (status.offset >= offset).then_some(Ok(WaitOutcome::Reached))
        })
    }

    /// Stops the engine: its threads end, no callback runs any more, lookups answer *stopped*. An
    /// error of kind [`Kind::Timeout`] means that a callback has not returned; it may be called
    /// again.
    pub fn stop(&self, timeout_ms: i64) -> Result<()> {
        // The lock is not kept while waiting: a callback that is still running may ask for an
        // option, and others may want to stop with less patience.
        self.engine.lock().life = Life::Stopped;
        self.shared.view.set_readable(Readable::Stopped);
        self.shared.control.stop();
        self.shared.board.update(|status| status.stopping = true);
        let ended = self
            .shared
            .board
            .wait(&*self.env, timeout_ms, |status| (status.threads == 0).then_some(Ok(())));
        if ended.is_err() {
            return Err(Error::new(
                Kind::Timeout,
                "the engine's threads have not ended: a callback has not returned",
            ));
        }
        let threads = std::mem::take(&mut self.engine.lock().threads);
        threads.into_iter().for_each(Thread::join);
        let now_ms = self.env.now_ms();
        let first = self.shared.board.update(|status| {
            let first = status.state != State::Stopped;
            if first {
                status.state = State::Stopped;
                status.since_ms = now_ms;
            }
            first
        });
        if first {
            self.shared.tell(Moment::Stopped);
        }
        Ok(())
    }

    /// What the replica can say of itself now.
    pub fn info(&self) -> Info {
        self.shared.info()
    }

    /// Changes after the fact.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// The readers' side.
    pub fn lookups(&self) -> &Lookups {
        &self.shared.lookups
    }

    fn scope_is_everything(&self) -> bool {
        let engine = self.engine.lock();
        let config = &engine.config;
        config.store
            && config.databases.is_none()
            && config.keys.is_empty()
            && config.exclude_keys.is_empty()
    }
}

/// The callback, which is asked nothing more once the engine is to stop: whoever stops it waits for
/// one call, not for all that are left of a unit. Nobody sees what is decided without it.
struct UntilStopped<'a> {
    gate: Borrowed<'a, dyn SharedGate>,
    control: &'a Control,
    events: &'a Events,
}

impl UntilStopped<'_> {
    /// Whether anybody is asked.
    fn is_set(&self) -> bool {
        self.gate.get().is_some()
    }

    /// At a border between two units: another callback may have been set.
    #[inline]
    fn renew(&mut self) {
        self.gate.renew();
    }
}

impl Gate for UntilStopped<'_> {
    fn ask(&mut self, change: &Change<'_>) -> Verdict {
        if self.control.is_stopping() {
            return Verdict::Keep;
        }
        let verdict = self.gate.ask(change);
        if verdict == Verdict::Keep || change.effect.happens_anyway() {
            self.events.record(change);
        }
        verdict
    }

    fn is_heard(&self) -> bool {
        self.is_set() || self.events.is_on()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Waiting for ever is what the header promises: a callback that never returns must not
        // find its own code gone.
        let _ = self.stop(-1);
    }
}

impl Shared {
    /// Ends everything after a bug of ours; what may be half-done is no longer shown.
    fn fail(&self, error: Error) {
        log::log(Level::Error, error.text());
        self.view.set_readable(Readable::Stopped);
        self.control.stop();
        let at_ms = self.env.now_ms();
        self.board.update(|status| status.fail(error, at_ms));
        self.tell(Moment::Failed);
    }

    /// The callback, for one unit, or for as many as come without a pause.
    fn gate(&self) -> UntilStopped<'_> {
        UntilStopped { gate: self.gate.borrow(), control: &self.control, events: &self.events }
    }

    /// Tells the listener what just happened.
    fn tell(&self, moment: Moment) {
        self.board.update(|status| status.moment = moment);
        let listener = self.listener.borrow();
        if let Some(listener) = listener.get() {
            listener(&self.info());
        }
    }

    fn info(&self) -> Info {
        let status = self.board.read();
        let link = self.control.counters();
        let counts = self.lookups.reader().counts();
        let spooled = self.control.spooled();
        let unapplied = spooled.saturating_add(self.held.load(Ordering::Relaxed));
        // What has come over a connection that is not followed yet may be a snapshot.
        let unapplied = if status.state == State::Following { unapplied } else { 0 };
        let lag = i64::try_from(unapplied).unwrap_or(i64::MAX);
        // Of keys of before beside keys of after nobody can say as of when they are.
        let offset = if status.mixed { -1 } else { status.offset };
        let known = offset >= 0 && status.state != State::Loading;
        let counters = &self.counters;
        let memory_bytes = counts.total_memory() as u64;
        Info {
            link: 0,
            state: status.state,
            moment: status.moment,
            since_ms: status.since_ms,
            ready: self.view.open() == Answer::Found(()),
            diverged: status.diverged,
            mixed: status.mixed,
            primary: self.primary.lock().clone(),
            server_kind: status.server_kind,
            server_version: status.server_version,
            replid: status.replid,
            offset,
            offset_received: if known { offset.saturating_add(lag) } else { -1 },
            lag_bytes: if known { lag } else { -1 },
            last_byte_age_ms: link
                .last_byte_at_ms
                .map_or(-1, |at| self.env.ticks_ms().saturating_sub(at).max(0)),
            data_age_ms: self.view.freshness().age_ms().unwrap_or(-1),
            loaded_bytes: Counters::of(&counters.loaded_bytes),
            load_total_bytes: status.load_total_bytes,
            loaded_keys: Counters::of(&counters.loaded_keys),
            keys: counts.keys as u64,
            ghosts: counts.ghosts as u64,
            partial: counts.partial as u64,
            frozen: counts.frozen as u64,
            memory_bytes,
            memory_by_type: counts.memory.map(|bytes| bytes as u64),
            memory_peak_bytes: Counters::of(&counters.memory_peak).max(memory_bytes),
            spooled_bytes: spooled,
            connects: link.connects,
            full_syncs: link.full_syncs,
            partial_syncs: link.partial_syncs,
            commands_applied: Counters::of(&counters.commands),
            units: Counters::of(&counters.units),
            unknown_commands: Counters::of(&counters.unknown_commands),
            failed_commands: Counters::of(&counters.failed_commands),
            callbacks: Counters::of(&counters.asked),
            skipped: Counters::of(&counters.skipped),
            last_error_at_ms: status.trouble.as_ref().map_or(-1, |trouble| trouble.at_ms),
            will_retry: !matches!(status.state, State::New | State::Failed | State::Stopped),
            last_error: status.trouble.map(|trouble| trouble.error),
            healing: Counters::of(&counters.healing),
            healed: Counters::of(&counters.healed),
            unhealed: Counters::of(&counters.unhealed),
        }
    }
}

fn stopped() -> Error {
    Error::new(Kind::Stopped, "the engine was stopped")
}

fn name_of(address: &Address) -> String {
    match address {
        Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        Address::Tcp { host, port } => format!("{host}:{port}"),
        Address::Unix { path } => path.clone(),
    }
}

/// What the apply task needs to know of the configuration.
fn settings_of(config: &Config) -> Settings {
    let scope = Scope {
        databases: config.databases.clone(),
        keys: config.keys.clone(),
        exclude_keys: config.exclude_keys.clone(),
        store: config.store,
    };
    Settings {
        scope,
        max_memory: config.max_memory,
        resync: config.resync,
        on_unknown: config.on_unknown,
        on_failure: config.on_failure,
    }
}
