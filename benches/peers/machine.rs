//! What the figures were measured on, and beside which versions of the peers.

use crate::Options;
use crate::support::{Server, repository};
use serde_json::{Map, Value, json};
use std::fs::read_to_string;
use std::process::Command;

/// Crates that are peers.
const CRATES: [&str; 5] = ["dashmap", "hashbrown", "papaya", "parking_lot", "scc"];

/// The machine; what it does not tell is left empty.
pub(crate) fn description() -> Value {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    json!({
        "cpu": model.map_or("", |(_, model)| model),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory.map_or("", str::trim),
        "os": std::env::consts::OS,
    })
}

/// Names and versions.
pub(crate) fn peers(options: &Options) -> Value {
    let mut peers = Map::new();
    for which in &options.servers {
        let (major, minor, patch) = Server::start(*which).version();
        let version = format!("{major}.{minor}.{patch}");
        peers.insert(format!("redis {major}.{minor}"), version.into());
    }
    let lock = read_to_string(repository().join("benches/maps/Cargo.lock")).unwrap_or_default();
    for name in CRATES {
        // Of two versions the newer one comes last, and is ours.
        let at = lock.rfind(&format!("name = \"{name}\"\nversion = \""));
        let version = at.and_then(|at| lock[at..].split('"').nth(3)).unwrap_or("");
        peers.insert(name.to_owned(), version.into());
    }
    let header = |name: &str, file: &str, defines: [&str; 3]| {
        let text = read_to_string(file).unwrap_or_default();
        let number = |define: &str| {
            let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut values = words.filter(|w| w.len() == 3 && w[1] == define);
            values.next().map_or_else(|| "?".to_owned(), |words| words[2].to_owned())
        };
        (name.to_owned(), Value::from(defines.map(number).join(".")))
    };
    peers.extend([
        header(
            "hiredis",
            "/usr/include/hiredis/hiredis.h",
            ["HIREDIS_MAJOR", "HIREDIS_MINOR", "HIREDIS_PATCH"],
        ),
        header(
            "LMDB",
            "/usr/include/lmdb.h",
            ["MDB_VERSION_MAJOR", "MDB_VERSION_MINOR", "MDB_VERSION_PATCH"],
        ),
    ]);
    peers.insert("Erlang/OTP".to_owned(), otp().into());
    peers.into()
}

fn otp() -> String {
    let release = "io:put_chars(erlang:system_info(otp_release)), halt().";
    let said = Command::new("erl").args(["-noshell", "-eval", release]).output();
    said.map_or_else(|_| "?".to_owned(), |said| String::from_utf8_lossy(&said.stdout).into_owned())
}
