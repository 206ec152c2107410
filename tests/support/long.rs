//! What tests have in common that run as long as they are told: which server, for how long and from
//! which seed comes from the environment, and a failure tells the line that repeats it.

use super::Which;
use super::sides::now_ms;
use std::time::Duration;

/// A number from the environment; nothing where it is unset or empty.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// A run on one server. Dropped by a panic, it prints how to repeat it.
pub struct LongRun {
    pub server: &'static str,
    pub seed: u64,
    pub time: Duration,
    again: String,
}

impl LongRun {
    /// The run that `make word` asks for, or one of this length; nothing where another server is
    /// asked for.
    pub fn chosen(word: &str, which: Which, short: Duration) -> Option<Self> {
        let only = std::env::var("RETS_SERVER").unwrap_or_default();
        if !only.is_empty() && !which.names().contains(&only.as_str()) {
            println!("passed over: RETS_SERVER is {only}");
            return None;
        }
        let server = which.names()[0];
        let seed = number("RETS_SEED").unwrap_or(now_ms() as u64 * 1000 % 999_999_937);
        let time = number("RETS_SECONDS").map_or(short, Duration::from_secs);
        let seconds = time.as_secs();
        let again = format!("make {word} SERVER={server} SEED={seed} SECONDS={seconds}");
        println!("{again}");
        Some(Self { server, seed, time, again })
    }
}

impl Drop for LongRun {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat it with: {}", self.again);
        }
    }
}
