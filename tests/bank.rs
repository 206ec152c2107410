//! Money that is moved between accounts and never made nor lost: whoever reads all accounts at one
//! offset finds the same sum, however fast they change and whatever becomes of the link.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use rets::replica::{Answer, Lookups};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::follower::{assert_equal, cut_link, ready};
use support::random::Dice;
use support::{Client, Server, Which, on_each_server};

on_each_server!(
    two_accounts_always_have_the_same_sum,
    a_thousand_accounts_always_have_the_same_sum,
);

/// What every account has at first.
const BALANCE: i64 = 1_000;

/// Transfers in one run.
const TRANSFERS: usize = 4_000;

/// Transfers that are sent in one go.
const PIPELINED: usize = 100;

/// How many read at a time.
const READERS: usize = 4;

/// Moves money as one command, which the server sends on as a transaction.
const SCRIPT: &str = "redis.call('INCRBY', KEYS[1], -ARGV[1]) \
    redis.call('INCRBY', KEYS[2], ARGV[1]) return 1";

fn two_accounts_always_have_the_same_sum(which: Which) {
    sums_stay(which, 2);
}

fn a_thousand_accounts_always_have_the_same_sum(which: Which) {
    sums_stay(which, 1_000);
}

fn account(number: usize) -> String {
    format!("account:{number}")
}

fn sums_stay(which: Which, accounts: usize) {
    let server = Server::start(which);
    let mut client = server.client();
    let names: Vec<String> = (0..accounts).map(account).collect();
    for name in &names {
        client.accepted(&["SET", name, &BALANCE.to_string()]);
    }
    let replica = ready(&server.url(), &[]);
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (lookups, names) = (replica.lookups().clone(), names.clone());
            let done = done.clone();
            std::thread::spawn(move || read(&lookups, &names, &done))
        })
        .collect();
    let mut writer = server.client();
    let mut dice = Dice::new(accounts as u64);
    for round in 0..TRANSFERS / PIPELINED {
        transfer(&mut writer, accounts, &mut dice);
        if round % 16 == 8 {
            cut_link(&replica, &mut client);
        }
    }
    assert_equal(&replica, &mut client);
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        let (reads, offsets) = reader.join().expect("no sum was wrong");
        assert!(reads > 0 && offsets > 0, "{reads} reads, {offsets} offsets");
    }
}

/// Half of the transfers are transactions, half are scripts.
fn transfer(writer: &mut Client, accounts: usize, dice: &mut Dice) {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    for _ in 0..PIPELINED / 2 {
        let (from, to) = (account(dice.below(accounts)), account(dice.below(accounts)));
        let amount = (1 + dice.below(50)).to_string();
        commands.push(words(&["MULTI"]));
        commands.push(words(&["DECRBY", &from, &amount]));
        commands.push(words(&["INCRBY", &to, &amount]));
        commands.push(words(&["EXEC"]));
        commands.push(words(&["EVAL", SCRIPT, "2", &to, &from, &amount]));
    }
    let replies = writer.pipeline(&commands);
    let refused = replies.iter().find(|reply| reply.error().is_some());
    assert_eq!(refused, None);
}

/// Adds up all accounts again and again; returns how often, and at how many offsets.
fn read(lookups: &Lookups, names: &[String], done: &AtomicBool) -> (u64, u64) {
    let keys: Vec<(u32, &[u8])> = names.iter().map(|name| (0, name.as_bytes())).collect();
    let (mut reads, mut offsets, mut last) = (0, 0, -1);
    while !done.load(Ordering::SeqCst) {
        let mut sum = 0;
        let answer = lookups.get_many(&keys, |_, value| {
            let Answer::Found(value) = value else { panic!("an account is gone: {value:?}") };
            let text = std::str::from_utf8(value).expect("a number");
            sum += text.parse::<i64>().expect("a number");
        });
        let Answer::Found(offset) = answer else { panic!("no answer: {answer:?}") };
        assert_eq!(sum, BALANCE * names.len() as i64, "at {offset}");
        assert!(offset >= last, "time went back from {last} to {offset}");
        reads += 1;
        offsets += u64::from(offset > last);
        last = offset;
    }
    (reads, offsets)
}
