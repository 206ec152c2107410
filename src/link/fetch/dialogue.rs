//! What is said on the second connection, without any I/O: credentials and the server's version
//! first, then a transaction for each key.
//!
//! Only the primary itself can say which offset a value is at, so an answer of a server that is a
//! replica now, or that has gone on with another history, is not taken.

use super::{Answer, Wish};
use crate::error::{Error, Kind};
use crate::link::ReplId;
use crate::link::handshake::Credentials;
use crate::link::refusal::{self, Failure, Step};
use crate::resp::{self, Reply};
use std::collections::VecDeque;

/// Errors of a server that will do it later.
const LATER: &[&[u8]] =
    &[b"-LOADING", b"-BUSY", b"-MASTERDOWN", b"-NOMASTERLINK", b"-TRYAGAIN", b"-CLUSTERDOWN"];

/// What happens next.
pub(super) enum Event {
    /// Send this.
    Send(Vec<u8>),
    /// Something odd that does not keep us from going on.
    Warn(String),
    /// A wish has its answer.
    Answered { wish: Wish, outcome: Outcome },
    /// Over. The connection is of no use any more.
    Failed(Failure),
}

/// What was answered to a wish.
pub(super) enum Outcome {
    /// The value, or that there is none.
    Given(Answer),
    /// The clock went on in the middle, so that the deadline can't be told: to be asked again.
    Unclear,
    /// The server will not.
    Refused(Error),
}

/// The state of one connection.
pub(super) struct Dialogue {
    credentials: Credentials,
    stage: Stage,
    input: Vec<u8>,
    /// Whether the server can tell a deadline, not only the time that is left.
    tells_deadlines: bool,
    /// In the order of the answers.
    asked: VecDeque<Wish>,
    /// To the first of them, as far as they have come.
    replies: Vec<Reply>,
    /// What is to be told when everything before it is.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Auth,
    Version,
    Ready,
    Over,
}

