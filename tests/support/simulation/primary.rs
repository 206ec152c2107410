//! The simulated primaries: who answers a replica, what it gets as a snapshot and as a stream, and
//! how they refuse, stall and lie.

use super::history::{History, Id};
use super::model::Data;
use super::network::{Dial, Net};
use super::snapshot;
use crate::support::random::Dice;

/// A primary cuts replicas that it has not heard of for so long.
const REPLICA_TIMEOUT_MS: i64 = 60_000;
/// While a snapshot is made, newlines show that the primary lives.
const NEWLINE_MS: i64 = 1_000;

/// What is wrong with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// A bit is another one.
    Flip,
    /// The connection ends within.
    Cut,
    /// Its length, or the mark at its end, is not what was announced.
    Border,
}

/// What is not so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// The stream goes on, but from another offset than was asked for.
    Continue,
    /// The snapshot is of another offset than it says.
    Offset,
}

/// How one connection is served.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Instead of the answer to this command.
    pub refusal: Option<(&'static str, &'static str)>,
    pub harm: Option<Harm>,
    pub lie: Option<Lie>,
    /// The snapshot ends with a mark.
    pub has_mark: bool,
    /// How long it takes to make it.
    pub prepare_ms: i64,
    /// Acknowledgements that are missed behind a snapshot with a mark.
    pub missed_acks: usize,
    /// The most that is sent in one go.
    pub chunk: usize,
    /// The primary is itself a replica: the stream's selected database goes on.
    pub is_chained: bool,
    /// Says nothing at all.
    pub is_mute: bool,
}

enum Stage {
    Greeting,
    Preparing {
        until_ms: i64,
        newline_ms: i64,
        offset: i64,
        announced: Vec<u8>,
        snapshot: Vec<u8>,
    },
    Sending {
        rest: Vec<u8>,
        offset: i64,
        is_cut: bool,
    },
    /// The stream is sent up to here.
    Streaming {
        sent: i64,
        acks_missing: usize,
    },
    Gone,
}

/// One connection of a replica, as its primary sees it.
pub struct Peer {
    wire: usize,
    pub node: usize,
    manners: Manners,
    input: Vec<u8>,
    stage: Stage,
    heard_ms: i64,
    acknowledges: bool,
    pub acked: i64,
    /// Its snapshot is not what it should be.
    pub is_harmed: bool,
    /// What it has been told is not so.
    pub is_lied_to: bool,
    has_password: bool,
    /// The snapshot that it gets, and after how many bytes of the connection that was announced.
    pub snapshot: Option<(Data, u64)>,
    /// After how many bytes of the connection the stream begins, and at which offset.
    stream_from: Option<(u64, i64)>,
}

pub struct Node {
    pub history: History,
    /// It neither reads nor writes before this time.
    pub stalled_until_ms: i64,
}

/// All of them; one is where the replica's address leads.
pub struct Primaries {
    pub nodes: Vec<Node>,
    pub target: usize,
    pub peers: Vec<Peer>,
    pub dice: Dice,
    /// What they all want to hear first.
    pub password: Option<Vec<u8>>,
    /// A replica was told something that it can't know to be wrong. What it has is anything.
    pub has_lied: bool,
    /// That was so at some time.
    pub has_ever_lied: bool,
}

/// The first command in the input: its words, and how many bytes it took. A lone newline has no
/// words.
pub fn command(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    if input.first() == Some(&b'\n') {
        return Some((Vec::new(), 1));
    }
    let mut at = 0;
    let number = |at: &mut usize, sign: u8| {
        let end = *at + input.get(*at..)?.iter().position(|byte| *byte == b'\r')?;
        assert_eq!(input[*at], sign, "{}", input.escape_ascii());
        let number = std::str::from_utf8(&input[*at + 1..end]).expect("text");
        *at = end + 2;
        Some(number.parse::<usize>().expect("a number"))
    };
    let count = number(&mut at, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let len = number(&mut at, b'$')?;
        words.push(input.get(at..at + len)?.to_vec());
        at += len + 2;
    }
    (at <= input.len()).then_some((words, at))
}

pub fn random_id(dice: &mut Dice) -> Id {
    std::array::from_fn(|_| b"0123456789abcdef"[dice.below(16)])
}

impl Primaries {
    /// The node to which new connections lead.
    pub fn current(&mut self) -> &mut Node {
        &mut self.nodes[self.target]
    }

    pub fn current_history(&self) -> &History {
        &self.nodes[self.target].history
    }

