//! How many instructions the hot paths take, so that a change of a percent is seen on a machine
//! whose clock varies by ten: `make bench-counts`.
//!
//! Each case is done N and 2N times under callgrind; what counts is the difference, so that what is
//! done once cancels out. Hashes are seeded the same way in every run (the feature `fixed-seed`).
//! The figures are compared with those of `benches/counts.baseline`, which belong to one version of
//! the compiler; `make bench-counts BLESS=1` writes them anew.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]
// What is counted is called as a C program would.
#![allow(unsafe_code)]

mod cases;
mod pipe;

#[path = "../peers/feed.rs"]
#[allow(dead_code)]
mod feed;

#[path = "../../tests/support/mod.rs"]
mod support;

use cases::CASES;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{repository, target_dir};

/// Set for the run under callgrind.
const INSIDE: &str = "RETS_COUNTS_INSIDE";

/// A change of less than this may be chance.
const NOISE_PERCENT: f64 = 0.5;

/// What callgrind counts: nothing but what this calls, and for each call by itself. It is told the
/// name, which therefore is as it stands here.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) fn only_this_is_counted(work: &mut Work<'_>) {
    work();
}

pub(crate) type Work<'a> = dyn FnMut() + 'a;

fn main() {
    if std::env::var_os(INSIDE).is_some() {
        cases::run();
        return;
    }
    let found: Vec<(&str, f64)> = CASES.iter().map(|(name, _)| *name).zip(count()).collect();
    let file = repository().join("benches/counts.baseline");
    let before = read(&file);
    println!("{:<44} {:>10} {:>10}   change", "instructions", "baseline", "now");
    for (name, now) in &found {
        let line = format!("{name:<44}");
        match before.iter().find(|(known, _)| known == name) {
            Some((_, before)) => {
                let percent = (now / before - 1.0) * 100.0;
                let mark = if percent.abs() < NOISE_PERCENT { "" } else { " *" };
                println!("{line} {before:>10.1} {now:>10.1} {percent:>+7.1} %{mark}");
            }
            None => println!("{line} {:>10} {now:>10.1}", "-"),
        }
    }
    if std::env::var("RETS_BLESS").is_ok_and(|bless| !bless.is_empty()) {
        write(&file, &found);
        println!("written to {}", file.display());
    }
}

/// Instructions of each case.
fn count() -> Vec<f64> {
    let folder = target_dir().join("counts");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let inside = std::env::current_exe().expect("this program");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--combine-dumps=no"])
        .args(["--toggle-collect=only_this_is_counted", "--dump-after=only_this_is_counted"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(inside)
        .env(INSIDE, "1")
        .status()
        .expect("valgrind runs");
    assert!(status.success(), "the run under callgrind failed: {status}");
    let totals: Vec<u64> =
        (1..=2 * CASES.len()).map(|n| total(folder.join(format!("out.{n}")))).collect();
    let twice_less_once = |(pair, (_, times)): (&[u64], &(&str, u64))| {
        (pair[1] as f64 - pair[0] as f64) / *times as f64
    };
    totals.chunks(2).zip(CASES).map(twice_less_once).collect()
}

fn total(dump: PathBuf) -> u64 {
    let text = std::fs::read_to_string(&dump).expect("a dump of callgrind");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("totals: "));
    lines.next_back().and_then(|number| number.trim().parse().ok()).expect("its total")
}

fn read(file: &Path) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let pair = |line: &str| {
        let (number, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), number.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect()
}

fn write(file: &Path, found: &[(&str, f64)]) {
    let rustc = Command::new("rustc").arg("--version").output().expect("the compiler");
    let rustc = String::from_utf8_lossy(&rustc.stdout);
    let mut text = format!("# Instructions, for `make bench-counts`; {}\n", rustc.trim());
    found.iter().for_each(|(name, count)| text += &format!("{count:.1} {name}\n"));
    std::fs::write(file, text).expect("the baseline can be written");
}
