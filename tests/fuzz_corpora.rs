//! Everything that the fuzz targets have found worth keeping, and every command with arguments of
//! all kinds, run through the same bodies as ordinary tests.
//!
//! `fuzz/README.md` says how the corpora come about.

#![allow(clippy::expect_used, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../fuzz/src/bodies.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod bodies;
#[path = "../fuzz/src/meter.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod meter;
mod support;

use rets::command::{ROWS, find};
use rets::rdb::{Decoder, Item};
use rets::resp::{Reader, write_command};
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use support::random::Dice;
use support::{Session, repository};

/// The size of everything in a tar file is a multiple of this.
const BLOCK: usize = 512;

/// The files in a compressed tar file, by name.
fn files_of(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("a corpus");
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let mut files = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BLOCK).filter(|header| header[0] != 0) {
        let text = |from: usize, to: usize| {
            let field = header[from..to].split(|byte| *byte == 0).next().unwrap();
            String::from_utf8(field.to_vec()).unwrap().trim().to_owned()
        };
        let len = usize::from_str_radix(&text(124, 136), 8).unwrap();
        at += BLOCK;
        if matches!(header[156], 0 | b'0') {
            files.push((text(0, 100), bytes[at..at + len].to_vec()));
        }
        at += len.next_multiple_of(BLOCK);
    }
    files
}

/// Runs a body over a corpus; the name of the file that it fails at is the last that is printed.
fn run_corpus(target: &str, body: fn(&[u8])) {
    let files = files_of(&repository().join(format!("fuzz/corpus/{target}.tar.gz")));
    assert!(files.len() > 50, "{target}: {} files", files.len());
    for (name, input) in files {
        println!("{target}: {name}");
        body(&input);
    }
}

#[test]
fn the_corpus_of_snapshots_holds() {
    run_corpus("rdb", bodies::rdb);
}

#[test]
fn the_corpus_of_streams_holds() {
    run_corpus("resp", bodies::resp);
}

#[test]
fn the_corpus_of_commands_holds() {
    run_corpus("command", bodies::command);
}

/// Words that stand in for arguments: keys, numbers, options.
fn words() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(repository().join("fuzz/command.dict")).unwrap();
    let words = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words.map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn every_command_stands_any_arguments() {
    let words = words();
    let keys: [&[u8]; 6] = [b"a", b"b", b"s", b"h", b"z", b"l"];
    let setup = concat!(
        "SET a 10\nSADD s a b 3\nHSET h a 1 b 2\nRPUSH l a b 3\nZADD z 1 a 2 b\n",
        "XADD x 1-1 f v\nXGROUP CREATE x g 0\nARSET r 0 v\nPFADD p a b\n",
    );
    for (n, row) in ROWS.iter().enumerate() {
        let mut dice = Dice::new(n as u64 + 1);
        for round in 0..40u8 {
            let mut input: Vec<u8> = (0..8).map(|_| dice.below(256) as u8).collect();
            if round % 2 == 0 {
                input.fill(0);
            }
            input.push(round & 0b1111_1000);
            input.extend_from_slice(setup.as_bytes());
            for _ in 0..20 {
                let mut args = vec![row.name.as_bytes()];
                for place in 1..row.min_args + dice.below(5) {
                    let is_key = place == 1 || dice.below(3) == 0;
                    args.push(if is_key {
                        keys[dice.below(keys.len())]
                    } else {
                        &words[dice.below(words.len())]
                    });
                }
                write_command(&mut input, &args);
            }
            println!("{}, round {round}: {}", row.name, input.escape_ascii());
            bodies::command(&input);
        }
    }
}

#[test]
fn the_dictionary_has_every_command() {
    let words: HashSet<_> = words().into_iter().collect();
    let lacking: Vec<_> =
        ROWS.iter().map(|row| row.name).filter(|name| !words.contains(name.as_bytes())).collect();
    assert!(lacking.is_empty(), "fuzz/command.dict lacks {lacking:?}");
}

// ---- what the fuzzer begins with

