//! Tells a primary that can't have us now from one that never will, and says either in words that
//! help whoever has to act on it.

use super::handshake::Credentials;
use crate::error::{Error, Kind};

/// How much of a server's own words a message quotes.
const MAX_QUOTE: usize = 200;

/// What the next line from the primary answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Ping,
    Auth,
    Capa,
    Version,
    Psync,
    Sync,
    /// Not an answer: the header of the snapshot.
    Snapshot,
    Over,
}

impl Step {
    /// Whether a reply at this step can begin with this byte.
    pub(crate) fn may_begin_with(self, byte: u8) -> bool {
        match self {
            Self::Sync | Self::Snapshot => matches!(byte, b'-' | b'$'),
            _ => matches!(byte, b'+' | b'-'),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Start | Self::Ping => "PING",
            Self::Auth => "AUTH",
            Self::Capa | Self::Version => "REPLCONF",
            Self::Psync => "PSYNC",
            Self::Sync => "SYNC",
            Self::Snapshot | Self::Over => "its snapshot",
        }
    }
}

/// Why a handshake ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Trying again may help though nobody changes anything.
    pub(crate) retry: bool,
}

impl Failure {
    pub(crate) fn again(kind: Kind, text: impl Into<String>) -> Self {
        Self { error: Error::new(kind, text), retry: true }
    }

    pub(crate) fn give_up(kind: Kind, text: impl Into<String>) -> Self {
        Self { error: Error::new(kind, text), retry: false }
    }
}

/// Words by which a service says that it will never allow this.
const NEVER: &[&str] = &["not allowed", "not supported", "unsupported", "disabled", "forbidden"];

/// The meaning of an error line.
pub(crate) fn judge(step: Step, line: &[u8], credentials: &Credentials) -> Failure {
    let lower = lowered(line);
    let quoted = quote(line, credentials);
    let code = lower.split(' ').next().unwrap_or_default();
    let busy = || {
        let text = format!("the primary can't serve a replica now: {quoted}");
        Failure::again(Kind::Io, text)
    };
    match code {
        "-loading" | "-masterdown" | "-nomasterlink" => return busy(),
        "-wrongpass" => {
            let text = format!("the primary does not accept user or password: {quoted}");
            return Failure::give_up(Kind::Auth, text);
        }
        "-noperm" => {
            let text = format!(
                "the primary's user may not replicate, it needs +ping +replconf +psync: {quoted}"
            );
            return Failure::give_up(Kind::Auth, text);
        }
        "-denied" => {
            let text = format!("the primary is in protected mode: {quoted}");
            return Failure::give_up(Kind::Auth, text);
        }
        _ if wants_password(line) => {
            let text = format!("the primary wants a password: {quoted}");
            return Failure::give_up(Kind::Auth, text);
        }
        _ => {}
    }
    if lower.contains("max number of clients") || code != "-err" {
        return busy();
    }
    if step == Step::Auth {
        return auth(&lower, &quoted);
    }
    let never = is_unknown_command(line) || NEVER.iter().any(|word| lower.contains(word));
    if never && matches!(step, Step::Psync | Step::Sync) {
        let name = step.name();
        let text = format!("the primary does not allow replicas, it refuses {name}: {quoted}");
        return Failure::give_up(Kind::Unsupported, text);
    }
    busy()
}

/// An `-ERR` in answer to AUTH: without it nothing will work.
fn auth(lower: &str, quoted: &str) -> Failure {
    if lower.contains("invalid password") {
        let text = format!("the primary does not accept the password: {quoted}");
        return Failure::give_up(Kind::Auth, text);
    }
    if lower.contains("wrong number of arguments") {
        let text = "the primary knows no users (it is older than Redis 6.0): unset option user";
        return Failure::give_up(Kind::Auth, text);
    }
    Failure::give_up(Kind::Auth, format!("the primary refuses AUTH: {quoted}"))
}

/// An answer that is none.
pub(crate) fn nonsense(step: Step, input: &[u8], credentials: &Credentials) -> Failure {
    let line = input.split(|&b| b == b'\n').next().unwrap_or_default();
    let quoted = quote(line, credentials);
    if step != Step::Ping {
        let name = step.name();
        let text = format!("the primary's answer to {name} is not understood: \"{quoted}\"");
        return Failure::again(Kind::Protocol, text);
    }
    // 0x15 is an alert: a TLS server's answer to bytes that are not TLS.
    let text = match input.first() {
        Some(0x15) => "not a Redis without TLS: the answer to PING is a TLS alert".to_owned(),
        _ => format!("not a Redis: the answer to PING is \"{quoted}\""),
    };
    Failure::give_up(Kind::Protocol, text)
}

/// Errors to PING after which the link is still good: credentials come later, a user may lack the
/// right to PING, and a primary whose disk is full can still go on with a stream.
pub(crate) fn pings_anyway(line: &[u8]) -> bool {
    let lower = lowered(line);
    wants_password(line) || lower.starts_with("-noperm") || lower.starts_with("-misconf")
}

/// Errors to REPLCONF that say more than that an option is unknown. A user without the right to
/// REPLCONF could still be served, but each ACK would put an error into the stream.
pub(crate) fn matters_to_replconf(line: &[u8]) -> bool {
    !lowered(line).starts_with("-err") || wants_password(line)
}

/// The server has no password, which is no reason to stay away from it.
pub(crate) fn wants_no_password(line: &[u8]) -> bool {
    let lower = lowered(line);
    lower.contains("no password is set") || lower.contains("without any password configured")
}

pub(crate) fn is_unknown_command(line: &[u8]) -> bool {
    lowered(line).starts_with("-err unknown command")
}

/// `-NOAUTH`, or what servers before 2.8 say.
fn wants_password(line: &[u8]) -> bool {
    let lower = lowered(line);
    lower.starts_with("-noauth") || lower.starts_with("-err operation not permitted")
}

fn lowered(line: &[u8]) -> String {
    String::from_utf8_lossy(line).to_ascii_lowercase()
}

/// The server's words, fit to be shown. Servers quote the arguments of a command that they do not
/// know, and for AUTH these are secrets, perhaps cut short: so nothing of them is kept.
pub(crate) fn quote(line: &[u8], credentials: &Credentials) -> String {
    let line = line.strip_prefix(b"-").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let args = b"with args beginning with";
    let end = line.windows(args.len()).position(|w| w == args).unwrap_or(line.len());
    let mut shown = line.get(..end).unwrap_or_default().trim_ascii_end().to_vec();
    shown = shown.strip_suffix(b",").unwrap_or(&shown).to_vec();
    let secret = credentials.password.as_deref().unwrap_or_default();
    if !secret.is_empty() && shown.windows(secret.len()).any(|w| w == secret) {
        return "(its words contain the password)".to_owned();
    }
    shown.truncate(MAX_QUOTE);
    shown.escape_ascii().to_string()
}
