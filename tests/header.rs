//! Keeps `include/rets.h` what it says it is: generated from `src/ffi/`, self-contained, and
//! exactly what the library exports. `RETS_BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cc;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of `src/ffi/` in the order of its `mod` lines, which is the order of the header.
fn sources() -> Vec<PathBuf> {
    let folder = root().join("src/ffi");
    let map = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let names = map.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    names.filter(|name| *name != "tests").map(|name| folder.join(format!("{name}.rs"))).collect()
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources() {
        builder = builder.with_src(source);
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    tidy(&String::from_utf8(text).unwrap())
}

/// Gives a comment of one line one line, and two empty lines one.
fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let mut tidy = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let short = line.trim_start() == "/**"
            && lines.get(at + 2).is_some_and(|end| end.trim_start() == "*/");
        if short {
            let (indent, said) = (line.trim_end_matches("/**"), lines[at + 1].trim_start());
            tidy.push(format!("{indent}/** {} */", said.trim_start_matches("* ")));
            at += 3;
            continue;
        }
        if !(line.is_empty() && tidy.last().is_none_or(String::is_empty)) {
            tidy.push(line.to_owned());
        }
        at += 1;
    }
    tidy.join("\n") + "\n"
}

fn header() -> String {
    fs::read_to_string(cc::header_path()).unwrap()
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = generated();
    if std::env::var_os("RETS_BLESS").is_some() {
        // In one step: other tests read it meanwhile.
        let new = cc::header_path().with_extension("new");
        fs::write(&new, &generated).unwrap();
        fs::rename(new, cc::header_path()).unwrap();
    }
    let committed = header();
    let differs = generated.lines().zip(committed.lines()).find(|(new, old)| new != old);
    assert!(
        generated == committed,
        "include/rets.h is not current; RETS_BLESS=1 cargo test --test header writes it. \
         First difference: {differs:?}"
    );
}

#[test]
fn the_header_compiles_alone_and_twice_as_c_and_as_cxx() {
    let folder = tempfile::tempdir().unwrap();
    for (compiler, standards, file) in [
        ("gcc", ["c99", "c11", "c17"], "alone.c"),
        ("g++", ["c++11", "c++17", "c++20"], "alone.cc"),
    ] {
        let source = folder.path().join(file);
        fs::write(
            &source,
            "#include <rets.h>\n#include <rets.h>\nint main(void) { return RETS_OK; }\n",
        )
        .unwrap();
        for standard in standards {
            let mut compile = Command::new(compiler);
            compile.arg(format!("-std={standard}")).args(cc::WARNINGS).arg("-fsyntax-only");
            compile.arg("-I").arg(root().join("include")).arg(&source);
            let output = compile.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{compiler} -std={standard}: {said}");
        }
    }
}

#[test]
fn the_library_exports_the_functions_of_the_header_and_nothing_else() {
    let output =
        Command::new("nm").args(["-D", "--defined-only"]).arg(cc::library()).output().unwrap();
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<String> = listing
        .lines()
        .filter_map(|line| Some(line.split_whitespace().nth(2)?.to_owned()))
        .collect();
    let declared: BTreeSet<String> =
        cc::functions(&header()).into_iter().map(|function| function.name).collect();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn the_library_has_a_soname_with_the_abi_number_and_stays_loaded() {
    let output = Command::new("readelf").arg("-dW").arg(cc::library()).output().unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.contains("Library soname: [librets.so.0]"), "{listing}");
    assert!(listing.contains("NODELETE"), "{listing}");
    assert!(!listing.contains("STATIC_TLS"), "{listing}");
}

#[test]
fn every_function_tells_its_threads_and_since_when_and_every_status_by_name() {
    let header = header();
    let comments = cc::comments(&header);
    for function in cc::functions(&header) {
        let comment = &comments[&function.name];
        for wanted in ["Threads: ", "Since: 0.1"] {
            assert!(comment.contains(wanted), "{}: no \"{wanted}\"", function.name);
        }
        if function.returns == "rets_status" {
            for wanted in ["@return RETS_OK", "RETS_PANIC"] {
                assert!(comment.contains(wanted), "{}: no \"{wanted}\"", function.name);
            }
        }
        if function.params.iter().any(|param| param.ends_with("rets_t *r"))
            && function.returns == "rets_status"
        {
            assert!(comment.contains("RETS_FORKED"), "{}: no RETS_FORKED", function.name);
        }
        for param in &function.params {
            let name = param.rsplit([' ', '*']).next().unwrap();
            let told = comment.lines().any(|line| {
                line.contains("@param") && line.split_whitespace().any(|word| word == name)
            });
            assert!(told, "{}: parameter {name} is not in its comment", function.name);
        }
    }
}

#[test]
fn the_version_is_the_same_everywhere() {
    let header = header();
    let version = env!("CARGO_PKG_VERSION");
    assert!(header.contains(&format!("#define RETS_VERSION \"{version}\"")));
    let parts = ["MAJOR", "MINOR", "PATCH"];
    for (part, number) in parts.into_iter().zip(version.split('.')) {
        assert!(header.contains(&format!("#define RETS_VERSION_{part} {number}\n")));
    }
}

#[test]
fn the_table_of_options_is_the_one_of_the_code() {
    let header = header();
    let comment = &cc::comments(&header)["rets_set_option"];
    let told: Vec<&str> = comment
        .lines()
        .skip_while(|line| !line.contains("what is allowed. What it does"))
        .skip(1)
        .take_while(|line| line.trim_end() != " *")
        .flat_map(|line| line.trim_start_matches([' ', '*']).split_whitespace())
        .collect();
    let wanted: Vec<String> = rets::config::Config::OPTIONS
        .iter()
        .map(|option| {
            let star = if option.hot { "*" } else { "" };
            let default = if option.default.is_empty() { "none" } else { option.default };
            let unit = if option.unit == "ms" { " ms" } else { "" };
            let (name, range, doc) = (option.name, option.range, option.doc);
            format!("{name}{star} ({default}) {range}{unit}. {doc}")
        })
        .collect();
    let told = told.join(" ");
    let wanted = wanted.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told, wanted);
}