/// Writes the seeds into the folder that `RETS_FUZZ_SEEDS` names, one folder a target.
#[test]
#[ignore = "makes the corpora anew, see fuzz/README.md"]
fn write_seeds() {
    let folder = PathBuf::from(std::env::var_os("RETS_FUZZ_SEEDS").expect("RETS_FUZZ_SEEDS"));
    let write = |target: &str, name: String, bytes: &[u8]| {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    for (name, bytes) in payloads() {
        write("rdb", format!("payload-{name}"), &[&[1, 3], &bytes[..]].concat());
    }
    for version in ["6.2", "7.0", "8.2"] {
        let path = repository().join(format!("tests/fixtures/rdb/redis-{version}.rdb"));
        write(
            "rdb",
            format!("fixture-{version}"),
            &[&[0, 5], &std::fs::read(path).unwrap()[..]].concat(),
        );
    }
    for session in Session::all() {
        for (n, snapshot) in small_snapshots(session.snapshot()).iter().enumerate() {
            let seed = [&[0, n as u8], &snapshot[..]].concat();
            write("rdb", format!("{}-{n}", session.name), &seed);
        }
        let (streams, commands) = small_streams(session.stream());
        for (n, stream) in streams.iter().enumerate() {
            write("resp", format!("{}-{n}", session.name), &[&[n as u8], &stream[..]].concat());
            write("command", format!("{}-{n}", session.name), &with_gate(n, stream));
        }
        for (n, command) in commands.iter().enumerate() {
            write("command", format!("{}-single-{n}", session.name), &with_gate(n, command));
        }
    }
    let by_hand = std::fs::read_to_string(repository().join("fuzz/command.lines")).unwrap();
    for (n, piece) in by_hand.split("\n\n").enumerate() {
        write("command", format!("by-hand-{n}"), &with_gate(0, piece.as_bytes()));
        write("command", format!("by-hand-skip-{n}"), &with_gate(n + 1, piece.as_bytes()));
        write("resp", format!("by-hand-{n}"), &[b"\x01", piece.as_bytes()].concat());
    }
}

/// A stream for the target `command`, with answers of the gate of some kind.
fn with_gate(n: usize, stream: &[u8]) -> Vec<u8> {
    let veto: u64 = [0, 0x1111_1111_1111_1111, 0x0000_0020_0000_0100, 0x5555_3333_0f0f_00ff][n % 4];
    [&veto.to_le_bytes(), &[(n as u8 & 3) << 3][..], stream].concat()
}

/// The payloads of the fixtures: database, length of the key, key, length, payload.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let mut payloads = Vec::new();
    for version in ["6.2", "7.0", "8.2"] {
        let path = repository().join(format!("tests/fixtures/rdb/redis-{version}.dumps"));
        let bytes = std::fs::read(path).unwrap();
        let mut rest = &bytes[..];
        while let [_, key_len, others @ ..] = rest {
            let (_, others) = others.split_at(usize::from(*key_len));
            let (len, others) = others.split_first_chunk::<4>().unwrap();
            let (payload, others) = others.split_at(u32::from_le_bytes(*len) as usize);
            rest = others;
            if payload.len() < 400 {
                payloads.push((format!("{version}-{}", payloads.len()), payload.to_vec()));
            }
        }
    }
    payloads
}

/// One snapshot for each way in which a short key is written: its type, and what stands before it.
fn small_snapshots(snapshot: &[u8]) -> Vec<Vec<u8>> {
    const SHORT: usize = 300;
    const SAME_KIND_MAX: usize = 2;
    let mut decoder = Decoder::new();
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    let mut start = 9;
    decoder.feed(snapshot);
    while let Ok(Some(item)) = decoder.next() {
        let end = decoder.offset() as usize;
        let entry = &snapshot[start.min(end)..end];
        start = end;
        if matches!(item, Item::Header { .. } | Item::End { .. }) || entry.len() > SHORT {
            continue;
        }
        // A deadline is 8 bytes behind its mark, then comes the type.
        let kind = match entry {
            [0xfc, rest @ ..] => rest.get(8).copied().map(|kind| (0xfc, kind)),
            [kind, ..] => Some((0, *kind)),
            [] => None,
        };
        if seen.iter().filter(|other| **other == kind).count() < SAME_KIND_MAX {
            seen.push(kind);
            found.push([&snapshot[..9], entry, &[0xff], &[0; 8]].concat());
        }
    }
    found
}

/// Pieces of a stream, and the first short commands of each name with the one before them.
fn small_streams(stream: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    const PIECE: usize = 1500;
    const PIECES: usize = 12;
    const SAME_NAME_MAX: usize = 3;
    let mut reader = Reader::new();
    reader.feed(stream);
    let (mut pieces, mut singles, mut piece) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut n) = (0, 0);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    while let Some(command) = reader.next().unwrap() {
        let frame = &stream[at..at + command.wire_len];
        at += command.wire_len;
        let Some(name) = command.args.first().map(|name| name.to_ascii_uppercase()) else {
            continue;
        };
        if frame.len() > PIECE {
            continue;
        }
        piece.extend_from_slice(frame);
        if seen.iter().filter(|other| **other == name).count() < SAME_NAME_MAX {
            seen.push(name);
            singles.push(piece[piece.len().saturating_sub(PIECE)..].to_vec());
        }
        if piece.len() > PIECE {
            // From all over the stream.
            if n % 16 == 0 && pieces.len() < PIECES {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.clear();
            n += 1;
        }
    }
    (pieces, singles)
}

#[test]
fn a_row_is_found_by_the_name_in_the_dictionary() {
    assert!(ROWS.iter().all(|row| find(row.name.as_bytes()).is_some()));
}