    pub fn history(&self, id: &Id) -> Option<&History> {
        self.nodes.iter().map(|node| &node.history).find(|history| history.id == *id)
    }

    /// The connection in hand, if the replica has not left it.
    pub fn peer(&self, net: &Net) -> Option<&Peer> {
        self.peers.last().filter(|peer| !net.wires[peer.wire].is_left)
    }

    /// Takes in a connection that was made, with these manners; true where there is one.
    pub fn accept(&mut self, net: &Net, manners: impl FnOnce(&mut Dice) -> Manners) -> bool {
        let wire = self.peers.len();
        let is_new = wire < net.wires.len();
        if is_new {
            let manners = manners(&mut self.dice);
            self.peers.push(Peer {
                wire,
                node: self.target,
                manners,
                input: Vec::new(),
                stage: Stage::Greeting,
                heard_ms: net.ticks_ms,
                acknowledges: true,
                acked: -1,
                is_harmed: false,
                is_lied_to: false,
                has_password: false,
                snapshot: None,
                stream_from: None,
            });
        }
        is_new
    }

    /// Does what one connection needs; false where there is nothing to do.
    pub fn serve(&mut self, at: usize, net: &mut Net) -> bool {
        let peer = &mut self.peers[at];
        let node = &mut self.nodes[peer.node];
        if net.ticks_ms < node.stalled_until_ms || peer.is_gone() {
            return false;
        }
        if net.wires[peer.wire].is_left {
            peer.stage = Stage::Gone;
            return true;
        }
        let done = peer.serve(node, net, &self.password, &mut self.dice);
        self.has_lied |= peer.is_lied_to;
        self.has_ever_lied |= peer.is_lied_to;
        done
    }

    /// When a connection will next need something.
    pub fn next_at(&self, at: usize, net: &Net) -> Option<i64> {
        let peer = &self.peers[at];
        if peer.is_gone() {
            return None;
        }
        let stalled = self.nodes[peer.node].stalled_until_ms;
        let own = match &peer.stage {
            Stage::Preparing { until_ms, newline_ms, .. } => *until_ms.min(newline_ms),
            Stage::Sending { .. } => net.ticks_ms,
            Stage::Streaming { .. } if peer.acknowledges => peer.heard_ms + REPLICA_TIMEOUT_MS,
            _ => i64::MAX,
        };
        let heard = net.wires[peer.wire].next_for_primary_at().unwrap_or(i64::MAX);
        Some(own.min(heard).max(stalled)).filter(|at| *at < i64::MAX)
    }

    /// Everybody sends as fast as they can, and nobody lies any more.
    pub fn hurry(&mut self) {
        for peer in &mut self.peers {
            (peer.manners.chunk, peer.manners.lie) = (100_000, None);
        }
    }

    /// Cuts every connection to a node.
    pub fn close_all(&mut self, node: usize, net: &mut Net) {
        for peer in self.peers.iter_mut().filter(|peer| peer.node == node) {
            peer.close(net);
        }
    }

    /// Puts bytes into the stream of the connection in hand that are not of its history. Only
    /// where everything was sent, so that they stand between two units; true if so.
    pub fn slip_in(&mut self, bytes: &[u8], net: &mut Net) -> bool {
        let Some(peer) = self.peers.last_mut() else { return false };
        let end = self.nodes[peer.node].history.end();
        match peer.stage {
            Stage::Streaming { sent, acks_missing: 0 } if sent == end => {
                net.wires[peer.wire].send(net.ticks_ms, bytes);
                true
            }
            _ => false,
        }
    }
}

impl Peer {
    pub fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Everything that there is was sent.
    pub fn is_done(&self, end: i64) -> bool {
        matches!(self.stage, Stage::Streaming { sent, acks_missing: 0 } if sent == end)
    }

    pub fn close(&mut self, net: &mut Net) {
        net.wires[self.wire].close(net.ticks_ms);
        self.stage = Stage::Gone;
    }

    pub fn wire(&self) -> usize {
        self.wire
    }

    /// A bit of its snapshot is another one.
    pub fn is_flipped(&self) -> bool {
        self.manners.harm == Some(Harm::Flip)
    }

    /// When the replica read the last byte before this offset, if that came here.
    pub fn read_at(&self, offset: i64, net: &Net) -> Option<i64> {
        let (before, start) = self.stream_from?;
        let bytes = u64::try_from(offset - start).ok().filter(|bytes| *bytes > 0)?;
        net.wires[self.wire].read_at(before + bytes)
    }

