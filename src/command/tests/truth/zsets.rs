//! Sorted sets at the primary: scores are whole numbers.

use super::{Data, Truth};
use std::collections::BTreeMap;

type Scores = BTreeMap<String, i64>;

/// The members in their order.
fn ordered(scores: &Scores) -> Vec<String> {
    let mut all: Vec<_> = scores.iter().map(|(member, score)| (*score, member.clone())).collect();
    all.sort();
    all.into_iter().map(|(_, member)| member).collect()
}

impl Truth {
    fn scores(&self, key: &str) -> Option<Scores> {
        match self.keys.get(&(self.db, key.to_owned())).map(|held| &held.data) {
            None => Some(Scores::new()),
            Some(Data::Scores(scores)) => Some(scores.clone()),
            Some(_) => None,
        }
    }

    /// A sorted set, or a set, whose members count as 1.
    fn operand(&self, key: &str) -> Option<Scores> {
        let set = || Some(self.members(key)?.into_iter().map(|member| (member, 1)).collect());
        self.scores(key).or_else(set)
    }

    /// Carries out a command on sorted sets; `None` if it fails or changes nothing.
    pub(super) fn edit_zsets(&mut self, words: &[&str]) -> Option<()> {
        let key = words[1];
        match words[..] {
            [name, _, "2", a, b] => {
                let (mut a, b) = (self.operand(a)?, self.operand(b)?);
                match name {
                    "ZDIFFSTORE" => a.retain(|member, _| !b.contains_key(member)),
                    "ZINTERSTORE" => {
                        a.retain(|member, _| b.contains_key(member));
                        a.iter_mut().for_each(|(member, score)| *score += b[member]);
                    }
                    _ => b.into_iter().for_each(|(m, score)| *a.entry(m).or_insert(0) += score),
                }
                return self.store_scores(key, a);
            }
            ["ZRANGESTORE", _, from, "0", "0", "REV"] => {
                let from = self.scores(from)?;
                let last = ordered(&from).pop();
                return self
                    .store_scores(key, last.map(|m| (m.clone(), from[&m])).into_iter().collect());
            }
            _ => {}
        }
        let old = self.scores(key)?;
        let new = edited(words, old.clone())?;
        (new != old).then_some(())?;
        self.write(key, Data::Scores(new), self.at(key));
        Some(())
    }

    fn store_scores(&mut self, key: &str, scores: Scores) -> Option<()> {
        let was_there = self.keys.contains_key(&(self.db, key.to_owned()));
        (was_there || !scores.is_empty()).then_some(())?;
        self.write(key, Data::Scores(scores), None);
        Some(())
    }
}

/// The scores after a command on one key.
fn edited(words: &[&str], mut scores: Scores) -> Option<Scores> {
    let remove = |scores: &mut Scores, members: &[String]| {
        scores.retain(|member, _| !members.contains(member));
    };
    let all = ordered(&scores);
    match words[..] {
        ["ZADD", _, ref rest @ ..] => {
            let options = rest.iter().take_while(|word| word.parse::<i64>().is_err()).count();
            let (options, pairs) = rest.split_at(options);
            for pair in pairs.chunks(2) {
                let (new, member) = (pair[0].parse::<i64>().unwrap(), pair[1]);
                let is_met = |option: &&str| match (*option, scores.get(member)) {
                    ("NX", old) => old.is_none(),
                    ("XX", old) => old.is_some(),
                    ("GT", Some(old)) => new > *old,
                    ("LT", Some(old)) => new < *old,
                    _ => true,
                };
                if options.iter().all(is_met) {
                    scores.insert(member.to_owned(), new);
                }
            }
        }
        ["ZINCRBY", _, by, member] => {
            *scores.entry(member.to_owned()).or_insert(0) += by.parse::<i64>().unwrap();
        }
        ["ZREM", _, f, g] => remove(&mut scores, &[f.to_owned(), g.to_owned()]),
        ["ZREMRANGEBYRANK", _, "0", "0"] | ["ZPOPMIN", _] => {
            remove(&mut scores, &all[..all.len().min(1)]);
        }
        ["ZREMRANGEBYRANK", _, "1", "-1"] => remove(&mut scores, all.get(1..)?),
        ["ZREMRANGEBYRANK", _, "0", "-1"] => scores.clear(),
        ["ZPOPMAX", _, "2"] => remove(&mut scores, &all[all.len().saturating_sub(2)..]),
        ["ZREMRANGEBYSCORE", _, "2", "3"] => scores.retain(|_, score| !(2..=3).contains(score)),
        ["ZREMRANGEBYSCORE", _, "-inf", "(2"] => scores.retain(|_, score| *score >= 2),
        ["ZREMRANGEBYLEX", _, "[f", "(h"] => {
            // From the first that is in the range up to the next that is not: with different scores
            // that is not all of them, and nothing if the last one or the first is out of it.
            let is_behind = |member: &String| member.as_str() < "f";
            let is_before = |member: &String| member.as_str() >= "h";
            (!is_behind(all.last()?) && !is_before(all.first()?)).then_some(())?;
            let start = all.iter().position(|member| !is_behind(member))?;
            let run = all[start..].iter().take_while(|member| !is_before(member)).count();
            remove(&mut scores, &all[start..start + run]);
        }
        _ => panic!("no {words:?}"),
    }
    Some(scores)
}
