//! Streams against what anybody would write down, and what they take.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Parts = Vec<Vec<u8>>;

/// A stream as anybody would write it down.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: BTreeMap<Id, Parts>,
    last: Id,
    max_deleted: Id,
    added: u64,
    /// By group: how far it has read, and what is pending.
    groups: BTreeMap<u8, (Id, Vec<Id>)>,
}

impl Model {
    fn is_free(&self, id: Id) -> bool {
        self.groups.values().all(|(read, pending)| id <= *read && !pending.contains(&id))
    }

    fn remove(&mut self, id: Id, references: References) -> bool {
        match references {
            References::Acked if !self.is_free(id) => return false,
            References::Drop => {
                self.groups
                    .values_mut()
                    .for_each(|(_, pending)| pending.retain(|other| *other != id));
            }
            _ => {}
        }
        self.entries.remove(&id).is_some()
    }

    fn trim(&mut self, trim: Trim, references: References) {
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            let done = match trim {
                Trim::Length(left) => self.entries.len() as u64 <= left,
                Trim::From(first) => id >= first,
            };
            if !done {
                self.remove(id, references);
            }
        }
    }
}

fn parts(kind: u8, seq: u64) -> Parts {
    let value = vec![b'v'; (seq % 90) as usize];
    match kind % 5 {
        0..=1 => vec![b"temperature".to_vec(), value, b"humidity".to_vec(), seq.to_string().into()],
        2 => vec![format!("name:{seq}").into_bytes(), value],
        3 => vec![vec![b'n'; 600], value],
        _ => vec![vec![], vec![], vec![], value],
    }
}

