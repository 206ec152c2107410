//! Reads the recorded sessions of `tests/corpus`, and compares datasets row by row. What the files
//! hold and how they were made is in the README beside them.

use super::repository;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;

/// How far two sums of the same numbers may lie apart, relative to their size.
const SUM_TOLERANCE: f64 = 1e-12;

/// How many differences a report shows, and how much of each row.
const SHOWN_ROWS: usize = 10;
const SHOWN_CHARS: usize = 300;

/// Every byte that one primary sent to one replica, and what it held in the end.
#[derive(Clone, Debug)]
pub struct Session {
    pub name: String,
    /// Such as `redis 7.4.1`.
    pub server: String,
    /// Whether the primary knows PSYNC.
    pub psync: bool,
    /// Whether the snapshot ends in a mark, and the stream waits for an acknowledgement.
    pub capa_eof: bool,
    pub bytes: Vec<u8>,
    pub rdb_start: usize,
    /// Behind the mark, where there is one: the first byte of the stream.
    pub rdb_end: usize,
    /// DEBUG DIGEST in the end.
    pub digest: String,
}

impl Session {
    /// One session by the name of its files, such as `redis-7.4`.
    #[track_caller]
    pub fn load(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{name}.json")));
        let facts: Value = text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap();
        let number = |field: &str| facts[field].as_u64().unwrap() as usize;
        let text = |field: &str| facts[field].as_str().unwrap().to_owned();
        let session = Self {
            name: name.to_owned(),
            server: text("server"),
            psync: text("request").starts_with("PSYNC"),
            capa_eof: facts["capa_eof"].as_bool().unwrap(),
            bytes: unpack(&format!("{name}.session.gz")),
            rdb_start: number("rdb_start"),
            rdb_end: number("rdb_end"),
            digest: text("debug_digest"),
        };
        assert_eq!(session.bytes.len(), number("bytes"), "{name} was cut");
        session
    }

    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(folder()).unwrap();
        let names = files.filter_map(|file| {
            Some(file.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    /// A session that no primary sent: this snapshot, of which the length is told, and this
    /// stream, from a primary that calls itself Redis 7.0.0. The digest is left empty.
    pub fn made_up(snapshot: &[u8], stream: &[u8]) -> Self {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let mut bytes = format!("+FULLRESYNC {id} 0\r\n${}\r\n", snapshot.len()).into_bytes();
        let rdb_start = bytes.len();
        bytes.extend_from_slice(snapshot);
        let rdb_end = bytes.len();
        bytes.extend_from_slice(stream);
        Self {
            name: "made-up".to_owned(),
            server: "redis 7.0.0".to_owned(),
            psync: true,
            capa_eof: false,
            bytes,
            rdb_start,
            rdb_end,
            digest: String::new(),
        }
    }

    /// The snapshot alone, without the mark.
    pub fn snapshot(&self) -> &[u8] {
        let mark = if self.capa_eof { 40 } else { 0 };
        &self.bytes[self.rdb_start..self.rdb_end - mark]
    }

    /// The stream alone.
    pub fn stream(&self) -> &[u8] {
        &self.bytes[self.rdb_end..]
    }

    /// The replication id and the offset at the snapshot, where the primary told them.
    pub fn position(&self) -> Option<(String, i64)> {
        let head = String::from_utf8_lossy(&self.bytes[..self.rdb_start]).into_owned();
        let line = head.lines().find_map(|line| line.strip_prefix("+FULLRESYNC "))?;
        let (id, offset) = line.split_once(' ')?;
        Some((id.to_owned(), offset.trim().parse().ok()?))
    }

    /// The offset at the end of the stream. Where the primary told none, counting begins at 0.
    pub fn final_offset(&self) -> i64 {
        self.position().map_or(0, |(_, offset)| offset) + self.stream().len() as i64
    }

    /// The version as major and minor; Valkey has numbers of its own.
    pub fn version(&self) -> (u32, u32) {
        let digits = self.server.rsplit(' ').next().unwrap_or("");
        let mut numbers = digits.split('.').map(|n| n.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// Whether a Valkey sent it.
    pub fn is_valkey(&self) -> bool {
        self.server.starts_with("valkey")
    }

    /// Whether deadlines are told and sent as points in time, so that they can be compared.
    pub fn has_exact_deadlines(&self) -> bool {
        self.is_valkey() || self.version() >= (7, 0)
    }

    /// The dataset in the end, sorted by database and key.
    pub fn rows(&self) -> Vec<Value> {
        parse_rows(std::str::from_utf8(&unpack(&format!("{}.jsonl.gz", self.name))).unwrap())
    }

    /// What differs between the recorded dataset and this one.
    pub fn compare(&self, got: &[Value]) -> Comparison {
        compare_rows(&self.rows(), got, self.has_exact_deadlines())
    }
}

/// Reads JSON lines.
#[track_caller]
pub fn parse_rows(text: &str) -> Vec<Value> {
    let row = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in row {line}"));
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

/// The outcome of comparing two datasets. [`fmt::Display`] shows the first differences.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Rows that are the same to the byte, or are allowed not to be.
    pub equal: usize,
    /// Of the equal ones, those that differ where the primary's own replicas differ too: stream
    /// consumers it told nobody about, the last digit of a sum.
    pub noisy: usize,
    /// One line for each other row.
    pub differences: Vec<String>,
}

impl Comparison {
    /// Fails the test if anything differs.
    #[track_caller]
    pub fn assert_equal(&self) {
        assert!(self.differences.is_empty(), "{self}");
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (equal, noisy) = (self.equal, self.noisy);
        writeln!(
            f,
            "{} rows differ; {equal} are equal, {noisy} with noise",
            self.differences.len()
        )?;
        for line in self.differences.iter().take(SHOWN_ROWS) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Compares two datasets by database and key; their order does not matter. A key that stands twice
/// on one side is a difference.
pub fn compare_rows(expected: &[Value], got: &[Value], exact_deadlines: bool) -> Comparison {
    let mut outcome = Comparison::default();
    let mut rest: BTreeMap<(i64, String), &Value> = BTreeMap::new();
    for row in got {
        if rest.insert(place(row), row).is_some() {
            outcome.differences.push(format!("twice: {}", shown(row)));
        }
    }
    for row in expected {
        let Some(other) = rest.remove(&place(row)) else {
            outcome.differences.push(format!("missing: {}", shown(row)));
            continue;
        };
        let exact = exact_deadlines && !row["expires_at_ms"].is_string();
        let same_deadline = if exact {
            row["expires_at_ms"] == other["expires_at_ms"]
        } else {
            row["expires_at_ms"].is_null() == other["expires_at_ms"].is_null()
        };
        if row["type"] != other["type"] || !same_deadline {
            outcome.differences.push(difference(row, other));
        } else if row["value"] == other["value"] {
            outcome.equal += 1;
        } else if is_noise(row, other) {
            outcome.equal += 1;
            outcome.noisy += 1;
        } else {
            outcome.differences.push(difference(row, other));
        }
    }
    outcome.differences.extend(rest.values().map(|row| format!("too much: {}", shown(row))));
    outcome
}

fn place(row: &Value) -> (i64, String) {
    (row["db"].as_i64().unwrap(), row["key"].as_str().unwrap().to_owned())
}

fn is_noise(expected: &Value, got: &Value) -> bool {
    let (expected_value, got_value) = (&expected["value"], &got["value"]);
    match expected["type"].as_str() {
        Some("zset") => nearly_same_scores(expected_value, got_value),
        Some("stream") => without_idle(expected_value) == without_idle(got_value),
        _ => false,
    }
}

/// Whether both sorted sets have the same members and scores that differ in the last digit only.
/// The ranks of members with such scores may be exchanged.
fn nearly_same_scores(expected: &Value, got: &Value) -> bool {
    let by_member = |value: &Value| -> Option<BTreeMap<String, f64>> {
        let pair = |pair: &Value| {
            Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.parse::<f64>().ok()?))
        };
        value.as_array()?.iter().map(pair).collect()
    };
    let (Some(expected), Some(got)) = (by_member(expected), by_member(got)) else { return false };
    let near = |a: f64, b: f64| a == b || (a - b).abs() <= SUM_TOLERANCE * a.abs().max(b.abs());
    expected.len() == got.len()
        && expected.iter().all(|(member, a)| got.get(member).is_some_and(|b| near(*a, *b)))
}

/// The stream without those consumers of its groups for whom nothing is pending.
fn without_idle(stream: &Value) -> Value {
    let mut stream = stream.clone();
    for group in stream["groups"].as_array_mut().into_iter().flatten() {
        let pending = group["pending"].as_array().cloned().unwrap_or_default();
        let busy = |name: &Value| pending.iter().any(|entry| entry[1] == *name);
        if let Some(consumers) = group["consumers"].as_array_mut() {
            consumers.retain(busy);
        }
    }
    stream
}

fn difference(expected: &Value, got: &Value) -> String {
    format!("expected {}\n     got {}", shown(expected), shown(got))
}

fn shown(row: &Value) -> String {
    let text = row.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((cut, _)) => format!("{}... ({} bytes)", &text[..cut], text.len()),
        None => text,
    }
}

fn folder() -> PathBuf {
    repository().join("tests/corpus")
}

fn unpack(file: &str) -> Vec<u8> {
    let packed = std::fs::File::open(folder().join(file)).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}
