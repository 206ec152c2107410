//! Random commands on streams and their groups. Ids grow slowly and belong to one key each, so that
//! commands meet entries that are there.

use super::{Generator, KEYS, Words};
use std::collections::VecDeque;

/// What was added not long ago.
#[derive(Default)]
pub(super) struct Recent {
    /// The number of the last entry.
    last: u64,
    /// Database and number of entries.
    entries: VecDeque<(u32, u64)>,
    /// Database, key and name of groups.
    groups: VecDeque<(u32, Vec<u8>, &'static str)>,
}

/// So many entries are remembered, ...
const ENTRIES: usize = 300;
/// ... and so many groups.
const GROUPS: usize = 30;

/// Of the entries in a database, so many are fresh, and most commands mean one of those.
const FRESH: usize = 40;

impl Generator {
    /// The id of an entry that was added not long ago, and its key.
    fn known_entry(&mut self) -> (Vec<u8>, Vec<u8>) {
        let here: Vec<u64> =
            self.streams.entries.iter().filter(|of| of.0 == self.db).map(|of| of.1).collect();
        let fresh = if self.dice.percent(60) { here.len().saturating_sub(FRESH) } else { 0 };
        let at = if here.is_empty() { 1 } else { *self.dice.pick(&here[fresh..]) };
        (entry_key(at), entry_id(at))
    }

    /// A key and a group of it.
    fn known_group(&mut self) -> (Vec<u8>, &'static str) {
        let here: Vec<_> = self.streams.groups.iter().filter(|of| of.0 == self.db).collect();
        if here.is_empty() || self.dice.percent(10) {
            return (self.key("x"), self.group());
        }
        let (_, key, group) = *self.dice.pick(&here);
        (key.clone(), group)
    }

    /// A key, a group of it, and some ids of its entries.
    fn known_delivery(&mut self) -> (Vec<u8>, &'static str, Words) {
        let (key, group) = self.known_group();
        let of_it = |at: &u64| entry_key(*at) == key;
        let here = self.streams.entries.iter().filter(|of| of.0 == self.db).map(|of| of.1);
        let here: Vec<u64> = here.filter(of_it).collect();
        if here.is_empty() {
            return (key, group, vec![entry_id(1)]);
        }
        let ids = (0..1 + self.dice.below(5)).map(|_| entry_id(*self.dice.pick(&here))).collect();
        (key, group, ids)
    }

    /// Some ids of one stream, mostly of entries that were added.
    fn known_ids(&mut self) -> (Vec<u8>, Words) {
        let (key, first) = self.known_entry();
        let mut ids = vec![first];
        for _ in 0..self.dice.below(4) {
            let (other, id) = self.known_entry();
            ids.push(if other == key || self.dice.percent(20) { id } else { ids[0].clone() });
        }
        let key = if self.dice.percent(95) { key } else { self.key("x") };
        (key, ids)
    }

    fn group(&mut self) -> &'static str {
        self.dice.pick::<&str>(&["g1", "g1", "g2", "g3"])
    }

    fn consumer(&mut self) -> Vec<u8> {
        self.dice.pick(&["alice", "bob", "", "c\0d"]).as_bytes().to_vec()
    }

    fn stream_field(&mut self) -> Vec<u8> {
        if self.dice.percent(90) {
            return self.dice.pick(&["temperature", "f", "g"]).as_bytes().to_vec();
        }
        self.value()
    }

    /// `MAXLEN` or `MINID` with its limit. Where servers of 8.2 themselves would leave their
    /// replicas with something else, it is left out: an approximate MINID that spares some entries,
    /// and an exact MAXLEN that does.
    fn trim(&mut self, spares: &str) -> Words {
        let approximate = self.dice.percent(30);
        let mut trim = if !spares.is_empty() && approximate || self.dice.percent(60) {
            words!["MAXLEN"]
        } else {
            words!["minid"]
        };
        let exact_length = !approximate && trim[0] == b"MAXLEN";
        if spares == "ACKED" && exact_length {
            return Words::new();
        }
        trim.extend(match (approximate, self.dice.percent(50)) {
            (true, _) => words!["~"],
            (_, true) => words!["="],
            _ => words![],
        });
        if trim[0] == b"MAXLEN" {
            trim.push(self.dice.below(40).to_string().into_bytes());
        } else {
            trim.push(self.known_entry().1);
        }
        if approximate && self.dice.percent(40) {
            trim.extend(words!["LIMIT", self.dice.below(200).to_string()]);
        }
        trim
    }

