//! The table of options: a row has everything that code, header and README say about one.

use super::{Ack, Config, HIDDEN, Policy, Resync, url};
use crate::error::{Error, Result};

pub(super) const LINK_TIMEOUT_MS: i64 = 60_000;
pub(super) const CONNECT_TIMEOUT_MS: i64 = 10_000;
pub(super) const PING_PERIOD_MS: i64 = 10_000;
pub(super) const RETRY_MIN_MS: i64 = 100;
pub(super) const RETRY_MAX_MS: i64 = 10_000;
pub(super) const ACK_INTERVAL_MS: i64 = 1_000;
pub(super) const SPOOL_SIZE: u64 = 256 << 20;
pub(super) const EVENT_QUEUE: u64 = 16 << 20;

/// Below one read of the socket the link would stop and go with each packet.
const SPOOL_SIZE_MIN: u64 = 64 << 10;

/// Room for some events at least.
const EVENT_QUEUE_MIN: u64 = 4 << 10;

/// One option.
pub struct OptionRow {
    /// What it is called.
    pub name: &'static str,
    /// The unit of its value, or `text`.
    pub unit: &'static str,
    /// What is allowed.
    pub range: &'static str,
    /// What holds when it isn't set.
    pub default: &'static str,
    /// Whether it may change on a running engine; it then holds from the next connection.
    pub hot: bool,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Its value is never shown.
    pub(super) secret: bool,
    pub(super) set: fn(&mut Config, &str) -> Result<()>,
    pub(super) get: fn(&Config) -> String,
}

/// What most rows have in common.
const ROW: OptionRow = OptionRow {
    name: "",
    unit: "text",
    range: "",
    default: "",
    hot: false,
    doc: "",
    secret: false,
    set: |_, _| Ok(()),
    get: |_| String::new(),
};

