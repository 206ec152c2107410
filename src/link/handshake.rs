//! From a fresh connection to the first byte of a snapshot or stream, without any I/O: bytes go
//! in, events come out, wherever the bytes were cut.

use super::feed::{ReplId, Transfer};
use super::refusal::{self, Failure, Step};
use crate::resp;

/// The version that we claim to be. Valkey 9.1 can send hash fields with a deadline only to a
/// replica that names a version of 9.0 or newer, and syncs in vain for ever otherwise.
const VERSION: &[u8] = b"9.1.0";

/// The longest reply line: error texts quote arguments, but a line without an end is no reply.
const MAX_LINE: usize = 16 << 10;

/// Who to authenticate as.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
}

impl Credentials {
    /// The command that tells them, if there are any.
    pub(crate) fn write_auth(&self, out: &mut Vec<u8>) -> bool {
        match (&self.user, &self.password) {
            (None, None) => return false,
            (None, Some(password)) => resp::write_command(out, &[b"AUTH", password]),
            (Some(user), password) => {
                let password = password.as_deref().unwrap_or_default();
                resp::write_command(out, &[b"AUTH", user, password]);
            }
        }
        true
    }
}

/// What happens next. It may have a password in it: only tests print it.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Event {
    /// Send this.
    Send(Vec<u8>),
    /// Something odd that does not keep us from going on.
    Warn(String),
    /// Done: a snapshot follows, beginning with [`Handshake::take_rest`].
    Full { replid: Option<ReplId>, offset: i64, transfer: Transfer },
    /// Done: the stream follows, beginning with [`Handshake::take_rest`].
    Partial { replid: Option<ReplId> },
    /// Over. The connection is of no use any more.
    Failed(Failure),
}

/// The state of one handshake.
pub(crate) struct Handshake {
    credentials: Credentials,
    /// The history that we have, and the last offset of it that we have.
    resume: Option<(ReplId, i64)>,
    input: Vec<u8>,
    step: Step,
    /// From the reply to PSYNC; none after SYNC.
    granted: Option<(ReplId, i64)>,
}

impl Handshake {
    pub(crate) fn new(credentials: Credentials, resume: Option<(ReplId, i64)>) -> Self {
        Self { credentials, resume, input: Vec::new(), step: Step::Start, granted: None }
    }

