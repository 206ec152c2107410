//! The rules of the tree that no compiler checks: who may use whom, how long a file may be, what
//! must not stand in it. Each rule is a function from a tree of files to complaints, and each is
//! shown a small tree that breaks it, so that a rule that sleeps is noticed.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "support/source.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod source;

use source::{code_of, functions, mentions, pattern_lines, without_tests, word_lines};
use std::collections::BTreeMap;
use std::path::Path;

/// Who may use whom. `error` is open to all; what is not named here is forbidden, and so is a
/// module without a row. ARCHITECTURE.md says why.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ffi", &["replica", "config", "change", "log"]),
    (
        "replica",
        &[
            "link", "resp", "rdb", "command", "change", "table", "value", "text", "config", "log",
            "env",
        ],
    ),
    ("link", &["resp", "config", "log", "env"]),
    ("resp", &[]),
    ("rdb", &["value", "text"]),
    ("command", &["table", "value", "change", "text"]),
    ("change", &["value"]),
    ("table", &["value", "memory"]),
    ("value", &["text", "memory"]),
    ("memory", &[]),
    ("text", &[]),
    ("config", &[]),
    ("log", &[]),
    ("env", &[]),
    ("error", &[]),
];

/// What touches the world outside: only `env` may, so that a simulation can take its place.
const OUTSIDE: &[&str] = &[
    "std :: net",
    "std :: fs",
    "std :: os :: unix :: net",
    "thread :: spawn",
    "thread :: sleep",
    "thread :: Builder",
    "Instant :: now",
    "SystemTime :: now",
    "socket2 ::",
];

/// Where `unsafe` may stand: at C, at the system calls, where memory is given out, and where
/// readers meet the writer.
const UNSAFE_FOLDERS: &[&str] =
    &["src/ffi/", "src/env/", "src/memory/", "src/table/index/", "src/table/sharing/"];

/// What a library that never prints, never panics on foreign bytes, reads no environment variable,
/// handles no signal and never ends its host does not say.
const NOT_IN_CODE: &[&str] = &[
    ". unwrap (",
    ". expect (",
    "todo !",
    "unimplemented !",
    "dbg !",
    "print !",
    "println !",
    "eprint !",
    "eprintln !",
    "env :: var (",
    "env :: var_os (",
    "env :: vars (",
    "process :: exit (",
    "process :: abort (",
    "libc :: signal (",
    "libc :: sigaction (",
];

const MAX_COLUMNS: usize = 100;
const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// Files by their path from the top of the tree.
type Tree = BTreeMap<String, String>;

/// The text files that the rules look at.
fn tree() -> Tree {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tree = Tree::new();
    for folder in ["src", "tests", "include", "examples-c", "benches", "fuzz", ".ci"] {
        collect(top, &top.join(folder), &mut tree);
    }
    let files =
        ["build.rs", "Makefile", "Cargo.toml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
    for file in files {
        if let Ok(text) = std::fs::read_to_string(top.join(file)) {
            tree.insert(file.to_owned(), text);
        }
    }
    tree
}

fn collect(top: &Path, folder: &Path, tree: &mut Tree) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests/corpus" && !name.ends_with("/target") {
            collect(top, &path, tree);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            tree.insert(name, text);
        }
    }
}

/// One file of `src` as the rules see it.
struct SourceFile {
    path: String,
    /// Its place in the crate, such as `["rdb", "item"]`; empty for lib.rs.
    module: Vec<String>,
    text: String,
    /// Without comments, texts and tests.
    code: String,
}

/// The files of `src` that are more than tests.
fn sources(tree: &Tree) -> Vec<SourceFile> {
    let files = tree.iter().filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs"));
    let mut only_tests = Vec::new();
    let mut sources = Vec::new();
    for (path, text) in files {
        let stem = path["src/".len()..].strip_suffix(".rs").unwrap();
        let mut module: Vec<_> = stem.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let (code, test_modules) = without_tests(&code_of(text));
        only_tests.extend(test_modules.into_iter().map(|name| {
            let mut place = module.clone();
            place.push(name);
            place
        }));
        sources.push(SourceFile { path: path.clone(), module, text: text.clone(), code });
    }
    sources.retain(|file| !only_tests.iter().any(|place| file.module.starts_with(place)));
    sources
}