pub(super) const TABLE: &[OptionRow] = &[
    OptionRow {
        name: "url",
        range: "redis://[user:password@]host[:port][/db] or unix://[user:password@]/path.sock",
        default: "the URL that the engine was made with",
        hot: true,
        doc: "Where the primary is; user, password and database change only if the URL has them.",
        secret: true,
        set: url::set,
        get: url::text,
        ..ROW
    },
    OptionRow {
        name: "user",
        range: "an ACL user's name, or empty for the default user",
        hot: true,
        doc: "Who to authenticate as (Redis 6.0 and newer).",
        set: |c, v| {
            c.user = text(v);
            Ok(())
        },
        get: |c| c.user.clone().unwrap_or_default(),
        ..ROW
    },
    OptionRow {
        name: "password",
        range: "any text, or empty for none",
        hot: true,
        doc: "The password; it takes the place of password-file.",
        secret: true,
        set: |c, v| {
            (c.password, c.password_file) = (text(v), None);
            Ok(())
        },
        get: |c| c.password.as_ref().map_or_else(String::new, |_| HIDDEN.to_owned()),
        ..ROW
    },
    OptionRow {
        name: "password-file",
        range: "the path of a readable file, or empty for none",
        hot: true,
        doc: "A file with the password, read at each connection, without its last line end; it \
            takes the place of password.",
        set: |c, v| {
            (c.password, c.password_file) = (None, text(v));
            Ok(())
        },
        get: |c| c.password_file.clone().unwrap_or_default(),
        ..ROW
    },
    OptionRow {
        name: "databases",
        unit: "numbers",
        range: "all, or numbers from 0 to 2147483647 with commas between",
        default: "all",
        doc: "Which databases to keep; the others are withheld. A SWAPDB of one that is kept with \
            one that is not can't be followed; see on-failure.",
        set: |c, v| {
            c.databases = databases(v)?;
            Ok(())
        },
        get: |c| c.databases.as_ref().map_or("all".to_owned(), |list| join(list, ",")),
        ..ROW
    },
    OptionRow {
        name: "keys",
        unit: "patterns",
        range: "glob patterns with spaces between (a space of a pattern is written \"\\ \"), or \
            empty for all keys",
        doc: "Which keys to keep; the others are withheld.",
        set: |c, v| {
            c.keys = patterns(v);
            Ok(())
        },
        get: |c| joined(&c.keys),
        ..ROW
    },
    OptionRow {
        name: "exclude-keys",
        unit: "patterns",
        range: "glob patterns with spaces between (a space of a pattern is written \"\\ \"), or \
            empty for none",
        doc: "Which keys to leave out, even if keys would keep them.",
        set: |c, v| {
            c.exclude_keys = patterns(v);
            Ok(())
        },
        get: |c| joined(&c.exclude_keys),
        ..ROW
    },
    OptionRow {
        name: "store",
        unit: "word",
        range: "all or none",
        default: "all",
        doc: "Whether there is a table; none is for programs that only listen.",
        set: |c, v| {
            c.store = word(v, &[("all", true), ("none", false)])?;
            heals_a_table(c)
        },
        get: |c| if c.store { "all" } else { "none" }.to_owned(),
        ..ROW
    },
    OptionRow {
        name: "heal",
        unit: "word",
        range: "yes or no; yes needs store=all",
        default: "no",
        doc: "Whether a key that is withheld only because a command read something filtered is \
            fetched over a second connection from the primary (Redis 4.0 and newer, no replica of \
            one); an ACL user needs +multi +exec +select +dump +role +info and +pexpiretime, \
            before 7.0 +pttl +time, and the keys. What does not fit into max-memory stays \
            withheld and is tried again.",
        set: |c, v| {
            c.heal = word(v, &[("yes", true), ("no", false)])?;
            heals_a_table(c)
        },
        get: |c| if c.heal { "yes" } else { "no" }.to_owned(),
        ..ROW
    },
    OptionRow {
        name: "max-memory",
        unit: "bytes",
        range: "0 for no limit, or a size such as 1048576, 512mb or 2gb",
        default: "0",
        hot: true,
        doc: "How much memory the data may take; what would pass it ends as FAILED with \
            RETS_NO_MEMORY until an option changes, and what there is is served. A single command \
            or MULTI of the stream has to fit as well, be it of keys that are left out.",
        set: |c, v| {
            c.max_memory = size(v)?;
            Ok(())
        },
        get: |c| c.max_memory.to_string(),
        ..ROW
    },
    OptionRow {
        name: "hide-expired",
        unit: "word",
        range: "yes or no",
        default: "yes",
        doc: "Whether lookups hide keys and fields whose deadline has passed by the local clock.",
        set: |c, v| {
            c.hide_expired = word(v, &[("yes", true), ("no", false)])?;
            Ok(())
        },
        get: |c| if c.hide_expired { "yes" } else { "no" }.to_owned(),
        ..ROW
    },
    OptionRow {
        name: "max-staleness",
        unit: "ms",
        range: "0 for never, or twice ping-period to 86400000",
        default: "0",
        hot: true,
        doc: "Lookups answer RETS_STALE when the data may be older than that, as data_age_ms of \
            rets_info() tells; a raw view is shown all the same. Set ping-period first.",
        set: |c, v| {
            c.max_staleness_ms = number(v, 0, 86_400_000)?;
            pings_in_time(c)
        },
        get: |c| c.max_staleness_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "ping-period",
        unit: "ms",
        range: "1000 to 3600000",
        default: "10000",
        hot: true,
        doc: "The primary's repl-ping-replica-period, which is how long it may be silent; \
            max-staleness is at least twice as long.",
        set: |c, v| {
            c.ping_period_ms = number(v, 1_000, 3_600_000)?;
            pings_in_time(c)
        },
        get: |c| c.ping_period_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "on-unknown",
        unit: "word",
        range: "continue, resync or stop",
        default: "continue",
        hot: true,
        doc: "What to do after a write command that this version can't follow; resync: once an \
            hour for the same command, and never for one on a module's value, which is withheld \
            instead.",
        set: |c, v| {
            c.on_unknown = word(v, &POLICIES)?;
            Ok(())
        },
        get: |c| name_in(&POLICIES, c.on_unknown),
        ..ROW
    },
    OptionRow {
        name: "on-failure",
        unit: "word",
        range: "continue, resync or stop",
        default: "resync",
        hot: true,
        doc: "What to do when a known command does not fit the data, which means that we have \
            diverged.",
        set: |c, v| {
            c.on_failure = word(v, &POLICIES)?;
            Ok(())
        },
        get: |c| name_in(&POLICIES, c.on_failure),
        ..ROW
    },
    OptionRow {
        name: "resync",
        unit: "word",
        range: "aside, auto or in-place",
        default: "aside",
        hot: true,
        doc: "Where a later full sync is loaded: aside, which takes the memory of what changed \
            once more; in place, where lookups meanwhile see keys of before beside keys of after \
            (mixed in rets_info()); auto begins aside and goes on in place where max-memory \
            would be passed.",
        set: |c, v| {
            c.resync = word(v, &RESYNCS)?;
            Ok(())
        },
        get: |c| name_in(&RESYNCS, c.resync),
        ..ROW
    },
    OptionRow {
        name: "ack",
        unit: "word",
        range: "truth or never-counted",
        default: "truth",
        doc: "What the primary is told: the applied offset, which WAIT counts and for which a \
            FAILOVER that names no replica may choose us, in vain; or a constant that satisfies \
            neither but shows as lag, makes SHUTDOWN wait ten seconds and CLUSTER SETSLOT time \
            out on Valkey 8 and newer.",
        set: |c, v| {
            c.ack = word(v, &[("truth", Ack::Truth), ("never-counted", Ack::NeverCounted)])?;
            Ok(())
        },
        get: |c| if c.ack == Ack::Truth { "truth" } else { "never-counted" }.to_owned(),
        ..ROW
    },
    OptionRow {
        name: "link-timeout",
        unit: "ms",
        range: "100 to 86400000",
        default: "60000",
        doc: "A link that brings no byte for so long is lost; keep it above the primary's \
            repl-ping-replica-period.",
        set: |c, v| {
            c.link_timeout_ms = number(v, 100, 86_400_000)?;
            Ok(())
        },
        get: |c| c.link_timeout_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "connect-timeout",
        unit: "ms",
        range: "10 to 600000",
        default: "10000",
        doc: "How long looking up the name and connecting may take.",
        set: |c, v| {
            c.connect_timeout_ms = number(v, 10, 600_000)?;
            Ok(())
        },
        get: |c| c.connect_timeout_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "retry-min",
        unit: "ms",
        range: "1 to 600000",
        default: "100",
        doc: "The first pause before connecting again, up to twice as long by chance; it doubles \
            with each failure.",
        set: |c, v| {
            c.retry_min_ms = number(v, 1, 600_000)?;
            Ok(())
        },
        get: |c| c.retry_min_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "retry-max",
        unit: "ms",
        range: "1 to 3600000",
        default: "10000",
        doc: "The longest pause before connecting again; but a full sync that is broken off, or \
            whose link is lost soon after, is asked for less and less, down to once in 75 s. \
            Setting url tries at once.",
        set: |c, v| {
            c.retry_max_ms = number(v, 1, 3_600_000)?;
            Ok(())
        },
        get: |c| c.retry_max_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "start-jitter",
        unit: "ms",
        range: "0 to 600000",
        default: "0",
        doc: "The first connection is made after up to so long, by chance, which spreads the \
            connections of a fleet that starts at once; a primary makes one snapshot for all who \
            ask within its repl-diskless-sync-delay, so a longer time makes it fork more often.",
        set: |c, v| {
            c.start_jitter_ms = number(v, 0, 600_000)?;
            Ok(())
        },
        get: |c| c.start_jitter_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "sync-lock",
        range: "the absolute path of a file that can be made or written to, or empty for none",
        hot: true,
        doc: "Processes of this host that name the same file sync fully one after another, and \
            the primary makes a snapshot for each; a holder that gets no further for \
            link-timeout, or a file that can't be locked any more, is not waited for, and the \
            log warns. It is locked by flock(2), has to be writable to all who use it, and is not \
            to be removed meanwhile.",
        set: |c, v| {
            c.sync_lock = absolute_path(v)?;
            Ok(())
        },
        get: |c| c.sync_lock.clone().unwrap_or_default(),
        ..ROW
    },
    OptionRow {
        name: "ack-interval",
        unit: "ms",
        range: "10 to 30000",
        default: "1000",
        doc: "How often the primary hears from us; it cuts replicas that it does not hear from \
            for its repl-timeout.",
        set: |c, v| {
            c.ack_interval_ms = number(v, 10, 30_000)?;
            Ok(())
        },
        get: |c| c.ack_interval_ms.to_string(),
        ..ROW
    },
    OptionRow {
        name: "event-queue",
        unit: "bytes",
        range: "a size of 4kb or more, such as 16mb",
        default: "16777216",
        hot: true,
        doc: "How much memory events may take that wait for rets_next_event(); what does not fit \
            is told as RETS_EVENT_OVERFLOW.",
        set: |c, v| {
            c.event_queue = size_from(v, EVENT_QUEUE_MIN)?;
            Ok(())
        },
        get: |c| c.event_queue.to_string(),
        ..ROW
    },
    OptionRow {
        name: "spool-size",
        unit: "bytes",
        range: "a size of 64kb or more, such as 256mb",
        default: "268435456",
        doc: "How many received bytes may wait while the callback is slow, before the primary \
            has to keep them; while a snapshot is loaded, no more than 896kb do.",
        set: |c, v| {
            c.spool_size = size_from(v, SPOOL_SIZE_MIN)?;
            Ok(())
        },
        get: |c| c.spool_size.to_string(),
        ..ROW
    },
];

