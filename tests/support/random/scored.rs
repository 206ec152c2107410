//! Random commands on sorted sets, and on those that stand for places.

use super::{Generator, Words};

macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(Vec::<u8>::from($word)),*] };
}

const SCORES: &[&str] = &[
    "0",
    "0.1",
    "0.2",
    "0.3",
    "1",
    "1",
    "2",
    "-1",
    "1.5",
    "-2.25",
    "1e3",
    "0x1p4",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "4503599627370497.5",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551616",
    "1e-320",
    "1.7976931348623157e308",
    "nan",
    "1e400",
    " 1",
    "1x",
    "",
];

/// None that makes a zero negative: whether a primary keeps its sign depends on how it stores the
/// set, in which its own replicas differ from it, too.
const WEIGHTS: &[&str] = &["0", "1", "2", "0.1", "inf", "3.5"];

/// Sorted sets whose members all have one score, for ranges by name: where scores differ, a large
/// one's are left to chance. No other command gets at them.
const EVEN_KEYS: usize = 4;

impl Generator {
    fn member(&mut self) -> Vec<u8> {
        match self.dice.below(60) {
            0 => Vec::new(),
            1 => vec![b'm'; 64 + self.dice.below(3)],
            2 => vec![0xff, self.dice.any() as u8],
            3 => format!("{}", self.dice.below(100)).into_bytes(),
            _ => format!("m{}", self.dice.below(24)).into_bytes(),
        }
    }

    fn score(&mut self) -> Vec<u8> {
        match self.dice.below(20) {
            0..=8 => self.dice.pick(SCORES).as_bytes().to_vec(),
            9..=13 => format!("{}", self.dice.below(40) as i64 - 20).into_bytes(),
            14..=16 => format!("{}", self.dice.below(1000) as f64 / 100.0).into_bytes(),
            17 => format!("{:e}", f64::from_bits(self.dice.any())).into_bytes(),
            _ => format!("{}", self.dice.any() as i64 >> self.dice.below(63)).into_bytes(),
        }
    }

    fn count(&mut self) -> Vec<u8> {
        match self.dice.below(10) {
            0 => match self.number() {
                number if number == b"-0" => b"0".to_vec(),
                number => number,
            },
            1 => b"0".to_vec(),
            _ => (1 + self.dice.below(6)).to_string().into_bytes(),
        }
    }

    fn place(&mut self) -> Vec<u8> {
        (self.dice.below(30) as i64 - 12).to_string().into_bytes()
    }

    /// `5`, `(5`, `inf`
    fn score_bound(&mut self) -> Vec<u8> {
        let score = self.score();
        if self.dice.percent(30) { [b"(", score.as_slice()].concat() } else { score }
    }

    /// `[a`, `(a`, `-`, `+`
    fn name_bound(&mut self) -> Vec<u8> {
        match self.dice.below(12) {
            0 | 1 => b"-".to_vec(),
            2 | 3 => b"+".to_vec(),
            4 => self.member(),
            5..=8 => [b"[".as_slice(), &self.member()].concat(),
            _ => [b"(".as_slice(), &self.member()].concat(),
        }
    }

    pub(super) fn zset_command(&mut self) -> Words {
        let key = self.key("z");
        match self.dice.below(40) {
            0..=9 => self.zadd(key),
            10 | 11 => words!["ZINCRBY", key, self.score(), self.member()],
            12..=14 => {
                let mut zrem = words!["ZREM", key];
                (0..1 + self.dice.below(4)).for_each(|_| zrem.push(self.member()));
                zrem
            }
            15 | 16 => words!["ZREMRANGEBYRANK", key, self.place(), self.place()],
            17 | 18 => words!["ZREMRANGEBYSCORE", key, self.score_bound(), self.score_bound()],
            19..=22 => {
                let mut pop = match self.dice.below(8) {
                    0..=2 => words!["ZPOPMIN", key],
                    3..=5 => words!["ZPOPMAX", key],
                    6 => return words!["ZMPOP", "2", key, self.key("z"), "MIN"],
                    _ => return words!["ZMPOP", "1", key, "MAX", "COUNT", self.count()],
                };
                if self.dice.percent(60) {
                    pop.push(self.count());
                }
                pop
            }
            23..=28 => self.combination(key),
            29..=32 => self.range_store(key),
            _ => self.even_command(),
        }
    }

