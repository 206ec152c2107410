//! The apply thread's work: what the link feeds it becomes a load or units of the stream, and those
//! become what readers see.
//!
//! It is driven one feed at a time and meets clock, network and threads only through the seam of
//! `env`, so that a simulation can step it.

mod commands;
mod follow;
mod heal;
mod unknown;

use super::Shared;
use super::follow::Stream;
use super::heal::Heal;
use super::load::{Load, Progress, Surroundings, ToldInVain};
use super::position::Position;
use super::state::{Moment, State, Trouble};
use crate::change::Phase;
use crate::command::{Scope, Server};
use crate::config::{Policy, Resync};
use crate::env::Env;
use crate::error::{Error, Kind};
use crate::link::{Feed, LinkState, Transfer, Wishes};
use crate::log::{self, Level};
use crate::table::{Supply, Table};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use unknown::SyncedFor;

/// Progress of a load is told each time so many more bytes were loaded.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What the apply thread needs to know of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) scope: Scope,
    pub(super) max_memory: u64,
    pub(super) resync: Resync,
    pub(super) on_unknown: Policy,
    pub(super) on_failure: Policy,
}

/// The apply thread's state.
pub(super) struct Apply {
    env: Arc<dyn Env>,
    shared: Arc<Shared>,
    settings: Settings,
    /// The number of the configuration that they are from.
    configs: u64,
    table: Table,
    mode: Mode,
    /// The link is told to make no more connections; what it told before is not dealt with.
    given_up: bool,
    position: Position,
    /// Who wrote the last snapshot.
    server: Server,
    unit: u64,
    ready: bool,
    /// The table is what the primary had at the position: the stream may go on from there.
    resumable: bool,
    /// For which unknown commands a full sync was asked, and when by the monotonic clock.
    synced_for: SyncedFor,
    /// Where the option is on.
    heal: Option<Heal>,
    /// Keys of which the callback has heard what did not happen: the next load tells what there is.
    told_in_vain: ToldInVain,
    /// Whether the callback may be asked.
    asking: bool,
    /// When those bytes came of which a part was left, since it may not and is there.
    left: Option<i64>,
}

enum Mode {
    /// Bytes are of no use until a sync begins.
    Waiting,
    /// Loading a snapshot.
    Loading(Box<Load>),
    /// Following the stream.
    Following(Box<Stream>),
}

/// Why following the stream has to end.
enum Broken {
    /// A full sync may help.
    Resync(Error),
    /// Nothing will.
    Stop(Error),
}

impl Apply {
    pub(super) fn new(
        env: Arc<dyn Env>,
        shared: Arc<Shared>,
        settings: Settings,
        table: Table,
    ) -> Self {
        Self {
            env,
            shared,
            settings,
            configs: 0,
            table,
            mode: Mode::Waiting,
            given_up: false,
            position: Position { replid: None, offset: -1, db: 0 },
            server: Server::NEWEST,
            unit: 0,
            ready: false,
            resumable: false,
            synced_for: SyncedFor::default(),
            heal: None,
            told_in_vain: ToldInVain::new(),
            asking: true,
            left: None,
        }
    }

    /// The same with keys healed that a filter made withheld.
    pub(super) fn healing(self, wishes: Arc<Wishes>) -> Self {
        Self { heal: Some(Heal::new(wishes)), ..self }
    }

    /// Whether what comes next is units of the stream and nothing else is in hand: healing takes
    /// its time.
    pub(super) fn is_at_ease(&self) -> bool {
        matches!(self.mode, Mode::Following(_)) && self.heal.is_none() && self.left.is_none()
    }

    /// Goes on with what was left. False where nothing was.
    pub(super) fn go_on(&mut self) -> bool {
        let left = self.left.take();
        left.inspect(|at_ms| self.bytes(&[], *at_ms)).is_some()
    }

    /// Takes in one feed of the link and asks nobody. Where there is a callback by now, what that
    /// has to be asked about is left.
    pub(super) fn take_unasked(&mut self, feed: Feed) {
        self.asking = false;
        self.take(feed);
        self.asking = true;
    }

    /// Takes in one feed of the link.
    pub(super) fn take(&mut self, feed: Feed) {
        match feed {
            Feed::FullSync { replid, offset, transfer, at_ms } => {
                self.begin_load(Position { replid, offset, db: 0 }, transfer, at_ms)
            }
            Feed::Continue { replid } => self.follow_again(replid),
            Feed::Bytes { bytes, at_ms } => {
                // From here on they count as held, as far as they belong to the stream.
                self.shared.control.consumed(bytes.len() as u64);
                self.bytes(&bytes, at_ms);
            }
            Feed::Lost { error, .. } => self.lose(error),
            Feed::Refused { error } => {
                self.mode = Mode::Waiting;
                self.refused(error);
            }
            Feed::Status(state) => self.link_state(state),
            Feed::Fetched(fetched) => self.fetched(fetched),
        }
    }

