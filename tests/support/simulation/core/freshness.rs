//! How old the data is, from what the primary sent and when the replica read it.

use super::Core;
use rets::replica::{Answer, Info};

#[derive(Debug, Default)]
pub struct Freshness {
    /// Everything that had come by then is applied; nothing where that can't be told.
    as_of_ms: Option<i64>,
    /// The offset that was applied then.
    offset: i64,
}

impl Core {
    /// A load is complete: the snapshot has nothing that was written after it was announced.
    pub(super) fn is_fresh_from_load(&mut self, info: &Info) {
        let sim = self.sim.clone();
        let peer = self.primaries.peers.last();
        let as_of_ms = peer.and_then(|peer| peer.announced_at(&sim.net()));
        let as_of_ms = as_of_ms.filter(|_| info.offset >= 0);
        self.fresh = Freshness { as_of_ms, offset: info.offset };
        self.judge_age();
    }

    /// After a step of the apply task: with what completed a unit, the data is as of then.
    pub(super) fn judge_freshness(&mut self, info: &Info) {
        if self.is_blind() || info.offset < 0 {
            self.fresh.as_of_ms = None;
            return;
        }
        if info.offset != self.fresh.offset {
            let sim = self.sim.clone();
            let peer = self.primaries.peers.last();
            let read_at = peer.and_then(|peer| peer.read_at(info.offset, &sim.net()));
            // Following may have ended with what came behind that, and so came too late.
            let as_of_ms = sim.net().ticks_ms - info.data_age_ms;
            let ended = self.fresh.as_of_ms == Some(as_of_ms)
                && (self.may_end_here(info) || self.spoiled.is_some());
            self.fresh.offset = info.offset;
            if !ended {
                self.fresh.as_of_ms = read_at;
            }
        }
        self.judge_age();
    }

    /// What is told of the data's age is so.
    pub(super) fn judge_age(&mut self) {
        let info = self.replica.info();
        let now = self.sim.net().ticks_ms;
        if info.ready != (info.data_age_ms >= 0) {
            return self.fail(format!("ready: {}, age {}", info.ready, info.data_age_ms));
        }
        let Some(as_of_ms) = self.fresh.as_of_ms.filter(|_| !self.is_blind()) else { return };
        let age_ms = now - as_of_ms;
        if info.data_age_ms != age_ms {
            let told = info.data_age_ms;
            self.fail(format!("the data may be {age_ms} ms old, told is {told} ms"));
        }
    }

    /// Whether a lookup has to be refused as stale.
    fn is_stale(&self) -> bool {
        let limit: i64 =
            self.replica.option("max-staleness").expect("an option").parse().expect("a number");
        let now = self.sim.net().ticks_ms;
        let told = self.replica.info().data_age_ms;
        let age_ms = self.fresh.as_of_ms.map_or(told, |as_of_ms| now - as_of_ms);
        limit > 0 && age_ms > limit
    }

    /// Whether a lookup was rightly refused, or rightly not. The judge has to know the age.
    pub(super) fn judge_stale<T>(&mut self, answer: &Answer<T>) {
        if !self.was_ready {
            return;
        }
        let is_refused = matches!(answer, Answer::Stale);
        self.tally.stale += u64::from(is_refused);
        if is_refused != self.is_stale() {
            let age_ms = self.replica.info().data_age_ms;
            self.fail(format!("stale: {is_refused}, at an age of {age_ms} ms: {:?}", self.fresh));
        }
    }
}
