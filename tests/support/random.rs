//! Random commands of the families that are followed: right ones, wrong ones, and those at the edge
//! of what is a number, a deadline or a type. The same seed gives the same commands.

macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(Vec::<u8>::from($word)),*] };
}

mod bits;
mod lists;
pub mod opening;
mod scored;
mod streams;

/// A command: its words.
pub type Words = Vec<Vec<u8>>;

/// Random numbers that are the same on every machine (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that fall the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.any() % n.max(1) as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// How many keys each prefix has. Few, so that commands meet.
const KEYS: usize = 12;

/// What keys begin with: the type that they mostly have.
const PREFIXES: &[&str] = &["s", "h", "l", "t", "z", "g", "x", "b", "p", "any"];

/// Databases in use; the last one holds the samples of all types.
pub const DATABASES: &[u32] = &[0, 0, 0, 1, 2, SAMPLES];

/// Where the values of all types lie that only a snapshot brings.
pub const SAMPLES: u32 = 9;

/// Names of the samples.
pub const SAMPLE_KEYS: &[&str] = &[
    "list:small",
    "list:big",
    "set:ints",
    "set:small",
    "set:big",
    "zset:small",
    "zset:big",
    "hash:small",
    "hash:big",
    "hash:deadlines",
    "stream",
    "text",
    "number",
    "long",
];

/// Points in time that no server has reached, in milliseconds.
const FAR: &str = "4102444800000";
const FAR_TOO: &str = "4102444900000";

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "42",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4611686018427387904",
    "-4611686018427387905",
    "00",
    "-0",
    "+1",
    " 1",
    "1 ",
    "",
    "1.5",
    "-2.25",
    "3e2",
    "abc",
    "inf",
    "nan",
    "0.1",
    "1e400",
];

/// Generates commands.
pub struct Generator {
    pub dice: Dice,
    /// DUMP payloads of all types.
    pub payloads: Vec<Vec<u8>>,
    /// Redis 6.2 crashes now and then after an INCRBYFLOAT in a script: it makes the list of
    /// arguments longer that the interpreter uses again for its next call.
    pub floats_in_scripts: bool,
    /// What the connection has selected.
    db: u32,
    now_ms: i64,
    streams: streams::Recent,
}

impl Generator {
    /// A generator for a connection that has just been made.
    pub fn new(seed: u64, payloads: Vec<Vec<u8>>) -> Self {
        Self {
            dice: Dice::new(seed),
            payloads,
            floats_in_scripts: true,
            db: 0,
            now_ms: 0,
            streams: streams::Recent::default(),
        }
    }

    /// A burst of so many commands, more or less, for one connection.
    pub fn burst(&mut self, count: usize, now_ms: i64) -> Vec<Words> {
        self.now_ms = now_ms;
        let mut burst = Vec::with_capacity(count);
        while burst.len() < count {
            match self.dice.below(100) {
                0..=5 => self.transaction(&mut burst),
                6..=9 => {
                    let script = self.script();
                    burst.push(script);
                }
                10..=14 => {
                    let select = self.select();
                    burst.push(select);
                }
                15 => self.rare(&mut burst),
                16 => self.scene(&mut burst),
                _ => {
                    let command = self.command();
                    burst.push(command);
                }
            }
        }
        burst
    }

    /// What brings another connection to where this one is.
    pub fn selected(&self) -> Words {
        words!["SELECT", self.db.to_string()]
    }

    fn transaction(&mut self, burst: &mut Vec<Words>) {
        burst.push(words!["MULTI"]);
        let before = self.db;
        for _ in 0..self.dice.below(8) {
            let command = if self.dice.percent(15) { self.select() } else { self.command() };
            burst.push(command);
        }
        if self.dice.percent(5) {
            // Refused while it is queued: nothing of it happens.
            burst.push(words!["SET", "only-a-key"]);
            self.db = before;
        }
        if self.dice.percent(10) {
            burst.push(words!["DISCARD"]);
            self.db = before;
        } else {
            burst.push(words!["EXEC"]);
        }
    }

    /// A script that calls several commands and goes on after errors, or stops at the first.
    fn script(&mut self) -> Words {
        let call = if self.dice.percent(70) { "pcall" } else { "call" };
        let body = format!(
            "local i = 1 while i <= #ARGV do local n = tonumber(ARGV[i]) \
             redis.{call}(unpack(ARGV, i + 1, i + n)) i = i + n + 1 end return 1"
        );
        let mut script = words!["EVAL", body.as_str(), "0"];
        let before = self.db;
        for _ in 0..1 + self.dice.below(5) {
            let command = if self.dice.percent(15) { self.select() } else { self.command() };
            if !self.floats_in_scripts && command[0].ends_with(b"BYFLOAT") {
                continue;
            }
            script.push(command.len().to_string().into_bytes());
            script.extend(command);
        }
        // What a script selects holds for itself alone.
        self.db = before;
        script
    }