    /// Takes what came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What came after the last line of the handshake.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.input);
        rest.shrink_to_fit();
        rest
    }

    /// A full sync was granted or asked for in the old way; the snapshot is being made.
    pub(crate) fn waits_for_snapshot(&self) -> bool {
        matches!(self.step, Step::Sync | Step::Snapshot)
    }

    /// The next event; `None` when more bytes are needed, and after the last one.
    pub(crate) fn next(&mut self) -> Option<Event> {
        match self.step {
            Step::Over => return None,
            Step::Start => {
                self.step = Step::Ping;
                return Some(Event::Send(command(&[b"PING"])));
            }
            _ => {}
        }
        loop {
            let line = match self.take_line() {
                Ok(line) => line?,
                Err(failure) => return Some(self.fail(failure)),
            };
            let next = match self.step {
                Step::Start | Step::Over => None,
                Step::Ping => self.after_ping(&line),
                Step::Auth => self.after_auth(&line),
                Step::Capa | Step::Version => self.after_replconf(&line),
                Step::Psync => self.after_psync(&line),
                Step::Sync | Step::Snapshot => self.after_header(&line),
            };
            if next.is_some() {
                return next;
            }
        }
    }

    /// One line without its end; lone newlines are left out where the primary may send them.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let skips = matches!(self.step, Step::Psync | Step::Sync | Step::Snapshot);
        if skips {
            let lone = self.input.iter().take_while(|&&b| b == b'\n').count();
            self.input.drain(..lone);
        }
        let Some(first) = self.input.first() else { return Ok(None) };
        // A service of another kind may never send an end of line, so it is known by its first
        // byte.
        if !self.step.may_begin_with(*first) {
            return Err(refusal::nonsense(self.step, &self.input, &self.credentials));
        }
        if let Some((line, used)) = resp::line(&self.input) {
            let line = line.to_vec();
            self.input.drain(..used);
            return Ok(Some(line));
        }
        if self.input.len() > MAX_LINE {
            return Err(refusal::nonsense(self.step, &self.input, &self.credentials));
        }
        Ok(None)
    }

    fn fail(&mut self, failure: Failure) -> Event {
        self.step = Step::Over;
        self.input = Vec::new();
        Event::Failed(failure)
    }

    fn refuse(&mut self, line: &[u8]) -> Event {
        let failure = refusal::judge(self.step, line, &self.credentials);
        self.fail(failure)
    }

    fn after_ping(&mut self, line: &[u8]) -> Option<Event> {
        if !line.eq_ignore_ascii_case(b"+PONG") {
            if !line.starts_with(b"-") {
                return Some(self.fail(refusal::nonsense(self.step, line, &self.credentials)));
            }
            if !refusal::pings_anyway(line) {
                return Some(self.refuse(line));
            }
        }
        // These are sent in one go and answered in order. Each option that a server may not know
        // has a REPLCONF of its own, for a refused pair ends the command that it is in.
        let mut out = Vec::new();
        let has_auth = self.credentials.write_auth(&mut out);
        self.step = if has_auth { Step::Auth } else { Step::Capa };
        resp::write_command(&mut out, &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]);
        resp::write_command(&mut out, &[b"REPLCONF", b"version", VERSION]);
        Some(Event::Send(out))
    }

    fn after_auth(&mut self, line: &[u8]) -> Option<Event> {
        if line.starts_with(b"+") {
            self.step = Step::Capa;
            return None;
        }
        if refusal::wants_no_password(line) {
            self.step = Step::Capa;
            let text = "a password is configured, but the primary wants none";
            return Some(Event::Warn(text.to_owned()));
        }
        Some(self.refuse(line))
    }

    /// What a server does not know it may refuse; only a server that lets us do nothing ends it.
    fn after_replconf(&mut self, line: &[u8]) -> Option<Event> {
        if line.starts_with(b"-") && refusal::matters_to_replconf(line) {
            return Some(self.refuse(line));
        }
        if self.step == Step::Capa {
            self.step = Step::Version;
            return None;
        }
        // PSYNC is refused while replies are pending, so it waits until all of them are here.
        self.step = Step::Psync;
        Some(Event::Send(match &self.resume {
            Some((replid, offset)) => {
                let wanted = offset.saturating_add(1).to_string();
                command(&[b"PSYNC", replid, wanted.as_bytes()])
            }
            None => command(&[b"PSYNC", b"?", b"-1"]),
        }))
    }

    fn after_psync(&mut self, line: &[u8]) -> Option<Event> {
        let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let (name, id, offset) = (words.next(), words.next(), words.next());
        match name {
            Some(b"+FULLRESYNC") => {
                let id = id.and_then(replid);
                let offset = offset.and_then(decimal).and_then(|n| i64::try_from(n).ok());
                let (Some(id), Some(offset)) = (id, offset) else {
                    return Some(self.fail(refusal::nonsense(self.step, line, &self.credentials)));
                };
                self.granted = Some((id, offset));
                self.step = Step::Snapshot;
                None
            }
            Some(b"+CONTINUE") if self.resume.is_some() => {
                let new = id.and_then(replid);
                if id.is_some() && new.is_none() {
                    return Some(self.fail(refusal::nonsense(self.step, line, &self.credentials)));
                }
                self.step = Step::Over;
                Some(Event::Partial { replid: new })
            }
            _ if line.starts_with(b"-") => {
                if !refusal::is_unknown_command(line) {
                    return Some(self.refuse(line));
                }
                self.step = Step::Sync;
                Some(Event::Send(command(&[b"SYNC"])))
            }
            _ => Some(self.fail(refusal::nonsense(self.step, line, &self.credentials))),
        }
    }

    fn after_header(&mut self, line: &[u8]) -> Option<Event> {
        if line.starts_with(b"-") {
            return Some(self.refuse(line));
        }
        let transfer = match line.strip_prefix(b"$") {
            Some(size) => match size.strip_prefix(b"EOF:") {
                Some(mark) => mark.try_into().ok().map(Transfer::Mark),
                // No snapshot is empty.
                None => decimal(size).filter(|&n| n > 0).map(Transfer::Length),
            },
            None => None,
        };
        let Some(transfer) = transfer else {
            return Some(self.fail(refusal::nonsense(self.step, line, &self.credentials)));
        };
        self.step = Step::Over;
        Some(match self.granted {
            Some((id, offset)) => Event::Full { replid: Some(id), offset, transfer },
            None => Event::Full { replid: None, offset: -1, transfer },
        })
    }
}

fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    resp::write_command(&mut out, args);
    out
}

/// Any 40 visible characters: compatible servers need not take hex digits.
fn replid(word: &[u8]) -> Option<ReplId> {
    word.iter().all(u8::is_ascii_graphic).then(|| word.try_into().ok()).flatten()
}

fn decimal(word: &[u8]) -> Option<u64> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
