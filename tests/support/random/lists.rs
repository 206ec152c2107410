//! Random commands on lists and sets, and SORT with STORE.

use super::{Generator, NUMBERS, Words};

/// A list that no other command touches: the one thing whose elements SORT leaves in an order that
/// can be told, where their weights are equal texts.
const SORTED: &str = "sorted";

impl Generator {
    /// Few different ones, among them what makes the names of other keys where it stands for a
    /// star.
    fn element(&mut self) -> Vec<u8> {
        match self.dice.below(20) {
            0..=11 => self.dice.below(14).to_string().into_bytes(),
            12..=14 => self.dice.pick(NUMBERS).as_bytes().to_vec(),
            15 => format!("{}", self.dice.any() as i64 >> self.dice.below(63)).into_bytes(),
            16 => b"1\x00e".to_vec(),
            17 => vec![b'e'; self.dice.below(3000)],
            _ => format!("e{}", self.dice.below(200)).into_bytes(),
        }
    }

    fn elements(&mut self) -> Words {
        let count = match self.dice.below(20) {
            0 => 150,
            1..=4 => 2 + self.dice.below(20),
            _ => 1 + self.dice.below(3),
        };
        (0..count).map(|_| self.element()).collect()
    }

    fn end(&mut self) -> &'static str {
        self.dice.pick::<&str>(&["LEFT", "RIGHT", "left"])
    }

    /// Mostly near one of the ends.
    fn index(&mut self) -> Vec<u8> {
        if self.dice.percent(10) {
            return self.number();
        }
        (self.dice.below(14) as i64 - 6).to_string().into_bytes()
    }

    pub(super) fn list_command(&mut self) -> Words {
        let key = self.key("l");
        let mut command = match self.dice.below(30) {
            0..=4 => words!["RPUSH", key],
            5..=8 => words!["LPUSH", key],
            9 => words![*self.dice.pick(&["RPUSHX", "LPUSHX"]), key],
            10..=12 => return words![*self.dice.pick(&["LPOP", "RPOP"]), key],
            13 => {
                let count = if self.dice.percent(20) { self.number() } else { self.index() };
                return words![*self.dice.pick(&["LPOP", "RPOP"]), key, count];
            }
            14..=15 => return words!["LSET", key, self.index(), self.element()],
            16..=18 => {
                let side = *self.dice.pick(&["BEFORE", "after"]);
                return words!["LINSERT", key, side, self.element(), self.element()];
            }
            19..=21 => return words!["LREM", key, self.index(), self.element()],
            22 => return words!["LTRIM", key, self.index(), self.index()],
            23 => return words!["RPOPLPUSH", key, self.key("l")],
            24..=25 => return words!["LMOVE", key, self.key("l"), self.end(), self.end()],
            26 => {
                let (other, from, to) = (self.key("l"), self.end(), self.end());
                return words!["BLMOVE", key, other, from, to, "0.01"];
            }
            27 => return words!["BRPOPLPUSH", key, self.key("l"), "0.01"],
            28 => {
                let name = *self.dice.pick(&["BLPOP", "BRPOP"]);
                return words![name, key, self.key("l"), "0.01"];
            }
            _ => {
                let (other, end) = (self.key("l"), self.end());
                return words!["LMPOP", "2", key, other, end, "COUNT", self.index()];
            }
        };
        command.extend(self.elements());
        command
    }

    pub(super) fn set_command(&mut self) -> Words {
        let key = self.key("t");
        let mut command = match self.dice.below(16) {
            0..=4 => words!["SADD", key],
            5..=6 => words!["srem", key],
            7..=8 => return words!["SMOVE", key, self.key("t"), self.element()],
            9 => return words!["SPOP", key],
            10 => return words!["SPOP", key, self.dice.below(30).to_string()],
            _ => {
                let name = *self.dice.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
                let mut store = words![name, key];
                (0..1 + self.dice.below(4)).for_each(|_| store.push(self.key("t")));
                return store;
            }
        };
        command.extend(self.elements());
        command
    }

    pub(super) fn sort_command(&mut self) -> Words {
        if self.dice.percent(10) {
            let mut push = words!["RPUSH", SORTED];
            push.extend(self.elements());
            return push;
        }
        if self.dice.percent(10) {
            let by = *self.dice.pick(&["s*", "h*->f3", "none*"]);
            let order = *self.dice.pick(&["ASC", "DESC"]);
            return words!["SORT", SORTED, "BY", by, "ALPHA", order, "STORE", self.key("l")];
        }
        let prefix = *self.dice.pick(&["l", "l", "t", "t", "z", "any"]);
        let mut sort = words!["SORT", self.key(prefix)];
        match self.dice.below(10) {
            0..=3 => sort.extend(words!["ALPHA"]),
            4..=5 => sort.extend(words!["BY", *self.dice.pick(&["nosort", "#", "s", ""])]),
            // Of equal weights that are texts only the server knows the order.
            6..=8 => sort.extend(words!["by", *self.dice.pick(&["s*", "h*->f1", "h*->", "*"])]),
            _ => {}
        }
        if self.dice.percent(40) {
            sort.extend(words![*self.dice.pick(&["DESC", "desc", "ASC"])]);
        }
        if self.dice.percent(40) {
            sort.extend(words!["LIMIT", self.index(), self.index()]);
        }
        for _ in 0..self.dice.below(4).saturating_sub(1) {
            let patterns = ["#", "s*", "h*->f1", "h*->f2", "h*->", "*", "any*", "s1", "##"];
            sort.extend(words!["GET", *self.dice.pick(&patterns)]);
        }
        sort.extend(words!["STORE", self.key("l")]);
        sort
    }
}
