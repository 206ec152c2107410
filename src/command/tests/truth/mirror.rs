//! A program that mirrors what it hears.

use super::*;

/// A program that knows nothing but what it hears, and does what it answered.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) keys: Keys,
}

impl Mirror {
    pub(crate) fn hear(&mut self, change: &Change<'_>, verdict: Verdict) {
        let name = text(change.key);
        let key = (change.db.unwrap_or(0), name);
        let kept = verdict == Verdict::Keep;
        let known = change.result_known;
        match change.effect {
            Effect::Set | Effect::Edit if kept && known => match change.value {
                Some(value) => {
                    self.keys.insert(key, Held::of(value, change.expires_at_ms));
                }
                None => drop(self.keys.remove(&key)),
            },
            // A result that can't be known replaces what was there; a skipped edit withholds it.
            // But neither touches what is frozen, which is what an edit of unknown result is of.
            Effect::Set if kept && change.value.is_none() => drop(self.keys.remove(&key)),
            Effect::Edit if known && !change.key_gone => drop(self.keys.remove(&key)),
            Effect::Delete if kept => drop(self.keys.remove(&key)),
            Effect::Expire if kept && known => {
                self.keys.entry(key).and_modify(|held| held.at = change.expires_at_ms);
            }
            Effect::HashSet { .. }
            | Effect::HashDelete { .. }
            | Effect::HashExpire { .. }
            | Effect::SetAdd { .. }
            | Effect::SetRemove { .. }
            | Effect::ZsetAdd { .. }
            | Effect::ZsetRemove { .. } => {
                if let Some(held) = self.keys.get_mut(&key).filter(|_| !change.key_gone) {
                    held.at = change.expires_at_ms;
                }
                if kept && known {
                    self.hear_element(key, change);
                }
            }
            Effect::Flush => self.keys.retain(|(db, _), _| change.db.is_some_and(|c| c != *db)),
            Effect::Swap { other } => {
                let mut swap = Truth { keys: std::mem::take(&mut self.keys), db: 0 };
                swap.execute(&format!("SWAPDB {} {other}", change.db.unwrap()));
                self.keys = swap.keys;
            }
            _ => {}
        }
    }

    fn hear_element(&mut self, key: (Db, String), change: &Change<'_>) {
        let none = match change.effect {
            Effect::SetAdd { .. } | Effect::SetRemove { .. } => Data::Members(BTreeSet::new()),
            Effect::ZsetAdd { .. } | Effect::ZsetRemove { .. } => Data::Scores(BTreeMap::new()),
            _ => Data::Fields(Fields::new()),
        };
        let none = Held { data: none, at: change.expires_at_ms };
        let held = self.keys.entry(key.clone()).or_insert(none);
        match (&mut held.data, change.effect) {
            (Data::Fields(fields), Effect::HashSet { field, value, expires_at_ms }) => {
                fields.insert(text(field), (text(value.unwrap()), expires_at_ms));
            }
            (Data::Fields(fields), Effect::HashDelete { field }) => {
                fields.remove(&text(field));
            }
            (Data::Fields(fields), Effect::HashExpire { field, expires_at_ms }) => {
                fields.entry(text(field)).and_modify(|(_, at)| *at = expires_at_ms);
            }
            (Data::Members(members), Effect::SetAdd { member }) => {
                members.insert(text(member));
            }
            (Data::Members(members), Effect::SetRemove { member }) => {
                members.remove(&text(member));
            }
            (Data::Scores(scores), Effect::ZsetAdd { member, score }) => {
                scores.insert(text(member), score.unwrap() as i64);
            }
            (Data::Scores(scores), Effect::ZsetRemove { member }) => {
                scores.remove(&text(member));
            }
            (data, effect) => panic!("{effect:?} of {data:?}"),
        }
        if held.data.is_nothing() {
            self.keys.remove(&key);
        }
    }
}
