//! Random commands on bits and HyperLogLogs.

use super::{Generator, Words};

impl Generator {
    fn bit(&mut self) -> Vec<u8> {
        let far = if self.dice.percent(5) { 20_000 } else { 300 };
        self.dice.below(far).to_string().into_bytes()
    }

    /// A format with an offset in it.
    fn bit_field(&mut self) -> Words {
        let (sign, most) = if self.dice.percent(50) { ('i', 65) } else { ('u', 64) };
        let format = format!("{sign}{}", self.dice.below(most + 1));
        let offset = if self.dice.percent(40) {
            format!("#{}", self.dice.below(9)).into_bytes()
        } else {
            self.bit()
        };
        words![format, offset]
    }

    pub(super) fn bit_command(&mut self) -> Words {
        let key = self.key("b");
        match self.dice.below(12) {
            0..=3 => words!["SETBIT", key, self.bit(), self.dice.below(2).to_string()],
            4..=7 => {
                let mut command = words!["BITFIELD", key];
                for _ in 0..1 + self.dice.below(5) {
                    if self.dice.percent(50) {
                        command.extend(words![
                            "OVERFLOW",
                            *self.dice.pick(&["WRAP", "sat", "SAT", "FAIL"])
                        ]);
                    }
                    command.extend(words![*self.dice.pick(&["GET", "SET", "INCRBY", "incrby"])]);
                    let writes = command.last().is_none_or(|word| word != b"GET");
                    command.extend(self.bit_field());
                    if writes {
                        let wide = self.dice.any() as i64 >> self.dice.below(63);
                        let number = if self.dice.percent(20) {
                            self.number()
                        } else {
                            wide.to_string().into()
                        };
                        command.push(number);
                    }
                }
                // A primary makes room for fields also where all writes fail, and sends nothing.
                if command.contains(&b"FAIL".to_vec()) {
                    command.extend(words!["OVERFLOW", "WRAP", "INCRBY", "u1", "0", "1"]);
                }
                command
            }
            _ => {
                let operations = ["AND", "or", "XOR", "NOT", "DIFF", "DIFF1", "ANDOR", "one"];
                let operation = *self.dice.pick(&operations);
                let mut command = words!["BITOP", operation, key];
                let count = if operation == "NOT" { 1 } else { 1 + self.dice.below(5) };
                (0..count).for_each(|_| command.push(self.key("b")));
                command
            }
        }
    }

    fn counted(&mut self) -> Words {
        let count = match self.dice.below(40) {
            0 => 2500,
            1..=4 => 300,
            _ => self.dice.below(6),
        };
        // Of few different ones a sketch is packed, of many it has to unpack.
        let kinds = *self.dice.pick(&[50, 500, 1_000, 100_000]);
        (0..count).map(|_| format!("element {}", self.dice.below(kinds)).into_bytes()).collect()
    }

    pub(super) fn hyperloglog_command(&mut self) -> Words {
        let key = self.key("p");
        match self.dice.below(20) {
            0..=9 => {
                let mut command = words!["PFADD", key];
                command.extend(self.counted());
                command
            }
            10..=14 => {
                let mut command = words!["PFMERGE", key];
                (0..self.dice.below(4)).for_each(|_| command.push(self.key("p")));
                command
            }
            15..=17 => words!["PFCOUNT", key],
            18 => words!["PFCOUNT", key, self.key("p")],
            _ => words!["PFDEBUG", *self.dice.pick(&["TODENSE", "GETREG", "DECODE"]), key],
        }
    }
}