    /// What becomes of references: nothing before 8.2.
    fn spares(&mut self) -> &'static str {
        match self.dice.below(8) {
            0 => "KEEPREF",
            1 => "DELREF",
            2 => "ACKED",
            _ => "",
        }
    }

    fn xadd(&mut self) -> Words {
        let streams = &mut self.streams;
        streams.last += 1;
        let at = streams.last;
        streams.entries.push_back((self.db, at));
        if streams.entries.len() > ENTRIES {
            streams.entries.pop_front();
        }
        let mut key = entry_key(at);
        if self.dice.percent(5) {
            key = self.key("x");
        }
        let mut xadd = words![*self.dice.pick(&["XADD", "xadd"]), key];
        if self.dice.percent(10) {
            xadd.extend(words!["NOMKSTREAM"]);
        }
        if self.dice.percent(20) {
            let spares = self.spares();
            let trim = self.trim(spares);
            if !spares.is_empty() && !trim.is_empty() {
                xadd.extend(words![spares]);
            }
            xadd.extend(trim);
        }
        xadd.push(match self.dice.below(60) {
            0 => b"*".to_vec(),
            1 => format!("{at}-*").into_bytes(),
            2 => at.to_string().into_bytes(),
            3 => self.value(),
            _ => entry_id(at),
        });
        for _ in 0..1 + self.dice.below(3) {
            let value = if self.dice.percent(80) { b"21.5".to_vec() } else { self.value() };
            xadd.extend([self.stream_field(), value]);
        }
        xadd
    }

    pub(super) fn stream_command(&mut self) -> Words {
        match self.dice.below(20) {
            0..=9 => self.xadd(),
            10..=11 => {
                let (key, ids) = self.known_ids();
                if self.dice.percent(30) {
                    // A server ends deliveries of entries that are not there without telling.
                    let spares = self.spares().trim_start_matches("DELREF");
                    let mut xdelex = words!["XDELEX", key];
                    if !spares.is_empty() {
                        xdelex.extend(words![spares]);
                    }
                    xdelex.extend(words!["IDS", ids.len().to_string()]);
                    xdelex.extend(ids);
                    return xdelex;
                }
                let mut xdel = words!["XDEL", key];
                xdel.extend(ids);
                xdel
            }
            12 => {
                let mut xtrim = words!["XTRIM", self.key("x")];
                let spares = self.spares();
                xtrim.extend(self.trim(spares));
                if !spares.is_empty() {
                    xtrim.extend(words![spares]);
                }
                xtrim
            }
            13 => {
                let mut xsetid = words!["XSETID", self.key("x"), entry_id(self.streams.last + 1)];
                if self.dice.percent(40) {
                    xsetid.extend(words!["ENTRIESADDED", self.dice.below(9000).to_string()]);
                }
                if self.dice.percent(40) {
                    xsetid.extend([b"MAXDELETEDID".to_vec(), self.known_entry().1]);
                }
                xsetid
            }
            _ => self.group_command(),
        }
    }

    fn xgroup(&mut self) -> Words {
        let (key, group) = if self.dice.percent(50) {
            (self.known_entry().0, self.group())
        } else {
            self.known_group()
        };
        let start = match self.dice.below(4) {
            0 => b"$".to_vec(),
            1 => self.known_entry().1,
            _ => b"0".to_vec(),
        };
        let mut xgroup = match self.dice.below(12) {
            0..=5 => {
                self.streams.groups.push_back((self.db, key.clone(), group));
                if self.streams.groups.len() > GROUPS {
                    self.streams.groups.pop_front();
                }
                words!["XGROUP", "CREATE", key, group, start]
            }
            6 => words!["XGROUP", "SETID", key, group, start],
            7 => return words!["XGROUP", "DESTROY", key, group],
            8..=9 => return words!["XGROUP", "CREATECONSUMER", key, group, self.consumer()],
            10 => return words!["xgroup", "delconsumer", key, group, self.consumer()],
            _ => words!["XGROUP", "CREATE", key, group, start, "MKSTREAM"],
        };
        // What is more than there were, some servers believe and some don't.
        if self.dice.percent(15) {
            xgroup.extend(words!["ENTRIESREAD", *self.dice.pick(&["0", "-1"])]);
        }
        xgroup
    }

    /// What reads, claims and acknowledges. Nobody reads again what was delivered to him: servers
    /// count that and tell no replica.
    fn group_command(&mut self) -> Words {
        match self.dice.below(20) {
            0..=4 => self.xgroup(),
            5..=9 => {
                let (key, group) = self.known_group();
                let count = (1 + self.dice.below(6)).to_string();
                let mut read =
                    words!["XREADGROUP", "GROUP", group, self.consumer(), "COUNT", count];
                if self.dice.percent(15) {
                    read.extend(words!["NOACK"]);
                }
                read.extend(words!["STREAMS", key, ">"]);
                read
            }
            10..=13 => {
                let (key, group, ids) = self.known_delivery();
                let mut xack = words!["XACK", key, group];
                xack.extend(ids);
                xack
            }
            14 => {
                let (key, group, ids) = self.known_delivery();
                let mut xackdel = words!["XACKDEL", key, group];
                let spares = self.spares();
                if !spares.is_empty() {
                    xackdel.extend(words![spares]);
                }
                xackdel.extend(words!["IDS", ids.len().to_string()]);
                xackdel.extend(ids);
                xackdel
            }
            15..=17 => {
                let (key, group, ids) = self.known_delivery();
                let idle = if self.dice.percent(80) { "0" } else { "5" };
                let mut xclaim = words!["XCLAIM", key, group, self.consumer(), idle];
                xclaim.extend(ids);
                for (percent, option) in [
                    (20, words!["IDLE", self.dice.below(1000).to_string()]),
                    (20, words!["TIME", (self.now_ms - 5000).to_string()]),
                    (30, words!["RETRYCOUNT", self.dice.below(20).to_string()]),
                    (40, words!["FORCE"]),
                    (40, words!["JUSTID"]),
                    (10, vec![b"LASTID".to_vec(), self.known_entry().1]),
                ] {
                    if self.dice.percent(percent) {
                        xclaim.extend(option);
                    }
                }
                xclaim
            }
            _ => {
                let (key, group) = self.known_group();
                let mut claim = words!["XAUTOCLAIM", key, group, self.consumer(), "0"];
                claim.push(if self.dice.percent(80) {
                    b"-".to_vec()
                } else {
                    self.known_entry().1
                });
                if self.dice.percent(50) {
                    claim.extend(words!["COUNT", (1 + self.dice.below(20)).to_string()]);
                }
                if self.dice.percent(30) {
                    claim.extend(words!["JUSTID"]);
                }
                claim
            }
        }
    }
}

/// Where the entry of this number is added.
fn entry_key(at: u64) -> Vec<u8> {
    format!("x{}", at % KEYS as u64).into_bytes()
}

fn entry_id(at: u64) -> Vec<u8> {
    format!("{at}-{}", at % 3).into_bytes()
}