    /// Whether the engine is to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.control.is_stopping()
    }

    /// For whoever gets memory ahead.
    pub(super) fn supply(&self) -> Supply {
        self.table.supply()
    }

    /// Whether there is anything to tidy up when nothing more comes.
    pub(super) fn is_untidy(&self) -> bool {
        self.table.is_untidy()
    }

    /// Gives back what was replaced and nobody looks at.
    pub(super) fn tidy(&mut self) {
        self.table.tidy();
    }

    fn now_ms(&self) -> i64 {
        self.env.now_ms()
    }

    fn take_settings(&mut self) {
        // In this order, so that they are at least as new as their number says.
        self.configs = self.shared.control.configs();
        self.settings = self.shared.settings.lock().clone();
    }

    fn begin_load(&mut self, position: Position, transfer: Transfer, begun_at_ms: i64) {
        self.take_settings();
        let phase = if self.ready { Phase::Resync } else { Phase::Initial };
        let scope = &self.settings.scope;
        let later = self.ready.then_some(self.settings.resync);
        let mut load = Load::new(transfer, position, begun_at_ms, phase, scope, &self.table, later);
        load.told_in_vain.clone_from(&self.told_in_vain);
        self.mode = Mode::Loading(Box::new(load));
        self.resumable = false;
        // What it brings is whole.
        self.heal_nothing();
        self.hold(0);
        self.shared.counters.loaded_bytes.store(0, Ordering::Relaxed);
        self.shared.counters.loaded_keys.store(0, Ordering::Relaxed);
        self.shared.control.set_applied(-1);
        self.shared.board.update(|status| {
            status.load_total_bytes = match transfer {
                Transfer::Length(total) => i64::try_from(total).unwrap_or(-1),
                Transfer::Mark(_) => -1,
            };
        });
        self.enter(State::Loading, Moment::SyncBegun);
    }

    fn follow_again(&mut self, replid: Option<[u8; 40]>) {
        self.take_settings();
        if let Some(replid) = replid {
            self.position.replid = Some(replid);
        }
        self.unit += 1;
        self.table.stamp(self.stamp());
        self.mode = Mode::Following(Box::default());
        self.follow_from_here();
    }

    /// The table is complete as of the position: readers may look, the primary is told.
    fn follow_from_here(&mut self) {
        let position = self.position;
        self.ready = true;
        self.resumable = position.replid.is_some() && position.offset >= 0;
        // Before anybody who waits is told.
        self.shared.view.let_readers_in();
        self.shared.control.set_applied(position.offset);
        self.shared.control.ready();
        self.shared.control.ack_now();
        self.shared.board.update(|status| {
            status.ready = true;
            status.offset = position.offset;
            status.replid = position.replid;
        });
        self.enter(State::Following, Moment::Ready);
        self.shared.board.update(|status| status.announced = true);
        self.ask_for_values();
    }

    fn bytes(&mut self, bytes: &[u8], at_ms: i64) {
        match std::mem::replace(&mut self.mode, Mode::Waiting) {
            Mode::Waiting => {}
            Mode::Loading(load) => self.load(load, bytes, at_ms),
            Mode::Following(mut stream) => {
                stream.feed(bytes);
                self.hold(stream.held());
                let before = self.unit;
                if self.follow(stream) {
                    self.left = Some(at_ms);
                    return;
                }
                // A unit of which only a part has come was not committed before that part was
                // sent; where nothing but such a part came, it was sent before.
                if self.unit > before && matches!(self.mode, Mode::Following(_)) {
                    self.shared.view.freshness().set_as_of(at_ms);
                }
            }
        }
    }

    fn load(&mut self, mut load: Box<Load>, bytes: &[u8], at_ms: i64) {
        let control = self.shared.control.clone();
        let shared = self.shared.clone();
        let mut around = Surroundings {
            table: &mut self.table,
            scope: &self.settings.scope,
            now_ms: self.env.now_ms(),
            unit: &mut self.unit,
            max_memory: self.settings.max_memory,
            is_stopping: &|| control.is_stopping(),
            becomes_mixed: &|| shared.board.update(|status| status.mixed = true),
        };
        let before = load.received() / PROGRESS_BYTES;
        let was_aside = load.is_aside();
        let progress = load.feed(bytes, &mut around, &mut || shared.gate());
        // Aside nothing can be seen before all of it can.
        match progress {
            Err(_) if was_aside && !load.is_in_place() => shared.events.discard(),
            _ => shared.events.commit(),
        }
        let counters = &self.shared.counters;
        counters.loaded_bytes.store(load.received(), Ordering::Relaxed);
        counters.loaded_keys.store(load.keys, Ordering::Relaxed);
        counters.memory_peak.fetch_max(load.peak(), Ordering::Relaxed);
        let asked = std::mem::take(&mut load.asked);
        if self.shared.gate.is_set() {
            self.count_asked(asked);
        }
        match progress {
            Ok(Progress::More) => {
                let told = before == load.received() / PROGRESS_BYTES;
                self.mode = Mode::Loading(load);
                if !told {
                    self.tell(Moment::Progress);
                }
            }
            Ok(Progress::Complete { position, rest }) => {
                self.complete(&load, position);
                self.mode = Mode::Following(Box::default());
                self.bytes(&rest, at_ms);
            }
            Err(error) => self.abort_load(error),
        }
    }

    fn complete(&mut self, load: &Load, position: Position) {
        self.position = position;
        self.told_in_vain.clear();
        self.shared.view.freshness().set_as_of(load.begun_at_ms);
        let server = &load.server;
        self.server = Server::new(server.valkey, &server.version);
        self.shared.board.update(|status| {
            status.server_kind = if server.valkey { "valkey" } else { "redis" }.to_owned();
            status.server_version.clone_from(&server.version);
            status.diverged = false;
            // Together: nobody is to be told the old offset of the new data.
            status.mixed = false;
            status.offset = position.offset;
            status.replid = position.replid;
        });
        log::log(Level::Info, &format!("snapshot complete: {} keys", load.keys));
        self.follow_from_here();
    }

    fn abort_load(&mut self, error: Error) {
        match error.kind() {
            Kind::Stopped => {}
            Kind::NoMemory => {
                self.tell(Moment::LoadAborted);
                self.give_up(error);
            }
            _ => {
                log::log(Level::Error, &format!("load aborted: {error}"));
                self.trouble(error.clone());
                self.tell(Moment::LoadAborted);
                self.shared.control.restart_sync(error);
            }
        }
    }

    fn lose(&mut self, error: Error) {
        if self.given_up {
            // It was lost before it could be closed. Nobody waits for an answer.
            return;
        }
        let was_loading = matches!(self.mode, Mode::Loading(_));
        // Half a command or half a transaction is dropped: the primary sends it again from the
        // resume point, which lies before it.
        self.mode = Mode::Waiting;
        self.hold(0);
        // The next connection may be to another history, or to the same one elsewhere.
        self.heal_anew();
        log::log(Level::Warning, &format!("link lost: {error}"));
        self.trouble(error);
        if was_loading {
            self.tell(Moment::LoadAborted);
        }
        let Position { replid, offset, .. } = self.position;
        let resume = replid.filter(|_| self.resumable).map(|replid| (replid, offset));
        self.shared.control.resume(resume);
        self.enter(self.unattached(), Moment::LinkLost);
    }

    /// The state while there is no link.
    fn unattached(&self) -> State {
        if self.ready { State::Reconnecting } else { State::Connecting }
    }

    fn refused(&mut self, error: Error) {
        let now_ms = self.now_ms();
        let shared = self.shared.clone();
        // With a newer configuration it is tried again at once.
        let otherwise = self.unattached();
        let is_final = shared.board.update(|status| {
            // Looked at under the lock under which a new configuration takes the state back.
            let is_final = shared.control.is_refusal_current();
            let state = if is_final { State::Failed } else { otherwise };
            if status.state != state {
                status.state = state;
                status.since_ms = now_ms;
            }
            status.trouble = Some(Trouble { error, at_ms: now_ms });
            is_final
        });
        if is_final {
            self.tell(Moment::Failed);
        }
    }

    fn link_state(&mut self, state: LinkState) {
        let moment = match state {
            LinkState::WaitingForTurn => Moment::WaitingForTurn,
            LinkState::Connecting => Moment::Connecting,
            LinkState::Handshaking => Moment::Connected,
            LinkState::WaitingForSnapshot | LinkState::Attached => return,
        };
        if state != LinkState::Handshaking {
            self.given_up = false;
        }
        self.enter(self.unattached(), moment);
    }

    /// Ends following until the options change; what is there stays readable.
    fn give_up(&mut self, error: Error) {
        log::log(Level::Error, &format!("given up: {error}"));
        self.mode = Mode::Waiting;
        self.resumable = false;
        self.given_up = true;
        self.hold(0);
        self.heal_anew();
        self.shared.control.park(&error, self.configs);
        self.refused(error);
    }

    fn trouble(&self, error: Error) {
        let trouble = Trouble { error, at_ms: self.now_ms() };
        self.shared.board.update(|status| status.trouble = Some(trouble));
    }

    /// Bytes of the stream that were taken over and belong to no complete unit yet.
    fn hold(&self, bytes: usize) {
        self.shared.held.store(bytes as u64, Ordering::Relaxed);
    }

    fn enter(&self, state: State, moment: Moment) {
        let now_ms = self.now_ms();
        self.shared.board.update(|status| {
            if status.state != state {
                status.state = state;
                status.since_ms = now_ms;
            }
        });
        self.tell(moment);
    }

    fn tell(&self, moment: Moment) {
        self.shared.tell(moment);
    }
}

#[cfg(test)]
mod tests;
