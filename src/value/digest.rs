//! The digests of `DEBUG DIGEST` and `DEBUG DIGEST-VALUE`: two replicas of one primary can be told
//! apart by 20 bytes, and a replica from its primary.

use super::{Array, Field, Hash, Stream, Type, Value, Zset};
use crate::text::{format_f64_17g, format_f64_short};
use sha1::{Digest as _, Sha1};

/// What the servers print as 40 hexadecimal digits.
pub type Digest = [u8; 20];

/// How a sorted set's score is spelled before it is digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreText {
    /// Redis 7.2 and newer, and Valkey: [`format_f64_short`].
    Short,
    /// Before: [`format_f64_17g`].
    G17,
}

/// What differs between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestRules {
    /// The spelling of scores.
    pub scores: ScoreText,
    /// Redis 7.4 and newer: that a field has a deadline is part of the digest.
    pub hash_field_mark: bool,
    /// Valkey 9: fields whose deadline has passed at this time are no part of the digest.
    pub skip_expired_fields_at_ms: Option<i64>,
}

const KEY_DEADLINE_MARK: &[u8] = b"!!expire!!";
const FIELD_DEADLINE_MARK: &[u8] = b"!!hexpire!!";
/// Stands for a place of an array that is not taken.
const HOLE: &[u8] = b"(null)";
const NOTHING: Digest = [0; 20];

/// Beyond so many places an array's digest is not computed: each takes its time, also those that
/// are not taken, and there may be 2^64 of them. The servers would be at it for a minute, and
/// answer nothing else.
const SPAN_MAX: u64 = 1 << 28;

/// Whether a value's digest can be computed: not for what only a module understands.
pub fn has_digest(value: &Value) -> bool {
    match value {
        Value::Module(_) => false,
        Value::Array(array) => array.span() <= SPAN_MAX,
        _ => true,
    }
}

/// A key's share of a [`DatasetDigest`].
pub fn key_digest(db_key: &[u8], value: &Value, has_expiry: bool, rules: &DigestRules) -> Digest {
    let mut digest = NOTHING;
    chain(&mut digest, db_key);
    add_value(&mut digest, value, has_expiry, rules);
    sha1(&digest)
}

/// What `DEBUG DIGEST-VALUE` says about a value: neither its key nor its database matters.
pub fn value_digest(value: &Value, has_expiry: bool, rules: &DigestRules) -> Digest {
    let mut digest = NOTHING;
    add_value(&mut digest, value, has_expiry, rules);
    digest
}

/// What `DEBUG DIGEST` says, computed along. The caller names each database that isn't empty, in
/// ascending order, and adds all its keys before it names the next.
#[derive(Clone, Debug, Default)]
pub struct DatasetDigest {
    digest: Digest,
}

impl DatasetDigest {
    /// The digest of a server without a key.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that follow are in this database.
    pub fn database(&mut self, db: u32) {
        chain(&mut self.digest, &db.to_be_bytes());
    }

    /// Adds a key by its [`key_digest`], in any order.
    pub fn key(&mut self, d: Digest) {
        xor(&mut self.digest, &d);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        self.digest
    }
}

fn sha1(bytes: &[u8]) -> Digest {
    Sha1::digest(bytes).into()
}

fn xor(digest: &mut Digest, other: &Digest) {
    for (byte, theirs) in digest.iter_mut().zip(other) {
        *byte ^= theirs;
    }
}

/// Adds what may come in any order.
fn join(digest: &mut Digest, bytes: &[u8]) {
    xor(digest, &sha1(bytes));
}

/// Adds what has its place in a sequence.
fn chain(digest: &mut Digest, bytes: &[u8]) {
    join(digest, bytes);
    *digest = sha1(digest);
}

/// The number that the servers digest for a type.
fn type_number(kind: Type) -> u32 {
    match kind {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::Zset => 3,
        Type::Hash => 4,
        Type::Module => 5,
        Type::Stream => 6,
        Type::Array => 7,
    }
}

