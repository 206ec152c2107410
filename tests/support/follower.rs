//! A replica as tests want it: quick to try again, with everything that its gate was asked written
//! down, and compared with its primary by the primary's own digest.

use super::client::Client;
use super::{PATIENCE, wait_until};
use rets::change::{Change, Effect, Phase, Reason, Verdict};
use rets::replica::{Answer, DigestAt, Info, Replica, SharedGate, WaitOutcome, Whole};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// [`PATIENCE`] as the engine counts time.
pub const PATIENCE_MS: i64 = PATIENCE.as_millis() as i64;

/// Options of every replica in the tests: nothing waits for long.
const QUICK: &[(&str, &str)] = &[("retry-min", "20"), ("retry-max", "200"), ("ack-interval", "50")];

/// One question of the gate, kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The effect's name, and the element it is about.
    pub effect: String,
    pub reason: Reason,
    pub phase: Phase,
    pub db: Option<u32>,
    pub key: String,
    /// A string's bytes, as text.
    pub value: Option<String>,
    pub expires_at_ms: Option<i64>,
    pub result_known: bool,
    pub key_gone: bool,
    pub offset: i64,
    pub args: Vec<String>,
}

impl Asked {
    /// Effect and key, for short assertions.
    pub fn brief(&self) -> String {
        format!("{} {}", self.effect, self.key)
    }
}