    fn select(&mut self) -> Words {
        self.db = *self.dice.pick(DATABASES);
        words!["SELECT", self.db.to_string()]
    }

    fn rare(&mut self, burst: &mut Vec<Words>) {
        let command = match self.dice.below(20) {
            0..=8 => {
                let other = self.dice.pick(DATABASES).to_string();
                let one = self.dice.pick(DATABASES).to_string();
                words!["SWAPDB", one, other]
            }
            9 => words!["FLUSHALL"],
            10..=11 => words!["FLUSHDB"],
            12 => words!["FLUSHDB", "ASYNC"],
            13..=14 => words!["PUBLISH", "channel", "message"],
            15..=16 => words!["SCRIPT", "LOAD", "return redis.call('set', 's1', '1')"],
            17 => words!["SCRIPT", "FLUSH"],
            _ => words!["SPUBLISH", "channel", "message"],
        };
        burst.push(command);
    }

    /// One of the opening's scenes again: what takes several commands that chance seldom brings
    /// together.
    fn scene(&mut self, burst: &mut Vec<Words>) {
        let scene = self.dice.pick(opening::SCENES);
        let key = format!("scene{}", self.dice.below(KEYS));
        burst.push(words!["DEL", key.as_str(), format!("{key}2"), format!("{key}3")]);
        let payload = self.payloads.first().cloned().unwrap_or_default();
        burst.extend(opening::play(scene, &key, &payload));
        // Some select, and go back to where the opening is.
        let select = self.selected();
        burst.push(select);
    }

    fn key(&mut self, prefix: &str) -> Vec<u8> {
        let prefix = if self.dice.percent(15) { *self.dice.pick(PREFIXES) } else { prefix };
        if self.dice.percent(4) {
            return self.dice.pick(SAMPLE_KEYS).as_bytes().to_vec();
        }
        match self.dice.below(60) {
            0 => Vec::new(),
            1 => b"\x00\r\n\xff bytes".to_vec(),
            _ => format!("{prefix}{}", self.dice.below(KEYS)).into_bytes(),
        }
    }

