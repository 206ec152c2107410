//! The commands and the rules of *skip* as a specification: what is heard, what is stored.

mod any_arguments;
mod array;
mod bitmap;
mod cluster;
mod elements;
mod filters;
mod geo;
mod hyperloglog;
mod list;
mod rows;
mod set;
mod skip;
mod sort;
mod stream;
pub(crate) mod truth;
mod unknown;
mod ways;
mod zset;

use super::*;
use crate::change::{Change, Effect, Gate, Phase, Reason, Verdict};
use crate::table::{Batch, Db, Entry, Stamp, Table};
use crate::value::{Bytes, Stream, Value};

pub(crate) const NOW_MS: i64 = 1_000_000;

/// A gate that answers as it was told and writes down what it was asked.
pub(crate) struct Script<'a> {
    pub(crate) decide: &'a mut dyn FnMut(&Change<'_>) -> Verdict,
    pub(crate) heard: Vec<String>,
}

impl Gate for Script<'_> {
    fn ask(&mut self, change: &Change<'_>) -> Verdict {
        let verdict = (self.decide)(change);
        let skipped = if verdict == Verdict::Skip { " - skipped" } else { "" };
        self.heard.push(format!("{}{skipped}", told(change)));
        verdict
    }
}

/// Where nobody hears anything.
struct Unheard;

impl Gate for Unheard {
    fn ask(&mut self, _: &Change<'_>) -> Verdict {
        Verdict::Keep
    }