fn check(stream: &Stream, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(stream.len(), model.entries.len());
    for (entry, (id, parts)) in stream.iter().zip(&model.entries) {
        prop_assert_eq!(entry.id, *id);
        let flat: Vec<_> = entry.fields.flat_map(|(name, value)| [name, value]).collect();
        prop_assert_eq!(flat, parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let pairs: usize = model.entries.values().map(|parts| parts.len() / 2).sum();
    prop_assert_eq!(stream.pairs_len(), pairs);
    let first = model.entries.keys().next().copied().unwrap_or_default();
    prop_assert_eq!((stream.first_id(), stream.last_id()), (first, model.last));
    prop_assert_eq!((stream.max_deleted_id(), stream.added()), (model.max_deleted, model.added));
    for ((name, group), (wanted, (read, pending))) in stream.groups().zip(&model.groups) {
        prop_assert_eq!((name, group.last_id), (&[*wanted][..], *read));
        let mut pending = pending.clone();
        pending.sort();
        prop_assert_eq!(group.pending().map(|p| p.id).collect::<Vec<_>>(), pending);
    }
    prop_assert_eq!(stream.groups_len(), model.groups.len());
    Ok(())
}

fn references(number: u64) -> References {
    [References::Keep, References::Drop, References::Acked][(number % 3) as usize]
}

fn step(stream: &mut Stream, model: &mut Model, (kind, number): (u8, u64)) {
    let known = model.entries.keys().nth((number % 50) as usize).copied();
    let id = known.unwrap_or(Id { ms: number, seq: 1 });
    let name = (number % 4) as u8;
    match kind {
        0..=9 => {
            let id = Id { ms: model.last.ms + number % 3, seq: model.last.seq + 1 };
            if kind == 9 {
                assert!(!stream.append(model.last, &parts(kind, number)));
            }
            assert!(stream.append(id, &parts(kind, number)));
            model.entries.insert(id, parts(kind, number));
            model.last = id;
            model.added += 1;
        }
        10..=13 => {
            let gone = model.remove(id, references(number));
            if gone {
                model.max_deleted = model.max_deleted.max(id);
            }
            assert_eq!(stream.delete(id, references(number)), gone);
        }
        14 => {
            let trim = if number % 2 == 0 { Trim::From(id) } else { Trim::Length(number % 60) };
            model.trim(trim, references(number / 2));
            stream.trim(trim, references(number / 2));
        }
        15 => {
            model.groups.insert(name, (id, Vec::new()));
            stream.put_group(&[name], Group::new(id, None));
        }
        16 => {
            let gone = model.groups.remove(&name).is_some();
            assert_eq!(stream.remove_group(&[name]), gone);
        }
        17 => {
            let added = model.added + number;
            let (last, max_deleted) = (Id { ms: model.last.ms + 1, seq: number }, id);
            assert!(stream.set_ids(last, max_deleted, added));
            (model.last, model.max_deleted, model.added) = (last, max_deleted, added);
            if let Some(top) = model.entries.keys().last().filter(|top| top.ms > 0) {
                assert!(!stream.set_ids(Id { ms: top.ms - 1, seq: 9 }, Id::MIN, 0));
            }
        }
        _ => {
            let Some((read, pending)) = model.groups.get_mut(&name) else { return };
            *read = (*read).max(id);
            pending.retain(|other| *other != id);
            let mut group = stream.group(&[name]).unwrap().clone();
            group.last_id = *read;
            if kind == 18 {
                group.remove_pending(id);
            } else {
                pending.push(id);
                let consumer = None;
                group.put_pending(Pending { id, consumer, delivered_at_ms: 5, deliveries: 1 });
            }
            stream.put_group(&[name], group);
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_what_anybody_would_write_down(
        steps in proptest::collection::vec((0u8..24, 0u64..500), 0..300)
    ) {
        let (mut stream, mut model) = (Stream::default(), Model::default());
        let mut frozen = (stream.clone(), model.clone());
        let half = steps.len() / 2;
        for (at, one) in steps.into_iter().enumerate() {
            if at == half {
                frozen = (stream.clone(), model.clone());
            }
            step(&mut stream, &mut model, one);
        }
        check(&stream, &model)?;
        check(&frozen.0, &frozen.1)?;
        let mut builder = StreamBuilder::default();
        for (at, (id, parts)) in model.entries.iter().enumerate() {
            if at % 3 == 0 {
                builder.begin_block(&parts.iter().step_by(2).collect::<Vec<_>>());
                let values: Vec<_> = parts.iter().skip(1).step_by(2).collect();
                prop_assert!(builder.push_values(*id, &values));
            } else {
                prop_assert!(builder.push(*id, parts));
            }
        }
        prop_assert_eq!(builder.len(), stream.len() as u64);
        if let Some((id, parts)) = model.entries.last_key_value() {
            prop_assert!(!builder.push(*id, parts));
        }
        let mut built = builder.finish();
        prop_assert_eq!(built.added(), stream.len() as u64);
        prop_assert!(built.set_ids(model.last, model.max_deleted, model.added));
        for (name, group) in stream.groups() {
            built.put_group(name, group.clone());
        }
        prop_assert!(built == stream, "built anew it is the same");
        let next = Id { ms: model.last.ms + 1, seq: 0 };
        let mut other = stream.clone();
        other.append(next, &[b"f", b"1"]);
        built.append(next, &[b"f", b"2"]);
        prop_assert!(built != other, "another value makes another stream");
    }
}

#[test]
fn entries_with_the_names_of_others_take_little_more_than_their_values() {
    let mut stream = Stream::default();
    let start = 1_700_000_000_000;
    for at in 0..10_000u64 {
        let value = (at % 1000).to_string();
        let parts: [&[u8]; 4] = [b"temperature", value.as_bytes(), b"humidity", value.as_bytes()];
        assert!(stream.append(Id { ms: start + at * 7, seq: 0 }, &parts));
    }
    let each = stream.memory() / stream.len();
    assert!(each <= 20, "{each} bytes an entry");
    let clone = stream.clone();
    stream.trim(Trim::Length(0), References::Keep);
    assert!(stream.is_empty() && stream.memory() < 1000, "{} bytes", stream.memory());
    assert_eq!(clone.len(), 10_000);
}

#[test]
fn what_an_edit_throws_away_is_what_nobody_has_any_more() {
    const GROUPS: u64 = 3000;
    let mut stream = Stream::default();
    let id = |seq| Id { ms: 1, seq };
    assert!(stream.append(id(1), &[b"field", b"value"]));
    for at in 0..GROUPS {
        let mut group = Group::new(id(1), None);
        group.add_consumer(&[b'c'; 100], 1, None);
        stream.put_group(format!("group {at}").as_bytes(), group);
    }
    let places = GROUPS as usize * size_of::<(Bytes, Arc<Group>)>();
    let all = stream.memory();
    assert!(all > places + GROUPS as usize * 100);
    let lost = |edit: &dyn Fn(&mut Stream)| {
        let mut later = stream.clone();
        edit(&mut later);
        stream.lost_to(&later)
    };
    // Where no group was touched none is looked at.
    assert!(lost(&|later| assert!(later.append(id(2), &[b"f", b"v"]))) < 2000);
    let one = lost(&|later| later.put_group(b"group 7", Group::default()));
    assert!((places..places + 2000).contains(&one), "{one}");
    let gone = lost(&|later| assert!(later.remove_group(b"group 2999")));
    assert!((places..places + 2000).contains(&gone), "{gone}");
    assert!(stream.lost_to(&Stream::default()) > all / 2);
}