    fn field(&mut self) -> Vec<u8> {
        match self.dice.below(40) {
            0 => Vec::new(),
            1 => vec![b'f'; 100],
            2 => format!("{}", self.dice.any()).into_bytes(),
            _ => format!("f{}", self.dice.below(10)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.dice.below(20) {
            0..=8 => self.dice.pick(NUMBERS).as_bytes().to_vec(),
            9..=13 => format!("{}", self.dice.any() as i64 >> self.dice.below(63)).into_bytes(),
            14 => vec![b'x'; self.dice.below(300)],
            15 => vec![b'y'; self.dice.below(20_000)],
            16 => (0..self.dice.below(60)).map(|_| self.dice.any() as u8).collect(),
            17 => b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n".to_vec(),
            _ => format!("v{}", self.dice.below(100)).into_bytes(),
        }
    }

    fn number(&mut self) -> Vec<u8> {
        if self.dice.percent(30) {
            self.dice.pick(NUMBERS).as_bytes().to_vec()
        } else {
            (self.dice.below(2000) as i64 - 1000).to_string().into_bytes()
        }
    }

    /// A time to live in this unit, or the point in time.
    fn deadline(&mut self, unit_ms: i64, absolute: bool) -> Vec<u8> {
        let ttl_ms = match self.dice.below(12) {
            0 => return self.dice.pick(NUMBERS).as_bytes().to_vec(),
            1 => -5_000,
            2..=4 => self.dice.below(300) as i64,
            5..=6 => self.dice.below(3_000) as i64,
            7 => 4_000_000_000_000,
            _ => 100_000 + self.dice.below(1_000_000) as i64,
        };
        let at = if absolute { self.now_ms + ttl_ms } else { ttl_ms };
        (at / unit_ms).to_string().into_bytes()
    }

    /// One of EX, PX, EXAT, PXAT with its number.
    fn expiry_option(&mut self) -> Words {
        let (name, unit_ms, absolute) = *self.dice.pick(&[
            ("EX", 1000, false),
            ("PX", 1, false),
            ("px", 1, false),
            ("EXAT", 1000, true),
            ("PXAT", 1, true),
        ]);
        let deadline = self.deadline(unit_ms, absolute);
        words![name, deadline]
    }

    /// One command that writes, or would if it met its conditions.
    pub fn command(&mut self) -> Words {
        match self.dice.below(250) {
            0..=34 => self.string_command(),
            35..=59 => self.hash_command(),
            60..=69 => self.field_expiry_command(),
            70..=81 => self.expiry_command(),
            82..=109 => self.list_command(),
            110..=122 => self.set_command(),
            123..=131 => self.sort_command(),
            132..=141 => self.bit_command(),
            142..=151 => self.hyperloglog_command(),
            152..=191 => self.stream_command(),
            192..=220 => self.zset_command(),
            221..=231 => self.geo_command(),
            _ => self.key_command(),
        }
    }

    fn string_command(&mut self) -> Words {
        let key = self.key("s");
        match self.dice.below(24) {
            0..=3 => words!["SET", key, self.value()],
            4..=7 => {
                let mut set = words!["set", key, self.value()];
                if self.dice.percent(40) {
                    set.extend(words![*self.dice.pick(&["NX", "XX", "xx"])]);
                }
                if self.dice.percent(20) {
                    set.extend(words!["GET"]);
                }
                if self.dice.percent(30) {
                    set.extend(words!["KEEPTTL"]);
                } else if self.dice.percent(60) {
                    set.extend(self.expiry_option());
                }
                set
            }
            8 => words!["SETNX", key, self.value()],
            9 => words!["SETEX", key, self.deadline(1000, false), self.value()],
            10 => words!["PSETEX", key, self.deadline(1, false), self.value()],
            11 => words!["GETSET", key, self.value()],
            12 => words!["GETDEL", key],
            13 => {
                let mut getex = words!["GETEX", key];
                if self.dice.percent(25) {
                    getex.extend(words!["PERSIST"]);
                } else {
                    getex.extend(self.expiry_option());
                }
                getex
            }
            14 => words!["APPEND", key, self.value()],
            15 => {
                let offset = if self.dice.percent(90) {
                    self.dice.below(500).to_string().into_bytes()
                } else {
                    self.number()
                };
                // What names a place far away would only cost memory.
                let offset = if offset.len() > 4 { b"-1".to_vec() } else { offset };
                words!["SETRANGE", key, offset, self.value()]
            }
            16 => words!["INCR", key],
            17 => words!["decr", key],
            18 => words!["INCRBY", key, self.number()],
            19 => words!["DECRBY", key, self.number()],
            20 => words!["INCRBYFLOAT", key, self.value()],
            21 | 22 => {
                let mut mset = words![*self.dice.pick(&["MSET", "MSETNX"])];
                for _ in 0..1 + self.dice.below(4) {
                    mset.extend([self.key("s"), self.value()]);
                }
                mset
            }
            _ => {
                let count = 1 + self.dice.below(3);
                let mut msetex = words!["MSETEX", count.to_string()];
                for _ in 0..count {
                    msetex.extend([self.key("s"), self.value()]);
                }
                if self.dice.percent(50) {
                    msetex.extend(self.expiry_option());
                }
                msetex
            }
        }
    }

    fn hash_command(&mut self) -> Words {
        let key = self.key("h");
        match self.dice.below(12) {
            0..=3 => {
                let mut hset = words![*self.dice.pick(&["HSET", "HSET", "hmset"]), key];
                let count = if self.dice.percent(3) { 200 } else { 1 + self.dice.below(4) };
                for n in 0..count {
                    let field =
                        if count > 10 { format!("n{n}").into_bytes() } else { self.field() };
                    hset.extend([field, self.value()]);
                }
                hset
            }
            4 => words!["HSETNX", key, self.field(), self.value()],
            5 | 6 => {
                let mut hdel = words!["HDEL", key];
                (0..1 + self.dice.below(4)).for_each(|_| hdel.push(self.field()));
                hdel
            }
            7 | 8 => words!["HINCRBY", key, self.field(), self.number()],
            9 => words!["HINCRBYFLOAT", key, self.field(), self.value()],
            10 => {
                let mut hgetdel = words!["HGETDEL", key];
                hgetdel.extend(self.fields());
                hgetdel
            }
            _ => {
                let mut hsetex = words!["HSETEX", key];
                if self.dice.percent(30) {
                    hsetex.extend(words![*self.dice.pick(&["FNX", "FXX"])]);
                }
                if self.dice.percent(30) {
                    hsetex.extend(words!["KEEPTTL"]);
                } else if self.dice.percent(70) {
                    hsetex.extend(self.expiry_option());
                }
                let count = 1 + self.dice.below(3);
                hsetex.extend(words!["FIELDS", count.to_string()]);
                (0..count).for_each(|_| hsetex.extend([self.field(), self.value()]));
                hsetex
            }
        }
    }

    /// `FIELDS count field ...`
    fn fields(&mut self) -> Words {
        let count = 1 + self.dice.below(4);
        let mut fields = words!["FIELDS", count.to_string()];
        (0..count).for_each(|_| fields.push(self.field()));
        fields
    }

    fn field_expiry_command(&mut self) -> Words {
        let key = self.key("h");
        let mut command = match self.dice.below(8) {
            0..=4 => {
                let (name, unit_ms, absolute) = *self.dice.pick(&[
                    ("HEXPIRE", 1000, false),
                    ("HPEXPIRE", 1, false),
                    ("HPEXPIRE", 1, false),
                    ("HEXPIREAT", 1000, true),
                    ("HPEXPIREAT", 1, true),
                ]);
                let mut command = words![name, key, self.deadline(unit_ms, absolute)];
                if self.dice.percent(40) {
                    command.extend(words![*self.dice.pick(&["NX", "XX", "GT", "LT"])]);
                }
                command
            }
            5 => {
                let mut persist = words!["HPERSIST", key];
                if self.dice.percent(60) {
                    persist.extend(words!["FIELDS", "10"]);
                    persist.extend((0..10).map(|n| format!("f{n}").into_bytes()));
                    return persist;
                }
                persist
            }
            _ => {
                let mut command = words!["HGETEX", key];
                if self.dice.percent(30) {
                    command.extend(words!["PERSIST"]);
                } else {
                    command.extend(self.expiry_option());
                }
                command
            }
        };
        command.extend(self.fields());
        command
    }

    fn expiry_command(&mut self) -> Words {
        let prefix = *self.dice.pick(PREFIXES);
        let key = self.key(prefix);
        let (name, unit_ms, absolute) = *self.dice.pick(&[
            ("EXPIRE", 1000, false),
            ("PEXPIRE", 1, false),
            ("pexpire", 1, false),
            ("EXPIREAT", 1000, true),
            ("PEXPIREAT", 1, true),
            ("PERSIST", 0, false),
        ]);
        if unit_ms == 0 {
            return words![name, key];
        }
        let mut command = words![name, key, self.deadline(unit_ms, absolute)];
        if self.dice.percent(30) {
            command.extend(words![*self.dice.pick(&["NX", "XX", "GT", "LT"])]);
        }
        command
    }

    fn key_command(&mut self) -> Words {
        let prefix = *self.dice.pick(PREFIXES);
        let key = self.key(prefix);
        match self.dice.below(20) {
            0..=2 => {
                let mut del = words![*self.dice.pick(&["DEL", "UNLINK"]), key];
                (0..self.dice.below(3)).for_each(|_| del.push(self.key(prefix)));
                del
            }
            3..=5 => words!["RENAME", key, self.key(prefix)],
            6 => words!["RENAMENX", key, self.key(prefix)],
            7..=9 => {
                let other = *self.dice.pick(PREFIXES);
                let mut copy = words!["COPY", key, self.key(other)];
                if self.dice.percent(40) {
                    copy.extend(words!["DB", self.dice.pick(DATABASES).to_string()]);
                }
                if self.dice.percent(60) {
                    copy.extend(words!["REPLACE"]);
                }
                copy
            }
            10..=12 => words!["MOVE", key, self.dice.pick(DATABASES).to_string()],
            // Samples come back after they were deleted.
            13 => {
                let key = self.dice.pick(SAMPLE_KEYS).as_bytes().to_vec();
                self.restore(key)
            }
            _ => self.restore(key),
        }
    }

    fn restore(&mut self, key: Vec<u8>) -> Words {
        let payload = if self.payloads.is_empty() || self.dice.percent(3) {
            self.value()
        } else {
            let at = self.dice.below(self.payloads.len());
            self.payloads[at].clone()
        };
        let absolute = self.dice.percent(40);
        let ttl = if self.dice.percent(60) { b"0".to_vec() } else { self.deadline(1, absolute) };
        let mut restore = words!["RESTORE", key, ttl, payload];
        if self.dice.percent(70) {
            restore.extend(words![*self.dice.pick(&["REPLACE", "replace"])]);
        }
        if absolute {
            restore.extend(words!["ABSTTL"]);
        }
        match self.dice.below(10) {
            0 => restore.extend(words!["IDLETIME", "5"]),
            1 => restore.extend(words!["FREQ", "5"]),
            _ => {}
        }
        restore
    }
}

/// Commands that make the samples: one value of each type and size, for [`SAMPLES`]. They are sent
/// before a replica attaches, as most of them are not followed.
pub fn samples(seed: u64) -> Vec<Words> {
    let mut dice = Dice::new(seed);
    let mut all = vec![words!["SELECT", SAMPLES.to_string()]];
    let mut many =
        |verb: &str, key: &str, count: usize, word: &mut dyn FnMut(usize, &mut Dice) -> Words| {
            for from in (0..count).step_by(100) {
                let mut command = words![verb, key];
                for n in from..(from + 100).min(count) {
                    command.extend(word(n, &mut dice));
                }
                all.push(command);
            }
        };
    let text = |n: usize, dice: &mut Dice| -> Vec<u8> {
        match n % 5 {
            0 => n.to_string().into_bytes(),
            1 => format!("{}", dice.any() as i64).into_bytes(),
            2 => vec![b'z'; 70 + dice.below(50)],
            3 => (0..dice.below(30)).map(|_| dice.any() as u8).collect(),
            _ => format!("word {n}").into_bytes(),
        }
    };
    let unique = |n: usize, dice: &mut Dice| [format!("{n}:").into_bytes(), text(n, dice)].concat();
    many("RPUSH", "list:small", 7, &mut |n, d| vec![text(n, d)]);
    many("RPUSH", "list:big", 900, &mut |n, d| vec![text(n, d)]);
    many("RPUSH", "list:big", 1, &mut |_, _| vec![vec![b'p'; 30_000]]);
    many("SADD", "set:ints", 60, &mut |n, d| {
        vec![(d.any() as i64 >> (n % 50)).to_string().into_bytes()]
    });
    many("SADD", "set:small", 9, &mut |n, d| vec![unique(n, d)]);
    many("SADD", "set:big", 700, &mut |n, d| vec![unique(n, d)]);
    let score = |n: usize, d: &mut Dice| match n % 6 {
        0 => b"inf".to_vec(),
        1 => b"-inf".to_vec(),
        2 => n.to_string().into_bytes(),
        3 => {
            // Any fraction, with exponents on both sides of zero.
            let exponent = 1023 + 40 - n as u64 % 80;
            let bits = d.any() & !(0x7ff << 52) | exponent << 52;
            format!("{:e}", f64::from_bits(bits)).into_bytes()
        }
        4 => b"-0".to_vec(),
        _ => format!("{}", d.below(1000) as f64 / 8.0).into_bytes(),
    };
    many("ZADD", "zset:small", 12, &mut |n, d| vec![score(n, d), unique(n, d)]);
    many("ZADD", "zset:big", 500, &mut |n, d| vec![score(n, d), unique(n, d)]);
    many("HSET", "hash:small", 8, &mut |n, d| vec![unique(n, d), text(n, d)]);
    many("HSET", "hash:big", 800, &mut |n, d| vec![unique(n, d), text(n, d)]);
    many("HSET", "hash:deadlines", 30, &mut |n, _| words![format!("f{n}"), n.to_string()]);
    // No time that depends on the clock: the same seed makes the same payloads.
    for (at, fields) in [(FAR, &["2", "f1", "f2"][..]), (FAR_TOO, &["1", "f3"])] {
        let mut expire = words!["HPEXPIREAT", "hash:deadlines", at, "FIELDS"];
        expire.extend(fields.iter().map(|word| word.as_bytes().to_vec()));
        all.push(expire);
    }
    for n in 1..150 {
        all.push(words!["XADD", "stream", format!("{}-{n}", n / 3), "f", text(n, &mut dice)]);
    }
    all.push(words!["XDEL", "stream", "5-15", "7-21"]);
    all.push(words!["XGROUP", "CREATE", "stream", "g1", "3-9"]);
    let mut claim = words!["XCLAIM", "stream", "g1", "al", "0"];
    claim.extend((1..10).map(|n| format!("{}-{n}", n / 3).into_bytes()));
    claim.extend(words!["TIME", "1600000000000", "RETRYCOUNT", "1", "FORCE", "JUSTID"]);
    all.push(claim);
    all.push(words!["SET", "text", "some words"]);
    all.push(words!["SET", "number", "-12345"]);
    all.push(words!["SET", "long", "abcdefgh".repeat(2000), "PXAT", FAR]);
    all
}