    fn is_heard(&self) -> bool {
        false
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A value as tests write it: `"text"`, `[a b]`, `{f=1 g=2@5}`, `<m>` for a set, `(m:1)` for a
/// sorted set, `|0=a 7=b >7|` for an array and where its next value goes behind.
pub(crate) fn shown(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::String(bytes) => format!("{:?}", text(bytes)),
        Value::List(list) => format!("[{}]", joined(list.iter().map(text).collect())),
        Value::Set(set) => {
            format!("<{}>", joined(set.iter().map(|member| text(&member)).collect()))
        }
        Value::Zset(zset) => {
            format!("({})", joined(zset.iter().map(|(m, s)| format!("{}:{s}", text(m))).collect()))
        }
        Value::Hash(hash) => {
            let field = |(name, field): (&[u8], crate::value::Field<'_>)| {
                format!("{}={}{}", text(name), text(field.value), at(field.expires_at_ms))
            };
            format!("{{{}}}", joined(hash.iter().map(field).collect()))
        }
        Value::Array(array) => {
            let mut parts: Vec<_> =
                array.iter().map(|(index, value)| format!("{index}={}", text(value))).collect();
            parts.extend(array.cursor().map(|cursor| format!(">{cursor}")));
            format!("|{}|", joined(parts))
        }
        Value::Module(module) => format!("module {}", text(&module.name)),
        Value::Stream(stream) => stream_shown(stream),
    }
}

/// A stream as tests write it: `|5-1 f=v g=w, 6-0 f=v|`, behind it what can't be told from that
/// (`last 7-0`, `del 5-2`, `added 4`), and groups: `g<6-0/3>[alice bob](6-0 alice x2 @77)`.
fn stream_shown(stream: &Stream) -> String {
    let entries = stream.iter().map(|entry| {
        let fields = entry.fields.map(|(name, value)| format!(" {}={}", text(name), text(value)));
        format!("{}{}", entry.id, fields.collect::<String>())
    });
    let mut parts = vec![format!("|{}|", entries.collect::<Vec<_>>().join(", "))];
    let top = stream.iter().last().map(|entry| entry.id).unwrap_or_default();
    let deleted = stream.max_deleted_id();
    for (is_told, word) in [
        (stream.last_id() != top, format!("last {}", stream.last_id())),
        (deleted != Default::default(), format!("del {deleted}")),
        (stream.added() != stream.len() as u64, format!("added {}", stream.added())),
    ] {
        parts.extend(is_told.then_some(word));
    }
    for (name, group) in stream.groups() {
        let read = group.entries_read.map(|read| format!("/{read}")).unwrap_or_default();
        let consumers: Vec<_> = group.consumers().map(|consumer| text(consumer.name)).collect();
        let pending = group.pending().map(|p| {
            let consumer = p.consumer.map_or_else(|| "-".to_owned(), text);
            format!("({} {consumer} x{} @{})", p.id, p.deliveries, p.delivered_at_ms)
        });
        let (last, consumers) = (group.last_id, consumers.join(" "));
        parts.push(format!(
            "{}<{last}{read}>[{consumers}]{}",
            text(name),
            pending.collect::<String>()
        ));
    }
    parts.join(" ")
}

fn at(deadline: Option<i64>) -> String {
    deadline.map(|at| format!("@{at}")).unwrap_or_default()
}

/// A change as tests write it: `set k "v" @5`, `hset h f=v`. Behind it: `of {...}` for the whole
/// value where an element is edited, `gone`, `late`, `?` where the result is not known.
pub(crate) fn told(change: &Change<'_>) -> String {
    let unknown = || "?".to_owned();
    let mut parts: Vec<String> = match change.effect {
        Effect::Set => vec!["set".into()],
        Effect::Edit => vec!["edit".into()],
        Effect::Delete => vec!["delete".into()],
        Effect::Expire => vec!["expire".into()],
        Effect::Flush => vec!["flush".into()],
        Effect::Swap { other } => vec!["swap".into(), format!("{other}")],
        Effect::Unknown => vec!["unknown".into()],
        Effect::HashSet { field, value, expires_at_ms } => {
            let value = value.map_or_else(unknown, text);
            vec!["hset".into(), format!("{}={value}{}", text(field), at(expires_at_ms))]
        }
        Effect::HashDelete { field } => vec!["hdel".into(), text(field)],
        Effect::HashExpire { field, expires_at_ms } => {
            vec!["hexpire".into(), format!("{}{}", text(field), at(expires_at_ms))]
        }
        Effect::SetAdd { member } => vec!["sadd".into(), text(member)],
        Effect::SetRemove { member } => vec!["srem".into(), text(member)],
        Effect::ZsetAdd { member, score } => {
            let score = score.map_or_else(|| "?".to_owned(), |score| score.to_string());
            vec!["zadd".into(), format!("{}:{score}", text(member))]
        }
        Effect::ZsetRemove { member } => vec!["zrem".into(), text(member)],
    };
    let db = match change.db {
        None => "all".to_owned(),
        Some(0) => String::new(),
        Some(db) => format!("{db}/"),
    };
    parts.insert(1, format!("{db}{}", text(change.key)));
    let is_element = parts.len() > 2;
    if let Some(value) = change.value {
        parts.push(if is_element { format!("of {}", shown(value)) } else { shown(value) });
    }
    parts.push(at(change.expires_at_ms));
    let reason = match change.reason {
        Reason::Rename => "(rename)",
        Reason::Resync => "(resync)",
        Reason::Heal => "(heal)",
        _ => "",
    };
    parts.push(reason.to_owned());
    for (flag, word) in
        [(change.key_gone, "gone"), (change.deadline_passed, "late"), (!change.result_known, "?")]
    {
        parts.push(if flag { word.to_owned() } else { String::new() });
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// An entry as tests write it: the value, then `@deadline`, `frozen`, `lacks` and the names of the
/// withheld elements; `ghost` without a value; `-` for none.
pub(crate) fn entry_shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "-".to_owned() };
    let mut parts = vec![entry.value.as_ref().map_or_else(|| "ghost".to_owned(), shown)];
    parts.push(at(entry.expires_at_ms));
    if let Some(hold) = &entry.hold {
        if entry.value.is_some() && hold.frozen {
            parts.push("frozen".to_owned());
        }
        if !hold.withheld.is_empty() {
            let names: Vec<_> = hold.withheld.iter().map(|(n, _)| text(n)).collect();
            parts.push(format!("lacks {}", names.join(" ")));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// Bytes that stand for DUMP payloads here: `text:...`, `stream` for a type that is not supported,
/// anything else is damaged.
pub(crate) fn payload(bytes: &[u8]) -> crate::error::Result<Value> {
    match bytes.strip_prefix(b"text:") {
        Some(text) => Ok(Value::string(text)),
        None if bytes == b"stream" => Err(Error::new(Kind::Unsupported, "type 15 (stream)")),
        None => Err(Error::protocol("a damaged payload")),
    }
}

/// The arguments of a command that is written with blanks between them; `''` is an empty one.
pub(crate) fn words(command: &str) -> Vec<&[u8]> {
    let word = |word| if word == "''" { &b""[..] } else { str::as_bytes(word) };
    command.split_whitespace().map(word).collect()
}

/// A table and what runs against it.
pub(crate) struct Bench {
    pub(crate) table: Table,
    pub(crate) scope: Scope,
    pub(crate) server: Server,
    pub(crate) db: Db,
    pub(crate) unit: u64,
    pub(crate) asked: Asked,
    pub(crate) max_memory: u64,
    pub(crate) failures: Vec<String>,
    pub(crate) now_ms: i64,
    /// Nothing is edited in the short way of small values.
    pub(crate) is_general: bool,
    /// Nobody hears what the gate is asked.
    pub(crate) is_unheard: bool,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            table: Table::new(None),
            scope: Scope::default(),
            server: Server::NEWEST,
            db: 0,
            unit: 0,
            asked: Asked::default(),
            max_memory: 0,
            failures: Vec::new(),
            now_ms: NOW_MS,
            is_general: false,
            is_unheard: false,
        }
    }
}

impl Bench {
    /// A table in which these commands, separated by `;`, were applied as a unit each.
    pub(crate) fn with(commands: &str) -> Self {
        let mut bench = Self::default();
        bench.keep(commands);
        assert_eq!(bench.failures, [""; 0]);
        bench
    }

    pub(crate) fn put(&mut self, key: &str, entry: Entry) {
        self.unit += 1;
        let mut batch = Batch::new();
        batch.put(&self.table, 0, Bytes::from(key.as_bytes()), entry);
        self.table.publish(batch, self.stamp());
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { unit: self.unit, offset: self.unit as i64 * 10, ..Stamp::default() }
    }

    /// Applies the commands, each as a unit of its own, and keeps everything.
    pub(crate) fn keep(&mut self, commands: &str) -> Vec<String> {
        self.run_each(commands, Verdict::Keep)
    }

    /// Applies the commands, each as a unit of its own, and skips everything.
    pub(crate) fn skip(&mut self, commands: &str) -> Vec<String> {
        self.run_each(commands, Verdict::Skip)
    }

    fn run_each(&mut self, commands: &str, verdict: Verdict) -> Vec<String> {
        let commands = commands.split(';').filter(|command| !command.trim().is_empty());
        commands.flat_map(|command| self.run(command, &mut |_| verdict)).collect()
    }

    /// Applies the commands, separated by `;`, as one unit, and returns what was heard.
    pub(crate) fn run(
        &mut self,
        commands: &str,
        decide: &mut dyn FnMut(&Change<'_>) -> Verdict,
    ) -> Vec<String> {
        let commands: Vec<_> = commands.split(';').map(words).collect();
        self.run_words(&commands, decide)
    }

    /// A unit's writes, of which there are none yet.
    fn batch(&self) -> Batch {
        Batch::of(self.unit + 1)
    }

    /// What a unit goes by.
    fn setting(&self) -> Setting<'_> {
        Setting {
            table: &self.table,
            scope: &self.scope,
            phase: Phase::Live,
            now_ms: self.now_ms,
            offset: 77,
            unit: self.unit + 1,
            server: self.server,
            max_memory: self.max_memory,
            decode_payload: payload,
        }
    }

    pub(crate) fn run_words(
        &mut self,
        commands: &[Vec<&[u8]>],
        decide: &mut dyn FnMut(&Change<'_>) -> Verdict,
    ) -> Vec<String> {
        let mut gate = Script { decide, heard: Vec::new() };
        let mut failures = Vec::new();
        let mut batch = self.batch();
        let listener: &mut dyn Gate = if self.is_unheard { &mut Unheard } else { &mut gate };
        let mut unit = Unit::new(self.setting(), listener, &mut batch, self.db);
        if self.is_general {
            unit.edit_generally();
        }
        if let [args] = commands
            && let Some(first) = args.get(1)
        {
            unit.foresee(self.table.key(first));
        }
        for args in commands {
            let row = find(args[0]).unwrap_or_else(|| panic!("no row for {}", text(args[0])));
            if matches!(row.action, Action::Select) {
                unit.select(text(args[1]).parse().unwrap());
            } else if let Err(failure) = apply(&mut unit, row, args) {
                failures.push(failure.to_string());
            }
        }
        let (asked, db) = unit.finish();
        self.failures.extend(failures);
        self.unit += 1;
        self.db = db;
        self.asked.add(asked);
        self.table.publish(batch, self.stamp());
        gate.heard
    }

    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        self.table.get(0, key.as_bytes())
    }

    pub(crate) fn show(&self, key: &str) -> String {
        entry_shown(self.entry(key).as_ref())
    }

    /// All that the table has, in the order of databases and keys.
    pub(crate) fn dump(&self) -> String {
        let mut all = Vec::new();
        for (db, key, entry) in self.table.entries() {
            let db = if db == 0 { String::new() } else { format!("{db}/") };
            all.push(format!("{db}{}={}", text(&key), entry_shown(Some(&entry))));
        }
        all.sort();
        all.join("; ")
    }
}

/// Checks what is heard after a skip, while everything is kept, and what the table has then.
#[track_caller]
fn check(kept: &str, skipped: &str, then: &str, heard: &[&str], table: &str) {
    let mut bench = Bench::with(kept);
    bench.skip(skipped);
    assert_eq!(bench.keep(then), heard, "{kept} | {skipped} | {then}");
    assert_eq!(bench.dump(), table, "{kept} | {skipped} | {then}");
    assert_eq!(bench.failures, [""; 0], "{kept} | {skipped} | {then}");
}

/// Skips what these words begin with, and keeps everything else.
pub(crate) fn veto(beginnings: &[&str]) -> impl FnMut(&Change<'_>) -> Verdict + use<> {
    let beginnings: Vec<String> = beginnings.iter().map(|&text| text.to_owned()).collect();
    move |change| {
        let told = told(change);
        let hit = beginnings.iter().any(|beginning| told.starts_with(beginning));
        if hit { Verdict::Skip } else { Verdict::Keep }
    }
}
