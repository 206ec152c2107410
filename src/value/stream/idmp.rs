//! What a stream remembers of producers that add each message once (Redis 8.6): under which id the
//! message came that a producer gave a name to. A replica decides nothing by it; it keeps what its
//! primary keeps.

use super::Id;
use crate::value::tree::{Tree, push_length, split_length};
use std::cmp::Ordering;
use std::ops::Range;

/// How long a server remembers a message, and how many of each producer, unless it is told
/// otherwise.
const DEFAULT_DURATION_S: u64 = 100;
const DEFAULT_ENTRIES_MAX: u64 = 100;

/// With each message the expired ones of so many other producers are forgotten, for these may be
/// some that never come back. Two for one that is added: so no more than about half of all that is
/// remembered has expired.
const OTHERS_LOOKED_AT: usize = 2;

/// The memory of a stream. Cloning takes constant time, everything about one message logarithmic
/// time.
#[derive(Clone, Debug, PartialEq)]
pub struct Idmp {
    /// For how many seconds a message is remembered.
    pub duration_s: u64,
    /// How many messages of one producer are remembered at most.
    pub entries_max: u64,
    /// How many messages were ever added so.
    pub added: u64,
    /// How many came once more and were not added.
    pub duplicates: u64,
    messages: Messages,
}

/// Producer, id and the message's name, in the order of producer and id.
#[derive(Clone, Debug, Default)]
struct Messages(Tree);

impl PartialEq for Messages {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}

/// A message that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Who added it.
    pub producer: &'a [u8],
    /// What the producer calls it.
    pub name: &'a [u8],
    /// The id of its entry.
    pub id: Id,
}

impl<'a> Message<'a> {
    fn of(entry: &'a [u8]) -> Self {
        let (len, rest) = split_length(entry);
        let (producer, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        let (id, name) = Id::unpack(rest);
        Self { producer, name, id }
    }

    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(self.producer.len() + self.name.len() + 24);
        push_length(&mut entry, self.producer.len());
        entry.extend_from_slice(self.producer);
        self.id.pack(&mut entry);
        entry.extend_from_slice(self.name);
        entry
    }
}

impl Default for Idmp {
    fn default() -> Self {
        Self {
            duration_s: DEFAULT_DURATION_S,
            entries_max: DEFAULT_ENTRIES_MAX,
            added: 0,
            duplicates: 0,
            messages: Messages::default(),
        }
    }
}

impl Idmp {
    /// An estimate of the memory it takes, in bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.messages.0.memory()
    }

    /// All messages in the order of their producers and ids.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        self.messages.0.iter().map(Message::of)
    }

    /// Takes in a message as it stood in a snapshot.
    pub fn restore(&mut self, message: Message<'_>) {
        let order = |entry: &[u8]| {
            let other = Message::of(entry);
            (other.producer, other.id, other.name).cmp(&(
                message.producer,
                message.id,
                message.name,
            ))
        };
        if let Err(at) = self.messages.0.find_by(order) {
            self.messages.0.insert(at, &message.encode());
        }
    }

    /// Remembers a message, and forgets some that were remembered for too long: servers look for
    /// those all the time, but it is enough that there are not many of them.
    pub fn remember(&mut self, message: Message<'_>, now_ms: i64) {
        self.added = self.added.saturating_add(1);
        self.restore(message);
        self.forget_expired(message.producer, now_ms);
        let range = self.range(message.producer);
        if range.len() as u64 > self.entries_max {
            self.messages.0.remove(range.start);
        }
        let mut next = self.range(message.producer).end;
        for _ in 0..OTHERS_LOOKED_AT {
            let entry = self.messages.0.get(next).or_else(|| self.messages.0.get(0));
            let Some(producer) = entry.map(|entry| Message::of(entry).producer.to_vec()) else {
                return;
            };
            self.forget_expired(&producer, now_ms);
            next = self.range(&producer).end;
        }
    }

    /// Forgets all messages, as a server does when its configuration for the stream changes.
    pub fn clear(&mut self) {
        self.messages = Messages::default();
    }

    /// The places of a producer's messages.
    fn range(&self, producer: &[u8]) -> Range<usize> {
        let border = |below: Ordering| {
            let place =
                self.messages.0.find_by(|entry| match Message::of(entry).producer.cmp(producer) {
                    Ordering::Equal => below,
                    other => other,
                });
            place.unwrap_or_else(|at| at)
        };
        border(Ordering::Greater)..border(Ordering::Less)
    }

    fn forget_expired(&mut self, producer: &[u8], now_ms: i64) {
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        let Some(due) = now_ms.checked_sub(self.duration_s.saturating_mul(1000)) else { return };
        let range = self.range(producer);
        let expired = self
            .messages
            .0
            .iter_from(range.start)
            .take(range.len())
            .take_while(|entry| Message::of(entry).id.ms <= due)
            .count();
        self.messages.0.remove_range(range.start..range.start + expired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(idmp: &Idmp) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all =
            idmp.messages().map(|m| format!("{}/{}={}", text(m.producer), text(m.name), m.id));
        all.collect::<Vec<_>>().join(" ")
    }

    fn message<'a>(producer: &'a str, name: &'a str, ms: u64) -> Message<'a> {
        let id = Id { ms, seq: 0 };
        Message { producer: producer.as_bytes(), name: name.as_bytes(), id }
    }

    #[test]
    fn the_oldest_message_of_a_producer_makes_room() {
        let mut idmp = Idmp { entries_max: 2, ..Idmp::default() };
        for (producer, name, ms) in [("p", "a", 1), ("q", "a", 2), ("p", "b", 3), ("p", "c", 4)] {
            idmp.remember(message(producer, name, ms), 0);
        }
        assert_eq!(shown(&idmp), "p/b=3-0 p/c=4-0 q/a=2-0");
        assert_eq!(idmp.added, 4);
        idmp.clear();
        assert_eq!((shown(&idmp).as_str(), idmp.added), ("", 4));
    }

    #[test]
    fn producers_that_never_come_back_are_forgotten_by_and_by() {
        let mut idmp = Idmp { duration_s: 1, ..Idmp::default() };
        for at in 0..5000u64 {
            // Names that come in no order.
            let producer = format!("{:04}", at * 7919 % 5000);
            idmp.remember(message(&producer, "m", at * 100), at as i64 * 100);
        }
        let count = idmp.messages().len();
        assert!((10..100).contains(&count), "{count} messages, of which 10 are young enough");
    }

    #[test]
    fn a_message_from_a_snapshot_is_taken_in_as_it_is_and_once() {
        let mut idmp = Idmp { entries_max: 1, ..Idmp::default() };
        for (name, ms) in [("b", 7), ("a", 5), ("b", 7)] {
            idmp.restore(message("p", name, ms));
        }
        assert_eq!((shown(&idmp).as_str(), idmp.added), ("p/a=5-0 p/b=7-0", 0));
    }
}