    /// When the replica read that a snapshot comes.
    pub fn announced_at(&self, net: &Net) -> Option<i64> {
        net.wires[self.wire].read_at(self.snapshot.as_ref()?.1)
    }

    fn begin_stream(&mut self, offset: i64, acks_missing: usize, net: &Net) {
        self.stage = Stage::Streaming { sent: offset, acks_missing };
        self.stream_from = Some((net.wires[self.wire].sent, offset));
    }

    fn send(&self, net: &mut Net, bytes: &[u8]) {
        net.wires[self.wire].send(net.ticks_ms, bytes);
    }

    fn serve(
        &mut self,
        node: &mut Node,
        net: &mut Net,
        password: &Option<Vec<u8>>,
        dice: &mut Dice,
    ) -> bool {
        let now = net.ticks_ms;
        if !matches!(net.wires[self.wire].dial, Dial::Up(at) if at <= now) {
            return false;
        }
        let came = net.wires[self.wire].take(now);
        if !came.is_empty() {
            self.heard_ms = now;
            self.input.extend(came);
            while let Some((words, used)) = command(&self.input) {
                self.input.drain(..used);
                if self.lets_in(&words, password, net) {
                    self.answer(&words, node, net, dice);
                }
                if self.is_gone() {
                    return true;
                }
            }
            return true;
        }
        if self.manners.is_mute {
            return false;
        }
        self.go_on(node, net, dice)
    }

    /// Whether a command may be answered: whoever has not said the password may say nothing else.
    fn lets_in(&mut self, words: &[Vec<u8>], password: &Option<Vec<u8>>, net: &mut Net) -> bool {
        let said = words.get(1).filter(|_| words[0] == b"AUTH");
        if self.manners.is_mute {
            return true;
        }
        match (said, password) {
            (Some(said), Some(right)) => {
                self.has_password |= said == right;
                let is_right = said == right;
                self.send(net, if is_right { b"+OK\r\n" } else { b"-WRONGPASS no\r\n" });
                false
            }
            (None, Some(_)) if !self.has_password && !words.is_empty() => {
                self.send(net, b"-NOAUTH Authentication required.\r\n");
                false
            }
            _ => true,
        }
    }

    fn answer(&mut self, words: &[Vec<u8>], node: &mut Node, net: &mut Net, dice: &mut Dice) {
        let texts: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        if let (["REPLCONF", "ACK", offset], Stage::Streaming { acks_missing, .. }) =
            (&texts[..], &mut self.stage)
        {
            self.acked = offset.parse().expect("an offset");
            *acks_missing = acks_missing.saturating_sub(1);
            return;
        }
        let (Some(name), Stage::Greeting) = (texts.first(), &self.stage) else { return };
        if self.manners.is_mute {
            return;
        }
        if let Some((_, line)) = self.manners.refusal.filter(|(when, _)| when == name) {
            self.send(net, line.as_bytes());
            if line.starts_with('-') && dice.percent(50) {
                self.close(net);
            }
            return;
        }
        match texts[..] {
            ["PING"] => self.send(net, b"+PONG\r\n"),
            ["REPLCONF", ..] => self.send(net, b"+OK\r\n"),
            ["PSYNC", ..] if !node.history.has_offsets => {
                self.send(net, b"-ERR unknown command 'PSYNC'\r\n");
            }
            ["PSYNC", id, wanted] => self.sync(id, wanted, node, net, dice),
            ["SYNC"] => {
                self.acknowledges = false;
                self.manners.has_mark = false;
                self.begin_snapshot(node, net, dice);
            }
            ref other => panic!("the replica says {other:?}"),
        }
    }

