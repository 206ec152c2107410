//! Lists and sets at the primary.

use super::{Data, Truth};
use std::collections::BTreeSet;

impl Truth {
    fn store_list(&mut self, key: &str, list: Vec<String>) {
        self.write(key, Data::Elements(list), self.at(key));
    }

    /// Carries out a command on lists; `None` if it fails or changes nothing.
    pub(super) fn edit_lists(&mut self, words: &[&str]) -> Option<()> {
        let key = words[1];
        let mut list = self.elements(key)?;
        let before = list.clone();
        let find = |list: &[String], wanted: &str| list.iter().position(|e| e == wanted);
        match words[..] {
            ["RPUSH", _, v, w] => list.extend([v.to_owned(), w.to_owned()]),
            ["LPUSH", _, v] => list.insert(0, v.to_owned()),
            ["LPOP", _] => drop(list.drain(..list.len().min(1))),
            ["RPOP", _, "2"] => list.truncate(list.len().saturating_sub(2)),
            ["LSET", _, "-1", v] => {
                // Sent also where nothing changes.
                v.clone_into(list.last_mut()?);
                self.store_list(key, list);
                return Some(());
            }
            ["LREM", _, "1", v] => drop(list.remove(find(&list, v)?)),
            ["LTRIM", _, "1", "2"] => {
                list.truncate(3);
                list.drain(..list.len().min(1));
            }
            ["LINSERT", _, "BEFORE", v, w] => list.insert(find(&list, v)?, w.to_owned()),
            [name, _, to, ..] => {
                let mut other = if to == key { Vec::new() } else { self.elements(to)? };
                list.first()?;
                let moved = if name == "LMOVE" { list.remove(0) } else { list.pop()? };
                let target = if to == key { &mut list } else { &mut other };
                target.insert(if name == "LMOVE" { target.len() } else { 0 }, moved);
                if to != key {
                    self.store_list(to, other);
                }
                self.store_list(key, list);
                return Some(());
            }
            _ => panic!("no {words:?}"),
        }
        (list != before).then_some(())?;
        self.store_list(key, list);
        Some(())
    }

    /// Carries out a command on sets, and SORT; `None` if it fails or changes nothing.
    pub(super) fn edit_sets(&mut self, words: &[&str]) -> Option<()> {
        let key = words[1];
        match words[..] {
            ["SORT", _, "ALPHA", "STORE", to] => {
                let mut all = match (self.elements(key), self.members(key)) {
                    (Some(list), None) => list,
                    (None, Some(set)) => set.into_iter().collect(),
                    (Some(_), Some(_)) => Vec::new(),
                    (None, None) => return None,
                };
                all.sort();
                return self.store_data(to, Data::Elements(all));
            }
            ["SUNIONSTORE", _, a, b] => {
                let (a, b) = (self.members(a)?, self.members(b)?);
                return self.store_data(key, Data::Members(&a | &b));
            }
            ["SINTERSTORE", _, a, b] => {
                let (a, b) = (self.members(a)?, self.members(b)?);
                return self.store_data(key, Data::Members(&a & &b));
            }
            ["SDIFFSTORE", _, a, b] => {
                let (a, b) = (self.members(a)?, self.members(b)?);
                return self.store_data(key, Data::Members(&a - &b));
            }
            _ => {}
        }
        let mut set = self.members(key)?;
        let both = |words: &[&str]| -> BTreeSet<String> {
            words[2..].iter().map(|word| (*word).to_owned()).collect()
        };
        let new = match words[..] {
            ["SADD", ..] => &set | &both(words),
            ["SREM", ..] => &set - &both(words),
            ["SMOVE", _, to, member] => {
                let mut other = self.members(to)?;
                (key != to && set.remove(member)).then_some(())?;
                other.insert(member.to_owned());
                self.write(to, Data::Members(other), self.at(to));
                self.write(key, Data::Members(set), self.at(key));
                return Some(());
            }
            _ => panic!("no {words:?}"),
        };
        (new != set).then_some(())?;
        self.write(key, Data::Members(new), self.at(key));
        Some(())
    }

    /// A whole new value, or none where there is nothing to store.
    fn store_data(&mut self, key: &str, data: Data) -> Option<()> {
        let was_there = self.members(key).is_none_or(|members| !members.is_empty());
        let is_nothing = matches!(&data, Data::Members(all) if all.is_empty())
            || matches!(&data, Data::Elements(all) if all.is_empty());
        (was_there || !is_nothing).then_some(())?;
        self.write(key, data, None);
        Some(())
    }
}