fn modules_keep_to_the_table(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources(tree) {
        let Some(own) = file.module.first() else { continue };
        let row = MAY_USE.iter().find(|(name, _)| name == own);
        let Some((_, may_use)) = row else {
            complaints.push(format!("{}: module {own} has no row in the table", file.path));
            continue;
        };
        let place: Vec<_> = file.module.iter().map(String::as_str).collect();
        for mention in mentions(&file.code, &place) {
            let other = mention.path.get(1).map_or("*", String::as_str);
            if other != own && other != "error" && !may_use.contains(&other) {
                let (path, line) = (mention.path.join("::"), mention.line);
                complaints.push(format!("{}:{line}: {own} must not use {path}", file.path));
            }
        }
    }
    complaints
}

fn only_env_touches_the_world(tree: &Tree) -> Vec<String> {
    let others =
        sources(tree).into_iter().filter(|file| file.module.first().is_none_or(|m| m != "env"));
    let found = others.flat_map(|file| {
        let lines = |what: &&str| -> Vec<_> {
            let place =
                |line| format!("{}:{line}: {} is for env alone", file.path, what.replace(' ', ""));
            pattern_lines(&file.code, what).into_iter().map(place).collect()
        };
        OUTSIDE.iter().flat_map(lines).collect::<Vec<_>>()
    });
    found.collect()
}

fn files_say_why_they_exist(tree: &Tree) -> Vec<String> {
    let rust = tree.iter().filter(|(path, _)| path.ends_with(".rs"));
    let silent = rust.filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path}: does not begin with //!")).collect()
}

fn code_is_ascii(tree: &Tree) -> Vec<String> {
    let code = tree.iter().filter(|(path, _)| !path.ends_with(".md"));
    let lines =
        code.flat_map(|(path, text)| text.lines().enumerate().map(move |line| (path, line)));
    let foreign = lines.filter(|(_, (_, line))| !line.is_ascii());
    foreign.map(|(path, (n, _))| format!("{path}:{}: is not ASCII", n + 1)).collect()
}

fn lines_are_short(tree: &Tree) -> Vec<String> {
    let code = tree
        .iter()
        .filter(|(path, _)| [".rs", ".c", ".cc", ".h"].iter().any(|ending| path.ends_with(ending)));
    let lines =
        code.flat_map(|(path, text)| text.lines().enumerate().map(move |line| (path, line)));
    let long = lines.filter(|(_, (_, line))| line.chars().count() > MAX_COLUMNS);
    long.map(|(path, (n, _))| format!("{path}:{}: has more than {MAX_COLUMNS} columns", n + 1))
        .collect()
}

fn files_and_functions_are_short(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources(tree) {
        // Lines that only tests have are blank in the code and not in the text.
        let code = code_of(&file.text);
        let lines = code.lines().zip(file.code.lines());
        let of_tests = lines.filter(|(all, kept)| all != kept).count();
        let count = file.text.lines().count() - of_tests;
        if count > MAX_FILE_LINES {
            complaints.push(format!("{}: has {count} lines besides tests", file.path));
        }
        for (name, line, count) in functions(&file.code) {
            if count > MAX_FUNCTION_LINES {
                complaints.push(format!("{}:{line}: fn {name} has {count} lines", file.path));
            }
        }
    }
    complaints
}

fn code_is_a_good_guest(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources(tree) {
        for what in NOT_IN_CODE {
            for line in pattern_lines(&file.code, what) {
                complaints.push(format!("{}:{line}: {}", file.path, what.replace(' ', "")));
            }
        }
    }
    complaints
}

fn unsafe_stays_where_it_belongs(tree: &Tree) -> Vec<String> {
    let safe = |path: &str| !UNSAFE_FOLDERS.iter().any(|folder| path.starts_with(folder));
    let mut complaints = Vec::new();
    for file in sources(tree).into_iter().filter(|file| safe(&file.path)) {
        for word in ["unsafe", "unsafe_code"] {
            for line in word_lines(&file.code, word) {
                complaints.push(format!("{}:{line}: {word}", file.path));
            }
        }
    }
    complaints
}