const POLICIES: [(&str, Policy); 3] =
    [("continue", Policy::Continue), ("resync", Policy::Resync), ("stop", Policy::Stop)];

const RESYNCS: [(&str, Resync); 3] =
    [("aside", Resync::Aside), ("auto", Resync::Auto), ("in-place", Resync::InPlace)];

fn name_in<T: PartialEq>(words: &[(&str, T)], chosen: T) -> String {
    words.iter().find(|(_, meaning)| *meaning == chosen).map_or("", |(name, _)| name).to_owned()
}

/// With less than two pings in the time an idle primary would make its data look old.
fn pings_in_time(config: &Config) -> Result<()> {
    let (limit, period) = (config.max_staleness_ms, config.ping_period_ms);
    if limit > 0 && limit < 2 * period {
        let text = format!("max-staleness {limit} is less than twice ping-period {period}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Where nothing is stored nothing is withheld.
fn heals_a_table(config: &Config) -> Result<()> {
    if config.heal && !config.store {
        return Err(Error::invalid("heal=yes needs store=all"));
    }
    Ok(())
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Processes with different working directories must mean the same file.
fn absolute_path(value: &str) -> Result<Option<String>> {
    if !value.is_empty() && !value.starts_with('/') {
        return Err(Error::invalid("not an absolute path"));
    }
    Ok(text(value))
}

fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(name, _)| *name == value);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| Error::invalid("not one of its words"))
}

/// A plain decimal number: no sign, no space, no unit.
fn digits(value: &str) -> Result<u64> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid("not a number"));
    }
    value.parse().map_err(|_| Error::invalid("too large"))
}