    fn zadd(&mut self, key: Vec<u8>) -> Words {
        let mut zadd = words![*self.dice.pick(&["ZADD", "zadd"]), key];
        if self.dice.percent(30) {
            zadd.extend(words![*self.dice.pick(&["NX", "XX", "GT", "LT", "gt"])]);
        }
        if self.dice.percent(15) {
            zadd.extend(words![*self.dice.pick(&["XX", "GT", "LT"])]);
        }
        if self.dice.percent(20) {
            zadd.extend(words!["CH"]);
        }
        let pairs = if self.dice.percent(8) {
            zadd.extend(words!["INCR"]);
            1
        } else if self.dice.percent(6) {
            120 + self.dice.below(40)
        } else {
            1 + self.dice.below(6)
        };
        let many = pairs > 100 && self.dice.percent(60);
        for n in 0..pairs {
            let score = if pairs > 100 && self.dice.percent(50) {
                b"0".to_vec()
            } else if pairs > 100 {
                n.to_string().into_bytes()
            } else {
                self.score()
            };
            let member = if many { format!("n{n}").into_bytes() } else { self.member() };
            zadd.extend([score, member]);
        }
        zadd
    }

    fn combination(&mut self, key: Vec<u8>) -> Words {
        let name = *self.dice.pick(&["ZUNIONSTORE", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
        let count = 1 + self.dice.below(4);
        let mut command = words![name, key, count.to_string()];
        for _ in 0..count {
            let prefix = if self.dice.percent(10) { "set" } else { "z" };
            command.push(self.key(prefix));
        }
        if name == "ZDIFFSTORE" {
            return command;
        }
        if self.dice.percent(50) {
            command.extend(words!["WEIGHTS"]);
            (0..count).for_each(|_| command.extend(words![*self.dice.pick(WEIGHTS)]));
        }
        if self.dice.percent(50) {
            let aggregates = ["SUM", "min", "MAX", "COUNT"];
            command.extend(words!["AGGREGATE", *self.dice.pick(&aggregates)]);
        }
        command
    }

    fn range_store(&mut self, key: Vec<u8>) -> Words {
        let from = self.key("z");
        let mut command = words!["ZRANGESTORE", key, from];
        let by_score = self.dice.percent(60);
        if by_score {
            let bounds = [self.score_bound(), self.score_bound()];
            command.extend(if self.dice.percent(50) {
                bounds
            } else {
                [b"-inf".to_vec(), b"inf".to_vec()]
            });
            command.extend(words!["BYSCORE"]);
        } else {
            command.extend([self.place(), self.place()]);
        }
        let reversed = self.dice.percent(40);
        if reversed {
            command.extend(words!["REV"]);
            if by_score && self.dice.percent(50) {
                command.swap(3, 4);
            }
        }
        if self.dice.percent(if by_score { 60 } else { 5 }) {
            command.extend(words!["LIMIT", self.place(), self.place()]);
        }
        command
    }

    /// Commands on sorted sets with one score, and on small ones with several.
    fn even_command(&mut self) -> Words {
        let is_even = self.dice.percent(60);
        let prefix = if is_even { "even" } else { "uneven" };
        let key = format!("{prefix}{}", self.dice.below(EVEN_KEYS)).into_bytes();
        let member = |g: &mut Self| match is_even {
            true => g.member(),
            false => format!("m{}", g.dice.below(24)).into_bytes(),
        };
        match self.dice.below(8) {
            0..=3 => {
                let mut zadd = words!["ZADD", key];
                let count = if is_even && self.dice.percent(10) { 200 } else { 8 };
                for n in 0..count {
                    let score = if is_even { 0 } else { self.dice.below(3) };
                    let member =
                        if count > 100 { format!("m{n}").into_bytes() } else { member(self) };
                    zadd.extend([score.to_string().into_bytes(), member]);
                }
                zadd
            }
            4 => words!["ZREMRANGEBYLEX", key, self.name_bound(), self.name_bound()],
            5 => words!["ZREM", key, member(self), member(self)],
            _ => {
                let to = self.key("z");
                let mut command = words!["ZRANGESTORE", to, key];
                command.extend([self.name_bound(), self.name_bound()]);
                command.extend(words!["BYLEX"]);
                if self.dice.percent(40) {
                    command.extend(words!["REV"]);
                    if self.dice.percent(70) {
                        command.swap(3, 4);
                    }
                }
                if is_even && self.dice.percent(50) {
                    command.extend(words!["LIMIT", self.place(), self.place()]);
                }
                command
            }
        }
    }

    fn spot(&mut self) -> Vec<u8> {
        match self.dice.below(50) {
            0 => Vec::new(),
            1 => vec![b'p'; 70],
            _ => format!("p{}", self.dice.below(60)).into_bytes(),
        }
    }

    /// Longitude and latitude: on a coarse grid, so that several are as far from another one, or
    /// anywhere, or at the ends of the map.
    fn coordinates(&mut self) -> [Vec<u8>; 2] {
        let (lon, lat) = match self.dice.below(20) {
            0..=8 => (self.dice.below(9) as f64 / 4.0, self.dice.below(9) as f64 / 4.0 + 40.0),
            9 => (180.0 * (self.dice.below(3) as f64 - 1.0), 85.05112878),
            10 => (179.99, -85.05112878),
            11 => (0.0, 0.0),
            12..=15 => {
                let near = |g: &mut Self| g.dice.below(1_000_000) as f64 / 1e7;
                (13.36 + near(self), 38.11 + near(self))
            }
            16 => (200.0, 0.0),
            _ => {
                let any = |g: &mut Self| (g.dice.any() >> 11) as f64 / (1u64 << 53) as f64;
                (any(self) * 360.0 - 180.0, any(self) * 170.0 - 85.0)
            }
        };
        [lon.to_string().into_bytes(), lat.to_string().into_bytes()]
    }

    fn distance(&mut self) -> Vec<u8> {
        match self.dice.below(12) {
            0 => self.score(),
            1 => b"0".to_vec(),
            2..=5 => (1 + self.dice.below(400)).to_string().into_bytes(),
            6..=8 => format!("{}.5", self.dice.below(30_000)).into_bytes(),
            _ => self.dice.below(30_000_000).to_string().into_bytes(),
        }
    }

    fn length_unit(&mut self) -> Vec<u8> {
        self.dice.pick(&["m", "km", "KM", "km", "ft", "mi"]).as_bytes().to_vec()
    }

    /// `[COUNT count [ANY]] [ASC | DESC]`
    fn search_options(&mut self) -> Words {
        let mut options = Words::new();
        if self.dice.percent(60) {
            options.extend(words!["COUNT", self.count()]);
            if self.dice.percent(40) {
                options.extend(words!["ANY"]);
            }
        }
        if self.dice.percent(40) {
            options.extend(words![*self.dice.pick(&["ASC", "DESC", "desc"])]);
        }
        options
    }

    pub(super) fn geo_command(&mut self) -> Words {
        let key = self.key("g");
        match self.dice.below(20) {
            0..=5 => {
                let mut geoadd = words!["GEOADD", key];
                if self.dice.percent(15) {
                    geoadd.extend(words![*self.dice.pick(&["NX", "XX", "CH"])]);
                }
                let count = if self.dice.percent(5) { 150 } else { 1 + self.dice.below(12) };
                for _ in 0..count {
                    geoadd.extend(self.coordinates());
                    geoadd.push(self.spot());
                }
                geoadd
            }
            6..=9 => {
                let mut search = words!["GEORADIUS", key];
                search.extend(self.coordinates());
                search.extend([self.distance(), self.length_unit()]);
                search.extend(self.search_options());
                search.extend(words![*self.dice.pick(&["STORE", "STOREDIST"]), self.key("g")]);
                search
            }
            10..=13 => {
                let mut search = words!["GEORADIUSBYMEMBER", key, self.spot()];
                search.extend([self.distance(), self.length_unit()]);
                search.extend(words![*self.dice.pick(&["STORE", "STOREDIST"]), self.key("g")]);
                search.extend(self.search_options());
                search
            }
            _ => {
                let to = if self.dice.percent(50) { self.key("z") } else { self.key("g") };
                let mut search = words!["GEOSEARCHSTORE", to, key];
                if self.dice.percent(40) {
                    search.extend(words!["FROMMEMBER", self.spot()]);
                } else {
                    search.extend(words!["FROMLONLAT"]);
                    search.extend(self.coordinates());
                }
                if self.dice.percent(50) {
                    search.extend(words!["BYRADIUS", self.distance(), self.length_unit()]);
                } else {
                    let (width, height) = (self.distance(), self.distance());
                    search.extend(words!["BYBOX", width, height, self.length_unit()]);
                }
                search.extend(self.search_options());
                if self.dice.percent(50) {
                    search.extend(words!["STOREDIST"]);
                }
                search
            }
        }
    }
}