type Judge = dyn Fn(&Change<'_>) -> Verdict + Send + Sync;

/// A gate that writes down what it is asked.
#[derive(Default)]
pub struct Witness {
    asked: Mutex<Vec<Asked>>,
    judge: Option<Box<Judge>>,
}

impl Witness {
    /// One that lets everything happen.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One that asks this closure.
    pub fn judging(judge: impl Fn(&Change<'_>) -> Verdict + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), judge: Some(Box::new(judge)) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Everything so far, which is forgotten.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock())
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Asked> {
        self.lock().clone()
    }

    /// [`Asked::brief`] of everything so far, which is forgotten.
    pub fn take_briefs(&self) -> Vec<String> {
        self.take().iter().map(Asked::brief).collect()
    }
}

impl SharedGate for Witness {
    fn ask(&self, change: &Change<'_>) -> Verdict {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let effect = match change.effect {
            Effect::Set => "set".to_owned(),
            Effect::Edit => "edit".to_owned(),
            Effect::Delete => "delete".to_owned(),
            Effect::Expire => "expire".to_owned(),
            Effect::HashSet { field, .. } => format!("hset:{}", text(field)),
            Effect::HashDelete { field } => format!("hdel:{}", text(field)),
            Effect::HashExpire { field, .. } => format!("hexpire:{}", text(field)),
            Effect::SetAdd { member } => format!("sadd:{}", text(member)),
            Effect::SetRemove { member } => format!("srem:{}", text(member)),
            Effect::ZsetAdd { member, .. } => format!("zadd:{}", text(member)),
            Effect::ZsetRemove { member } => format!("zrem:{}", text(member)),
            Effect::Flush => "flush".to_owned(),
            Effect::Swap { other } => format!("swap:{other}"),
            Effect::Unknown => "unknown".to_owned(),
        };
        let value = change.value.and_then(|value| match value {
            rets::value::Value::String(bytes) => Some(text(bytes)),
            _ => None,
        });
        self.lock().push(Asked {
            effect,
            reason: change.reason,
            phase: change.phase,
            db: change.db,
            key: text(change.key),
            value,
            expires_at_ms: change.expires_at_ms,
            result_known: change.result_known,
            key_gone: change.key_gone,
            offset: change.offset,
            args: change.args.iter().map(|arg| text(arg)).collect(),
        });
        self.judge.as_ref().map_or(Verdict::Keep, |judge| judge(change))
    }
}

/// A replica that is not started.
#[track_caller]
pub fn replica(url: &str, options: &[(&str, &str)]) -> Replica {
    let replica = Replica::new(url).expect("the URL is good");
    for (name, value) in QUICK.iter().chain(options) {
        replica.set_option(name, value).expect("the option is good");
    }
    replica
}

/// A replica that has been ready once.
#[track_caller]
pub fn ready(url: &str, options: &[(&str, &str)]) -> Replica {
    let replica = replica(url, options);
    start(&replica);
    replica
}

/// A replica that has been ready once, and told this gate of everything.
#[track_caller]
pub fn witnessed(url: &str, options: &[(&str, &str)], witness: &Arc<Witness>) -> Replica {
    let replica = replica(url, options);
    replica.set_gate(Some(witness.clone())).expect("a gate is taken");
    start(&replica);
    replica
}

/// Starts a replica and waits until it is ready.
#[track_caller]
pub fn start(replica: &Replica) {
    replica.start().expect("it starts");
    ready_now(replica);
}

/// Waits until a replica is ready.
#[track_caller]
pub fn ready_now(replica: &Replica) {
    let outcome = replica.wait_ready(PATIENCE_MS);
    assert_eq!(outcome, Ok(()), "{:#?}", replica.info());
}

/// Waits until everything that the primary has done so far is visible, and returns the offset.
#[track_caller]
pub fn catch_up(replica: &Replica, client: &mut Client) -> i64 {
    let began = std::time::Instant::now();
    let mut outcome = Ok(WaitOutcome::OtherHistory);
    while began.elapsed() < PATIENCE {
        // Asked anew each time: a primary changes its id when its first replica comes.
        let (replid, offset) = (client.replid(), client.offset());
        outcome = replica.wait_offset(Some(&replid), offset, PATIENCE_MS);
        if outcome == Ok(WaitOutcome::Reached) {
            return offset;
        }
        if outcome != Ok(WaitOutcome::OtherHistory) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("not where the primary is: {outcome:?}, {:#?}", replica.info());
}

/// Digests of both sides at one offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Digests {
    pub ours: String,
    pub theirs: String,
    pub offset: i64,
}

/// Takes both digests at one offset, however the primary goes on by itself.
#[track_caller]
pub fn digests(replica: &Replica, client: &mut Client) -> Digests {
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        let before = catch_up(replica, client);
        let theirs = client.digest();
        let at = digest(replica);
        if client.offset() == before && at.offset == before {
            assert!(at.replid.eq_ignore_ascii_case(&client.replid()), "{at:?}");
            return Digests { ours: at.hex, theirs, offset: before };
        }
    }
    panic!("no offset stood still long enough");
}

/// Fails unless both sides are equal at one offset, which is returned.
#[track_caller]
pub fn assert_equal(replica: &Replica, client: &mut Client) -> i64 {
    let digests = digests(replica, client);
    assert_eq!(digests.ours, digests.theirs, "at {}: {:#?}", digests.offset, replica.info());
    digests.offset
}

/// The replica's digest; panics where it has none.
#[track_caller]
pub fn digest(replica: &Replica) -> DigestAt {
    match replica.digest() {
        Answer::Found(at) => at,
        other => panic!("no digest: {other:?}"),
    }
}

/// A string as text.
pub fn get(replica: &Replica, db: u32, key: impl AsRef<[u8]>) -> Answer<String> {
    replica.lookups().get(db, key.as_ref(), |bytes, _| String::from_utf8_lossy(bytes).into_owned())
}

/// What [`get`] answers for a string that is there.
pub fn found(text: &str) -> Answer<String> {
    Answer::Found(text.to_owned())
}

/// A whole value: its type, its elements as text in the order of [`Whole`].
#[track_caller]
pub fn whole(replica: &Replica, db: u32, key: &[u8]) -> Option<(&'static str, Vec<String>)> {
    let mut whole = Whole::default();
    match replica.lookups().whole(db, key, true, &mut whole).expect("memory") {
        Answer::Found(()) => {}
        Answer::NotFound => return None,
        other => panic!("{key:?}: {other:?}"),
    }
    let kind = whole.kind()?;
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"")).into_owned();
    let mut elements = Vec::new();
    while let Some(element) = whole.element(elements.len()).expect("memory") {
        elements.push(match (element.field, element.value) {
            (Some(_), Some(_)) => format!("{}={}", text(element.field), text(element.value)),
            (Some(_), None) if element.score != 0.0 || kind == rets::replica::Type::Zset => {
                format!("{}={}", text(element.field), element.score)
            }
            (Some(_), None) => text(element.field),
            _ => text(element.value),
        });
    }
    Some((kind.name(), elements))
}

/// Waits until a replica's counters or flags say yes, and returns them as they were then.
#[track_caller]
pub fn wait_info(replica: &Replica, what: &str, yes: impl Fn(&Info) -> bool) -> Info {
    let began = std::time::Instant::now();
    loop {
        let info = replica.info();
        if yes(&info) {
            return info;
        }
        assert!(began.elapsed() < PATIENCE, "in vain until {what}: {info:#?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// All keys of the replica by database, those that are expired included.
pub fn keys(replica: &Replica) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let Answer::Found(mut walk) = replica.lookups().walk(None, true) else { panic!("closed") };
    let mut keys: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    while let Answer::Found((db, key)) = walk.advance() {
        keys.entry(db).or_default().push(key.to_vec());
    }
    keys.values_mut().for_each(|keys| keys.sort());
    keys
}

/// Cuts the primary's connections to its replicas and waits until this one syncs again.
#[track_caller]
pub fn cut_link(replica: &Replica, client: &mut Client) {
    let syncs = || replica.info().full_syncs + replica.info().partial_syncs;
    let before = syncs();
    client.accepted(&["CLIENT", "KILL", "TYPE", "replica"]);
    wait_until("the replica syncs again", || syncs() > before);
}