impl Dialogue {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            stage: Stage::Start,
            input: Vec::new(),
            tells_deadlines: false,
            asked: VecDeque::new(),
            replies: Vec::new(),
            failure: None,
        }
    }

    /// Takes what came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Ready, and nothing is asked that is not answered.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Ready && self.asked.is_empty()
    }

    /// Takes back what is not answered.
    pub(super) fn take_asked(&mut self) -> VecDeque<Wish> {
        std::mem::take(&mut self.asked)
    }

    /// What to send for a key.
    pub(super) fn ask(&mut self, wish: Wish) -> Vec<u8> {
        let mut out = Vec::new();
        let db = wish.db.to_string();
        resp::write_command(&mut out, &[b"MULTI"]);
        resp::write_command(&mut out, &[b"SELECT", db.as_bytes()]);
        resp::write_command(&mut out, &[b"DUMP", &wish.key]);
        if self.tells_deadlines {
            resp::write_command(&mut out, &[b"PEXPIRETIME", &wish.key]);
        } else {
            // The time that is left counts from a moment in the same millisecond, if both are.
            resp::write_command(&mut out, &[b"TIME"]);
            resp::write_command(&mut out, &[b"PTTL", &wish.key]);
            resp::write_command(&mut out, &[b"TIME"]);
        }
        resp::write_command(&mut out, &[b"ROLE"]);
        resp::write_command(&mut out, &[b"INFO", b"replication"]);
        resp::write_command(&mut out, &[b"EXEC"]);
        self.asked.push_back(wish);
        out
    }

    /// How many commands stand between MULTI and EXEC.
    fn commands(&self) -> usize {
        if self.tells_deadlines { 5 } else { 7 }
    }

    /// The next event; `None` when more bytes are needed. No value may be longer than that.
    pub(super) fn next(&mut self, bulk_max: u64) -> Option<Event> {
        if self.stage == Stage::Start {
            let mut out = Vec::new();
            let has_auth = self.credentials.write_auth(&mut out);
            self.stage = if has_auth { Stage::Auth } else { Stage::Version };
            resp::write_command(&mut out, &[b"INFO", b"server"]);
            return Some(Event::Send(out));
        }
        if let Some(failure) = self.failure.take() {
            return Some(self.fail(failure));
        }
        let mut used = 0;
        let mut event = None;
        while event.is_none() && self.stage != Stage::Over {
            let input = self.input.get(used..).unwrap_or_default();
            match Reply::read(input, bulk_max) {
                Ok(Some((reply, len))) => {
                    used += len;
                    event = self.take(reply);
                }
                Ok(None) => break,
                Err(error) => event = Some(self.unreadable(error)),
            }
        }
        self.input.drain(..used);
        event
    }

    fn fail(&mut self, failure: Failure) -> Event {
        self.stage = Stage::Over;
        Event::Failed(failure)
    }

    /// What is too large is that key's fault, but the rest of it would have to be read.
    fn unreadable(&mut self, error: Error) -> Event {
        let failure = Failure { error: error.clone(), retry: true };
        if error.kind() != Kind::NoMemory {
            return self.fail(failure);
        }
        let Some(wish) = self.asked.pop_front() else { return self.fail(failure) };
        self.failure = Some(failure);
        Event::Answered { wish, outcome: Outcome::Refused(error) }
    }

    fn take(&mut self, reply: Reply) -> Option<Event> {
        match self.stage {
            Stage::Start | Stage::Over => None,
            Stage::Auth => self.after_auth(&reply),
            Stage::Version => self.after_version(&reply),
            Stage::Ready if self.asked.is_empty() => {
                Some(self.fail(Failure::again(Kind::Protocol, "an answer to nothing")))
            }
            Stage::Ready => {
                self.replies.push(reply);
                if self.replies.len() < self.commands() + 2 {
                    return None;
                }
                self.after_exec()
            }
        }
    }

    fn after_auth(&mut self, reply: &Reply) -> Option<Event> {
        self.stage = Stage::Version;
        match reply {
            Reply::Status(_) => None,
            Reply::Error(line) if refusal::wants_no_password(line) => {
                let text = "a password is configured, but the primary wants none";
                Some(Event::Warn(text.to_owned()))
            }
            Reply::Error(line) => {
                let failure = refusal::judge(Step::Auth, line, &self.credentials);
                Some(self.fail(failure))
            }
            _ => Some(self.fail(nonsense("AUTH"))),
        }
    }

    fn after_version(&mut self, reply: &Reply) -> Option<Event> {
        match reply {
            Reply::Bulk(Some(info)) => {
                let version = field(info, b"redis_version:").unwrap_or_default();
                let major = version.split(|&b| b == b'.').next().unwrap_or_default();
                let major = std::str::from_utf8(major).ok().and_then(|text| text.parse().ok());
                self.tells_deadlines = major.is_some_and(|major: u32| major >= 7);
                self.stage = Stage::Ready;
                None
            }
            Reply::Error(line) => {
                let failure = self.refused(line);
                Some(self.fail(failure))
            }
            _ => Some(self.fail(nonsense("INFO"))),
        }
    }

    /// An error to a command that has to be allowed.
    fn refused(&self, line: &[u8]) -> Failure {
        let quoted = refusal::quote(line, &self.credentials);
        if LATER.iter().any(|code| line.starts_with(code)) {
            return Failure::again(Kind::Io, format!("not now: {quoted}"));
        }
        let deadline = if self.tells_deadlines { "+pexpiretime" } else { "+pttl +time" };
        let text = format!(
            "the user needs +multi +exec +select +dump {deadline} +role +info, and the keys: \
             {quoted}"
        );
        Failure::give_up(Kind::Auth, text)
    }

    fn after_exec(&mut self) -> Option<Event> {
        let replies = std::mem::take(&mut self.replies);
        let wish = self.asked.front()?;
        let judged = self.judge(&replies, &wish.replid);
        match judged {
            Ok(outcome) => self.asked.pop_front().map(|wish| Event::Answered { wish, outcome }),
            Err(failure) => Some(self.fail(failure)),
        }
    }

    /// The meaning of all replies to one transaction.
    fn judge(&self, replies: &[Reply], replid: &ReplId) -> Result<Outcome, Failure> {
        // The first error says why; EXEC only says that there was one.
        let parts = match replies.last() {
            Some(Reply::Array(Some(parts))) => &parts[..],
            _ => &[],
        };
        let error = replies.iter().chain(parts).find_map(|reply| match reply {
            Reply::Error(line) => Some(line),
            _ => None,
        });
        if let Some(line) = error {
            let failure = self.refused(line);
            return if failure.retry { Err(failure) } else { Ok(Outcome::Refused(failure.error)) };
        }
        let [
            _selected,
            Reply::Bulk(payload),
            deadline @ ..,
            Reply::Array(Some(role)),
            Reply::Bulk(Some(info)),
        ] = parts
        else {
            return Err(nonsense("EXEC"));
        };
        let offset = match &role[..] {
            [Reply::Bulk(Some(name)), Reply::Integer(offset), ..] if name == b"master" => *offset,
            _ => return Err(elsewhere("it is no primary")),
        };
        match field(info, b"master_replid:") {
            None => return Err(elsewhere("it does not tell its history (Redis 4.0 and newer do)")),
            Some(id) if id != replid => return Err(elsewhere("it has another history")),
            Some(_) => {}
        }
        let Some(expires_at_ms) = deadline_of(deadline).map_err(|()| nonsense("PTTL"))? else {
            return Ok(Outcome::Unclear);
        };
        let payload = payload.clone();
        Ok(Outcome::Given(Answer::Value { offset, payload, expires_at_ms }))
    }
}

/// The key's deadline, if there is one; the outer `None`: it can't be told.
fn deadline_of(replies: &[Reply]) -> Result<Option<Option<i64>>, ()> {
    match replies {
        [Reply::Integer(at @ 0..)] => Ok(Some(Some(*at))),
        // Without a deadline, or no such key.
        [Reply::Integer(_)] => Ok(Some(None)),
        [before, Reply::Integer(left), after] => {
            let (before, after) = (time_ms(before).ok_or(())?, time_ms(after).ok_or(())?);
            Ok(match *left {
                ..0 => Some(None),
                // Nothing is left, or less: servers don't say which.
                0 => None,
                left if before == after => Some(Some(before.saturating_add(left))),
                _ => None,
            })
        }
        _ => Err(()),
    }
}

/// What TIME answers, in milliseconds.
fn time_ms(reply: &Reply) -> Option<i64> {
    let Reply::Array(Some(parts)) = reply else { return None };
    let [Reply::Bulk(Some(seconds)), Reply::Bulk(Some(micros))] = &parts[..] else { return None };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    number(seconds)?.checked_mul(1000)?.checked_add(number(micros)? / 1000)
}

/// What stands behind a name in what INFO answers.
fn field<'a>(info: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let line = info.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name))?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn elsewhere(why: &str) -> Failure {
    Failure::again(Kind::Protocol, format!("this is not the primary that is followed: {why}"))
}

fn nonsense(command: &str) -> Failure {
    Failure::again(Kind::Protocol, format!("the answer to {command} is not understood"))
}