fn add_value(digest: &mut Digest, value: &Value, has_expiry: bool, rules: &DigestRules) {
    chain(digest, &type_number(value.kind()).to_be_bytes());
    match value {
        Value::String(bytes) => chain(digest, bytes),
        Value::List(list) => list.iter().for_each(|element| chain(digest, element)),
        Value::Set(set) => set.iter().for_each(|member| join(digest, &member)),
        Value::Zset(zset) => add_zset(digest, zset, rules.scores),
        Value::Hash(hash) => add_hash(digest, hash, rules),
        Value::Stream(stream) => add_stream(digest, stream),
        Value::Array(array) if has_digest(value) => add_array(digest, array),
        Value::Array(_) => {}
        // Only the module itself could tell.
        Value::Module(_) => {}
    }
    if has_expiry {
        join(digest, KEY_DEADLINE_MARK);
    }
}

fn add_array(digest: &mut Digest, array: &Array) {
    let hole = sha1(HOLE);
    let mut next = 0;
    for (index, value) in array.iter() {
        for _ in next..index {
            xor(digest, &hole);
            *digest = sha1(digest);
        }
        chain(digest, value);
        next = index + 1;
    }
}

fn add_zset(digest: &mut Digest, zset: &Zset, scores: ScoreText) {
    for (member, score) in zset.iter() {
        let text = match scores {
            ScoreText::Short => format_f64_short(score),
            ScoreText::G17 => format_f64_17g(score),
        };
        let mut element = NOTHING;
        chain(&mut element, member);
        chain(&mut element, text.as_bytes());
        join(digest, &element);
    }
}

fn add_hash(digest: &mut Digest, hash: &Hash, rules: &DigestRules) {
    let shown = |field: &Field<'_>| {
        rules.skip_expired_fields_at_ms.is_none_or(|now_ms| !field.is_expired(now_ms))
    };
    for (name, field) in hash.iter().filter(|(_, field)| shown(field)) {
        let mut element = NOTHING;
        chain(&mut element, name);
        chain(&mut element, field.value);
        if rules.hash_field_mark && field.expires_at_ms.is_some() {
            join(&mut element, FIELD_DEADLINE_MARK);
        }
        join(digest, &element);
    }
}