/// The papers of a library. They belong to it from the day on which it has a header.
fn papers_agree(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let version = version_of(tree);
    let header = tree.get("include/rets.h");
    if let Some(header) = header {
        let parts = ["RETS_VERSION_MAJOR", "RETS_VERSION_MINOR", "RETS_VERSION_PATCH"];
        for (name, number) in parts.into_iter().zip(version.split('.')) {
            let defined = header.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let is_it = words.next() == Some("#define") && words.next() == Some(name);
                is_it.then(|| words.next().unwrap_or("").to_owned())
            });
            if defined.as_deref() != Some(number) {
                complaints.push(format!("include/rets.h: {name} is {defined:?}, not {number}"));
            }
        }
    }
    for paper in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        if header.is_some() && !tree.contains_key(paper) {
            complaints.push(format!("{paper}: is missing"));
        }
    }
    if let Some(text) = tree.get("CHANGELOG.md") {
        let is_entry = |line: &str| {
            let title = line.strip_prefix("## ").unwrap_or("").trim_start_matches('[');
            title
                .strip_prefix(&version)
                .is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        };
        if !text.lines().any(is_entry) {
            complaints.push(format!("CHANGELOG.md: has no entry `## {version}`"));
        }
    }
    if let Some(text) = tree.get("README.md") {
        for command in ["make demo", "make test"] {
            if !text.contains(command) {
                complaints.push(format!("README.md: does not show `{command}`"));
            }
        }
    }
    complaints
}

fn version_of(tree: &Tree) -> String {
    let lines = tree["Cargo.toml"].lines();
    let version =
        lines.filter_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).next();
    version.expect("Cargo.toml has a version").to_owned()
}