    fn sync(&mut self, id: &str, wanted: &str, node: &mut Node, net: &mut Net, dice: &mut Dice) {
        let last = wanted.parse::<i64>().expect("an offset") - 1;
        let history = &node.history;
        if self.manners.lie == Some(Lie::Continue) && id != "?" {
            self.is_lied_to = true;
            let name = String::from_utf8_lossy(&history.id).into_owned();
            self.send(net, format!("+CONTINUE {name}\r\n").as_bytes());
            let sent = history.border_before_end(dice.below(30));
            let sent = sent + if dice.percent(30) { dice.below(20) as i64 } else { 0 };
            return self.begin_stream(sent.min(history.end()), 0, net);
        }
        if history.can_continue(id.as_bytes(), last) {
            let is_same = id.as_bytes() == history.id;
            let name = String::from_utf8_lossy(&history.id).into_owned();
            let name = if is_same && dice.percent(20) { String::new() } else { format!(" {name}") };
            self.send(net, format!("+CONTINUE{name}\r\n").as_bytes());
            return self.begin_stream(last, 0, net);
        }
        let id = String::from_utf8_lossy(&history.id).into_owned();
        let mut offset = history.end();
        if self.manners.lie == Some(Lie::Offset) {
            self.is_lied_to = true;
            let below = dice.below(1 + offset.min(5_000) as usize) as i64;
            offset = [0, offset - below, offset + below, i64::MAX][dice.below(4)];
        }
        self.send(net, format!("+FULLRESYNC {id} {offset}\r\n").as_bytes());
        self.begin_snapshot(node, net, dice);
    }

    fn begin_snapshot(&mut self, node: &mut Node, net: &mut Net, dice: &mut Dice) {
        let history = &mut node.history;
        self.is_harmed = self.manners.harm.is_some();
        let stream_db = if self.manners.is_chained { history.db } else { None };
        history.db = stream_db;
        self.snapshot = Some((history.data.clone(), net.wires[self.wire].sent));
        let mut snapshot = snapshot::write(&history.data, stream_db);
        let mut mark: Vec<u8> = random_id(dice).to_vec();
        let announced = if self.manners.has_mark {
            [b"$EOF:", &mark[..], b"\r\n"].concat()
        } else {
            let lie = self.manners.harm == Some(Harm::Border);
            let lie = if lie { 1 + dice.below(20) as i64 } else { 0 };
            let lie = if dice.percent(50) { lie } else { -lie };
            format!("${}\r\n", snapshot.len() as i64 + lie).into_bytes()
        };
        if self.manners.harm == Some(Harm::Flip) {
            let at = dice.below(snapshot.len());
            snapshot[at] ^= 1 << dice.below(8);
        }
        if self.manners.has_mark {
            if self.manners.harm == Some(Harm::Border) {
                mark[dice.below(40)] = b'!';
            }
            snapshot.extend(mark);
        }
        let is_cut = self.manners.harm == Some(Harm::Cut);
        if is_cut {
            snapshot.truncate(dice.below(snapshot.len()));
        }
        let until_ms = net.ticks_ms + self.manners.prepare_ms;
        let (newline_ms, offset) = (net.ticks_ms + NEWLINE_MS, history.end());
        self.stage = Stage::Preparing { until_ms, newline_ms, offset, announced, snapshot };
    }

    /// What it does by itself.
    fn go_on(&mut self, node: &mut Node, net: &mut Net, dice: &mut Dice) -> bool {
        let now = net.ticks_ms;
        if self.acknowledges && now >= self.heard_ms + REPLICA_TIMEOUT_MS {
            self.close(net);
            return true;
        }
        let most = 1 + dice.below(self.manners.chunk);
        match &mut self.stage {
            Stage::Preparing { until_ms, newline_ms, offset, announced, snapshot } => {
                if now >= *until_ms {
                    let (announced, offset) = (std::mem::take(announced), *offset);
                    let rest = std::mem::take(snapshot);
                    let is_cut = self.manners.harm == Some(Harm::Cut);
                    self.send(net, &announced);
                    self.stage = Stage::Sending { rest, offset, is_cut };
                } else if now >= *newline_ms {
                    *newline_ms = now + NEWLINE_MS;
                    self.send(net, b"\n");
                } else {
                    return false;
                }
            }
            Stage::Sending { rest, offset, is_cut } => {
                if rest.is_empty() {
                    if *is_cut {
                        self.close(net);
                        return true;
                    }
                    let has_mark = self.manners.has_mark;
                    let acks_missing = if has_mark { 1 + self.manners.missed_acks } else { 0 };
                    let offset = *offset;
                    self.begin_stream(offset, acks_missing, net);
                    return true;
                }
                let part: Vec<u8> = rest.drain(..most.min(rest.len())).collect();
                self.heard_ms = now;
                self.send(net, &part);
            }
            Stage::Streaming { sent, acks_missing: 0 } => {
                let bytes = node.history.bytes_after(*sent);
                if bytes.is_empty() {
                    return false;
                }
                let part = bytes[..most.min(bytes.len())].to_vec();
                *sent += part.len() as i64;
                self.send(net, &part);
            }
            Stage::Streaming { .. } | Stage::Greeting | Stage::Gone => return false,
        }
        true
    }
}