/// Groups and counts are no part of it.
fn add_stream(digest: &mut Digest, stream: &Stream) {
    for entry in stream.iter() {
        chain(digest, format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
        for (name, value) in entry.fields {
            chain(digest, name);
            chain(digest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Bytes, Id, List, Module, Set};

    const OLD: DigestRules = DigestRules {
        scores: ScoreText::G17,
        hash_field_mark: false,
        skip_expired_fields_at_ms: None,
    };
    const REDIS_8: DigestRules =
        DigestRules { scores: ScoreText::Short, hash_field_mark: true, ..OLD };

    fn hex(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn list(elements: &[&str]) -> Value {
        Value::List(elements.iter().map(|e| bytes(e)).collect::<List>())
    }

    fn set(members: &[&str]) -> Value {
        Value::Set(members.iter().map(|m| bytes(m)).collect::<Set>())
    }

    fn zset(members: &[(&str, f64)]) -> Value {
        Value::Zset(members.iter().map(|(m, score)| (bytes(m), *score)).collect::<Zset>())
    }

    fn hash(fields: &[(&str, &str, Option<i64>)]) -> Value {
        let fields = fields.iter().map(|(name, value, expires_at_ms)| {
            (name, Field { value: value.as_bytes(), expires_at_ms: *expires_at_ms })
        });
        Value::Hash(fields.collect::<Hash>())
    }

    fn sample_zset() -> Value {
        zset(&[("a", 1.5), ("b", 3.0), ("c", f64::INFINITY), ("d", 1e21), ("e", 0.1)])
    }

    /// Every value below was built on a Redis 7.0.15 (old rules) and a Redis 8.2.3, which answered
    /// `DEBUG DIGEST-VALUE` with these digits.
    #[test]
    fn values_have_the_digest_that_servers_say() {
        let cases: &[(Value, bool, &str)] = &[
            (Value::string(b"v"), false, "d79ee9fe5d5ad902d7f6620efc3b07b75ddd742f"),
            (Value::string(b"12345"), true, "074a6e8892a0b0b4fcf085794cb69322c36c9d00"),
            (Value::string(b"\0\xff\r\n"), false, "0be8cedfeef041d42343f84d3f6672142a3b9692"),
            (Value::string(b""), false, "8b3447c33a834b810e3e181b6fd6a2ee1020921c"),
            (
                Value::string(b"\0\0\0\0\0\0\0\0\0\0\0\0\x08"),
                false,
                "b92d5cbfe6ad10464759782af71120636feb6f84",
            ),
            (list(&["a", "b", "1"]), false, "981fd62c1655c074205cff40b800bd5a5bfdcd41"),
            (set(&["1", "2", "a"]), false, "db6fa6d247dc5fcf296628e955a082dc9cd0b645"),
            (set(&["1", "2", "3"]), false, "2a462a3f51a1db89738ebbeef0c47ce1bbc85246"),
            (
                hash(&[("g", "12", None), ("f", "v", None)]),
                false,
                "8530acc75d5274eb0fc0da86f28ed5533274a6d4",
            ),
            (sample_stream(), false, "968207adb9e96c1087a63a5e1791b4911a44eae1"),
        ];
        for (value, has_expiry, digest) in cases {
            assert_eq!(hex(value_digest(value, *has_expiry, &OLD)), *digest, "{value:?}");
            assert_eq!(hex(value_digest(value, *has_expiry, &REDIS_8)), *digest, "{value:?}");
        }
    }

    #[test]
    fn large_values_have_the_digest_that_servers_say() {
        let name = |prefix: &str, i: u32| bytes(&format!("{prefix}{i}"));
        let list = Value::List((0..1000).map(|i| name("", i)).collect::<List>());
        let set = Value::Set((0..1000).map(|i| name("m", i)).collect::<Set>());
        let mut hash = Hash::default();
        (0..1000).for_each(|i| {
            hash.insert(&name("f", i), Field::new(&name("", i * i)));
        });
        let hash = Value::Hash(hash);
        let scores = (0..1000).map(|i| (name("m", i), f64::from(i) * 0.37 - 90.0));
        let zset = Value::Zset(scores.collect::<Zset>());
        let digest = |value, has_expiry, rules| hex(value_digest(value, has_expiry, rules));
        assert_eq!(digest(&list, false, &OLD), "0fb1ae3843061dbdad9bccec9138b2a3d8196ab5");
        assert_eq!(digest(&set, false, &OLD), "351b86706c8181e24728b9ef86e9e314ac39d342");
        assert_eq!(digest(&hash, false, &OLD), "0075e1e79d356e100f97316ed86c3205c94e257c");
        assert_eq!(digest(&hash, true, &REDIS_8), "e6f01f18410c8444ce81da969d06fd9ed3e064ff");
        assert_eq!(digest(&zset, false, &OLD), "6d549b5382edd0ded36b7df095cee18093d66d2a");
        assert_eq!(digest(&zset, false, &REDIS_8), "fcea62a93279194786c5a4372fad63b3b10356b7");
    }

    #[test]
    fn scores_are_spelled_by_the_rules() {
        let value = sample_zset();
        let digest = |value, rules| hex(value_digest(value, false, rules));
        assert_eq!(digest(&value, &OLD), "341aba993e03e5e9ca89a029841bf5fbf11ba758");
        assert_eq!(digest(&value, &REDIS_8), "076468c8c456b427b4d75f7b549341629f625ac1");
        let value = zset(&[
            ("a", f64::INFINITY),
            ("b", f64::NEG_INFINITY),
            ("c", -3.0),
            ("d", 12345678901234567890.0),
            ("e", 1e-7),
        ]);
        assert_eq!(digest(&value, &OLD), "a752c64dac7c0daee334963482be28fe24a9fdaa");
        assert_eq!(digest(&value, &REDIS_8), "0b01a9325fbcb88bb806e295780c190229e9eba9");
    }

    #[test]
    fn deadlines_of_fields_count_in_new_redis_only_and_expired_fields_not_in_valkey() {
        let at = Some(4_000_000_000_000);
        let plain = hash(&[("a", "1", None), ("b", "2", None), ("c", "3", None)]);
        let mixed = hash(&[("a", "1", at), ("b", "2", at), ("c", "3", None)]);
        let all = hash(&[("a", "1", at), ("b", "2", at), ("c", "3", Some(5))]);
        let redis = |value, has_expiry| hex(value_digest(value, has_expiry, &REDIS_8));
        assert_eq!(redis(&plain, false), "b60c36e529712296d694f27b5914cbe84950995e");
        assert_eq!(redis(&mixed, false), "ff55046133ad607237a9fc37b70893d3308c801e");
        assert_eq!(redis(&mixed, true), "19d0fa9eef948a26f6bf17cff2625c482a22c19d");
        assert_eq!(redis(&all, true), "041284f86bb0abd39ae7a42a5b195da87ddea556");

        let valkey = |now_ms, value| {
            let rules = DigestRules {
                hash_field_mark: false,
                skip_expired_fields_at_ms: Some(now_ms),
                ..REDIS_8
            };
            value_digest(value, false, &rules)
        };
        let without = hash(&[("a", "1", None), ("b", "2", None)]);
        assert_eq!(valkey(5, &all), value_digest(&plain, false, &OLD));
        assert_eq!(valkey(6, &all), value_digest(&without, false, &OLD));
    }

    #[test]
    fn an_array_is_digested_with_its_holes_and_what_cannot_be_is_told() {
        let array: Array = [(1, "v"), (3, "w")].into_iter().collect();
        let mut digest = NOTHING;
        chain(&mut digest, &7u32.to_be_bytes());
        for part in ["(null)", "v", "(null)", "w"] {
            chain(&mut digest, part.as_bytes());
        }
        assert_eq!(value_digest(&Value::Array(array.clone()), false, &REDIS_8), digest);
        assert!(has_digest(&Value::Array(array)));
        let far: Array = [(u64::MAX - 1, "v")].into_iter().collect();
        assert!(!has_digest(&Value::Array(far)));
        let module = Module { name: *b"vectorset", version: 1, payload: bytes("") };
        assert!(!has_digest(&Value::Module(module)));
    }

    fn sample_stream() -> Value {
        let mut stream = Stream::default();
        stream.append(Id { ms: 5, seq: 1 }, &["f", "v", "g", "1"]);
        Value::Stream(stream)
    }

    #[test]
    fn datasets_have_the_digest_that_servers_say() {
        assert_eq!(hex(DatasetDigest::new().finish()), "0".repeat(40));

        let mut one = DatasetDigest::new();
        one.database(0);
        one.key(key_digest(b"k", &Value::string(b"v"), false, &OLD));
        assert_eq!(hex(one.finish()), "264ccf65edec66bccfa7cc659414ccca432057d2");

        let whole = |rules: &DigestRules, extra: Option<Value>| {
            let mut all = DatasetDigest::new();
            all.database(0);
            all.key(key_digest(b"k", &Value::string(b"v"), false, rules));
            all.key(key_digest(b"n", &Value::string(b"12345"), true, rules));
            all.key(key_digest(b"l", &list(&["a", "b", "1"]), false, rules));
            all.key(key_digest(b"s", &set(&["a", "1", "2"]), false, rules));
            all.key(key_digest(b"z", &sample_zset(), false, rules));
            let fields = hash(&[("f", "v", None), ("g", "12", None)]);
            all.key(key_digest(b"h", &fields, false, rules));
            if let Some(value) = extra {
                all.key(key_digest(b"x", &value, false, rules));
            }
            all.database(3);
            all.key(key_digest(b"d3", &Value::string(b"x"), false, rules));
            hex(all.finish())
        };
        assert_eq!(whole(&OLD, None), "8544267958ddc021f649c88cad9575f708575e0c");
        assert_eq!(whole(&REDIS_8, None), "8258b319102e9263387f5268243d2b717ac4faf7");
        let with_stream = whole(&OLD, Some(sample_stream()));
        assert_eq!(with_stream, "209e33222a71ba748dadb654b1539be5ff13e821");
    }
}