#[track_caller]
fn assert_tidy(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The name of a test, its rule, and trees that break it, each with the complaint's end.
macro_rules! rules {
    ($($rule:ident: $([$($path:literal = $text:expr),+ => $complaint:literal])+)+) => {$(
        mod $rule {
            use super::*;
            #[test]
            fn holds() { assert_tidy(super::$rule(&tree())) }
            #[test]
            fn wakes() {$({
                let tree = Tree::from([$(($path.to_owned(), $text.to_owned())),+]);
                assert_eq!(super::$rule(&tree), [$complaint]);
            })+}
        }
    )+};
}

rules! {
    modules_keep_to_the_table:
        ["src/table/mod.rs" = "use crate::link::Link;"
            => "src/table/mod.rs:1: table must not use crate::link::Link"]
        ["src/value/a.rs" = "use crate::{error::Error, text::{self, x}, value::V,\n table::{T}};"
            => "src/value/a.rs:1: value must not use crate::table::T"]
        ["src/rdb/item.rs" = "fn f() {\n super::super::command::g::<u8>() }"
            => "src/rdb/item.rs:2: rdb must not use crate::command::g"]
        ["src/resp/mod.rs" = "mod a { mod b { use super::super::X; super::super::super::value; }}"

            => "src/resp/mod.rs:1: resp must not use crate::value"]
        ["src/env.rs" = "use super::{config::C, env};"
            => "src/env.rs:1: env must not use crate::config::C"]
        ["src/link/mod.rs" = "use crate::*;" => "src/link/mod.rs:1: link must not use crate"]
        ["src/change.rs" = "pub type T = Vec<crate::ffi::S>;"
            => "src/change.rs:1: change must not use crate::ffi::S"]
        ["src/util.rs" = "" => "src/util.rs: module util has no row in the table"]
    only_env_touches_the_world:
        ["src/link/mod.rs" = "use std::net::TcpStream;"
            => "src/link/mod.rs:1: std::net is for env alone"]
        ["src/table.rs" = "\nlet t = std::time::Instant::now();"
            => "src/table.rs:2: Instant::now is for env alone"]
        ["src/replica/a.rs" = "std::thread::spawn(f);"
            => "src/replica/a.rs:1: thread::spawn is for env alone"]
    files_say_why_they_exist:
        ["tests/a.rs" = "use b;\n//! Late." => "tests/a.rs: does not begin with //!"]
    code_is_ascii:
        ["include/rets.h" = "\n/* \u{2026} */" => "include/rets.h:2: is not ASCII"]
        ["src/a.rs" = "// \u{e9}" => "src/a.rs:1: is not ASCII"]
    lines_are_short:
        ["examples-c/a.c" = "x".repeat(101) => "examples-c/a.c:1: has more than 100 columns"]
    files_and_functions_are_short:
        ["src/text.rs" = "// a\n".repeat(601) => "src/text.rs: has 601 lines besides tests"]
        ["src/text.rs" = format!("fn f(a: [u8; 2]) {{\n{}}}", "a;\n".repeat(69))
            => "src/text.rs:1: fn f has 71 lines"]
    code_is_a_good_guest:
        ["src/a.rs" = "fn f() { g()\n.unwrap() }" => "src/a.rs:2: .unwrap("]
        ["src/a.rs" = "fn f() { g().expect(\"it\") }" => "src/a.rs:1: .expect("]
        ["src/a.rs" = "fn f() { todo!() }" => "src/a.rs:1: todo!"]
        ["src/a.rs" = "fn f() { println!(\"\") }" => "src/a.rs:1: println!"]
        ["src/a.rs" = "fn f() { dbg!(1) }" => "src/a.rs:1: dbg!"]
        ["src/a.rs" = "fn f() { std::env::var(\"HOME\") }" => "src/a.rs:1: env::var("]
        ["src/env/a.rs" = "fn f() { std::process::abort() }" => "src/env/a.rs:1: process::abort("]
    unsafe_stays_where_it_belongs:
        ["src/table/mod.rs" = "fn f() { unsafe { g() } }" => "src/table/mod.rs:1: unsafe"]
        ["src/link.rs" = "#![allow(unsafe_code)]" => "src/link.rs:1: unsafe_code"]
    papers_agree:
        ["Cargo.toml" = CARGO, "CHANGELOG.md" = "## 1.2.30\n## [1.2.2]"
            => "CHANGELOG.md: has no entry `## 1.2.3`"]
        ["Cargo.toml" = CARGO, "README.md" = "`make demo`"
            => "README.md: does not show `make test`"]
        ["Cargo.toml" = CARGO, "README.md" = "`make test`"
            => "README.md: does not show `make demo`"]
        ["Cargo.toml" = CARGO, "include/rets.h" = HEADER, "README.md" = "make demo, make test",
            "ARCHITECTURE.md" = "" => "CHANGELOG.md: is missing"]
        ["Cargo.toml" = CARGO, "include/rets.h" = HEADER.replace("3", "4"),
            "CHANGELOG.md" = "## 1.2.3", "ARCHITECTURE.md" = "",
            "README.md" = "make demo, make test"
            => "include/rets.h: RETS_VERSION_PATCH is Some(\"4\"), not 3"]
}

const CARGO: &str = "[package]\nversion = \"1.2.3\"\n";
const HEADER: &str =
    "#define RETS_VERSION_MAJOR 1\n#define RETS_VERSION_MINOR 2\n#define RETS_VERSION_PATCH 3\n";

#[test]
fn what_is_allowed_wakes_no_rule() {
    let text = concat!(
        "//! Says why. crate::ffi is only mentioned, println!(), unsafe.\n",
        "use crate::error::Result;\n",
        "use crate::text::{self, printable as p};\n",
        "use super::list::List;\n",
        "/* unsafe /* nested */ todo!() */\n",
        "fn f<'a>(a: &'a str) -> char { let _ = ('\"', '\\'', b'\\n', b\"unsafe\"); 'x' }\n",
        "const R: &str = r#\"crate::table \" unsafe\"#;\n",
        "const S: &str = \"\\\"crate::link::X.unwrap()\";\n",
        "fn unwrap_or(x: Option<u8>) -> u8 { x.unwrap_or(0) }\n",
        "#[cfg(test)]\nuse crate::table::Table;\n",
        "#[cfg(test)]\n#[path = \"a.rs\"]\nmod cases;\n",
        "#[cfg(test)]\nmod tests {\n fn g() { crate::ffi::h().unwrap(); }\n}\n",
    );
    let tree = Tree::from([
        ("src/value/set.rs".to_owned(), text.to_owned()),
        ("src/value/set/cases.rs".to_owned(), "//! Tests.\nuse crate::ffi::S;".to_owned()),
        ("src/ffi/mod.rs".to_owned(), "//! C.\nuse crate::replica::R; unsafe fn f() {}".to_owned()),
        ("src/lib.rs".to_owned(), "//! All.\npub mod value; pub use crate::ffi::f;".to_owned()),
        ("Cargo.toml".to_owned(), CARGO.to_owned()),
    ]);
    for rule in [
        modules_keep_to_the_table,
        only_env_touches_the_world,
        files_say_why_they_exist,
        code_is_ascii,
        lines_are_short,
        files_and_functions_are_short,
        code_is_a_good_guest,
        unsafe_stays_where_it_belongs,
        papers_agree,
    ] {
        assert_tidy(rule(&tree));
    }
}

#[test]
fn the_table_of_modules_has_no_circle() {
    let below = |name: &str| MAY_USE.iter().find(|(n, _)| *n == name).unwrap().1;
    for (name, _) in MAY_USE {
        let mut reached: Vec<&str> = below(name).to_vec();
        let mut at = 0;
        while at < reached.len() {
            for other in below(reached[at]) {
                if !reached.contains(other) {
                    reached.push(other);
                }
            }
            at += 1;
        }
        assert!(!reached.contains(name), "{name} reaches itself");
    }
}