fn number(value: &str, low: u64, high: u64) -> Result<i64> {
    match digits(value)? {
        n if n < low => Err(Error::invalid("too small")),
        n if n > high => Err(Error::invalid("too large")),
        n => i64::try_from(n).map_err(|_| Error::invalid("too large")),
    }
}

/// Bytes, or with a unit of 1024, as the servers' own `maxmemory` takes them.
fn size(value: &str) -> Result<u64> {
    let lower = value.to_ascii_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30)];
    let unit = units.iter().find_map(|(unit, bits)| Some((lower.strip_suffix(unit)?, *bits)));
    let (count, bits) = unit.unwrap_or((&lower, 0));
    let bytes = digits(count)?.checked_mul(1 << bits);
    // Offsets and sizes meet in signed arithmetic elsewhere.
    bytes.filter(|&b| i64::try_from(b).is_ok()).ok_or_else(|| Error::invalid("too large"))
}

fn size_from(value: &str, low: u64) -> Result<u64> {
    match size(value)? {
        bytes if bytes < low => Err(Error::invalid("too small")),
        bytes => Ok(bytes),
    }
}

/// One database, as in a URL's path.
pub(super) fn database(value: &str) -> Result<u32> {
    // The servers count databases in an int.
    let n = number(value, 0, i32::MAX as u64)?;
    u32::try_from(n).map_err(|_| Error::invalid("too large"))
}

fn databases(value: &str) -> Result<Option<Vec<u32>>> {
    if value == "all" {
        return Ok(None);
    }
    let mut list = Vec::new();
    for number in value.split(',') {
        let number = database(number.trim())?;
        if let Err(at) = list.binary_search(&number) {
            list.insert(at, number);
        }
    }
    Ok(Some(list))
}

/// Splits at spaces that no backslash stands before; the backslash stays, for it means the same
/// inside a pattern.
fn patterns(value: &str) -> Vec<Vec<u8>> {
    let mut list = vec![Vec::new()];
    let mut escaped = false;
    for &byte in value.as_bytes() {
        if byte == b' ' && !escaped {
            list.push(Vec::new());
        } else if let Some(last) = list.last_mut() {
            last.push(byte);
        }
        escaped = byte == b'\\' && !escaped;
    }
    list.retain(|pattern| !pattern.is_empty());
    list
}

fn joined(patterns: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&patterns.join(&b' ')).into_owned()
}

fn join(numbers: &[u32], between: &str) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(between)
}
