//! What a program may choose: one table of options and an address, checked when they are set and
//! not when they are first needed.

mod options;
mod url;

use std::fmt;

use crate::error::{Error, Result};

pub use options::OptionRow;

/// What stands where a secret would stand.
const HIDDEN: &str = "***";

/// Where the primary listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or numeric address (IPv6 without brackets) and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket in the file system.
    Unix {
        /// Its path.
        path: String,
    },
}

/// What to do when the table can't be kept equal to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Go on, marked as diverged.
    Continue,
    /// Ask for a new full sync.
    Resync,
    /// End as failed; the table stays readable.
    Stop,
}

/// Where a later full sync goes while the data is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// Aside, until it is complete.
    Aside,
    /// Aside as long as that fits into `max_memory`, in place from then on.
    Auto,
    /// Into the table that is being read.
    InPlace,
}

/// What the primary is told about how far we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The offset that is applied.
    Truth,
    /// A constant that keeps the link alive and is never counted.
    NeverCounted,
}

/// All options of one engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the primary listens.
    pub address: Address,
    /// The ACL user, from Redis 6.0 on.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// A file with the password, read anew at each connection.
    pub password_file: Option<String>,
    /// The databases to keep, ascending; `None` is all.
    pub databases: Option<Vec<u32>>,
    /// Patterns of keys to keep; empty is all.
    pub keys: Vec<Vec<u8>>,
    /// Patterns of keys to leave out.
    pub exclude_keys: Vec<Vec<u8>>,
    /// Whether there is a table, or only events.
    pub store: bool,
    /// Whether keys that are withheld because of a filter are fetched.
    pub heal: bool,
    /// A ceiling in bytes; 0 is none.
    pub max_memory: u64,
    /// Beyond this age of the data lookups don't answer; 0 is never.
    pub max_staleness_ms: i64,
    /// How often the primary pings.
    pub ping_period_ms: i64,
    /// Whether what has logically expired is hidden from lookups.
    pub hide_expired: bool,
    /// For a write command that we have no code for.
    pub on_unknown: Policy,
    /// For a known command that does not fit what we have.
    pub on_failure: Policy,
    /// Where a later full sync goes.
    pub resync: Resync,
    /// What the primary is told.
    pub ack: Ack,
    /// Silence after which a link is lost.
    pub link_timeout_ms: i64,
    /// How long connecting may take.
    pub connect_timeout_ms: i64,
    /// The shortest pause before connecting again.
    pub retry_min_ms: i64,
    /// The longest pause before connecting again.
    pub retry_max_ms: i64,
    /// The longest pause before the first connection, which is by chance.
    pub start_jitter_ms: i64,
    /// A file whose lock is held during a full sync.
    pub sync_lock: Option<String>,
    /// How often the primary hears from us.
    pub ack_interval_ms: i64,
    /// How many bytes of events after the fact may wait for the program.
    pub event_queue: u64,
    /// How many received bytes may wait to be applied.
    pub spool_size: u64,
}

impl Config {
    /// Every option there is, in the order of the manual.
    pub const OPTIONS: &'static [OptionRow] = options::TABLE;

    /// The defaults, with the address, credentials and database of a URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let mut config = Self {
            address: Address::Unix { path: String::new() },
            user: None,
            password: None,
            password_file: None,
            databases: None,
            keys: Vec::new(),
            exclude_keys: Vec::new(),
            store: true,
            heal: false,
            max_memory: 0,
            max_staleness_ms: 0,
            ping_period_ms: options::PING_PERIOD_MS,
            hide_expired: true,
            on_unknown: Policy::Continue,
            on_failure: Policy::Resync,
            resync: Resync::Aside,
            ack: Ack::Truth,
            link_timeout_ms: options::LINK_TIMEOUT_MS,
            connect_timeout_ms: options::CONNECT_TIMEOUT_MS,
            retry_min_ms: options::RETRY_MIN_MS,
            retry_max_ms: options::RETRY_MAX_MS,
            start_jitter_ms: 0,
            sync_lock: None,
            ack_interval_ms: options::ACK_INTERVAL_MS,
            event_queue: options::EVENT_QUEUE,
            spool_size: options::SPOOL_SIZE,
        };
        config.set("url", url, false)?;
        Ok(config)
    }

    /// Sets one option. On a `running` engine only those that are marked `hot` may change.
    pub fn set(&mut self, name: &str, value: &str, running: bool) -> Result<()> {
        let row = row(name)?;
        if running && !row.hot {
            return Err(Error::invalid(format!(
                "option {name} can't change while the engine runs; these can: {}",
                names(|row| row.hot)
            )));
        }
        // Half of a URL must not stay behind when the other half is refused.
        let mut next = self.clone();
        (row.set)(&mut next, value).map_err(|why| {
            let shown = if row.secret { HIDDEN.to_owned() } else { format!("{value:?}") };
            let text = format!("option {name} can't be {shown}: {}; allowed: {}", why, row.range);
            Error::new(why.kind(), text)
        })?;
        if running && next.databases != self.databases {
            return Err(Error::invalid(
                "option url can't change the database while the engine runs",
            ));
        }
        *self = next;
        Ok(())
    }

    /// The value as text; `***` in the place of a password.
    pub fn get(&self, name: &str) -> Result<String> {
        Ok((row(name)?.get)(self))
    }
}

fn row(name: &str) -> Result<&'static OptionRow> {
    Config::OPTIONS.iter().find(|row| row.name == name).ok_or_else(|| {
        Error::invalid(format!("there is no option {name:?}; there are: {}", names(|_| true)))
    })
}

fn names(which: impl Fn(&OptionRow) -> bool) -> String {
    let names: Vec<_> = Config::OPTIONS.iter().filter(|r| which(r)).map(|r| r.name).collect();
    names.join(", ")
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for row in Self::OPTIONS {
            map.entry(&row.name, &(row.get)(self));
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests;
