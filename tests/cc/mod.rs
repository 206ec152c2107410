//! What the tests of the C surface share: the library under test, the header read as data, C
//! compilers and valgrind.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What C programs of these tests are compiled with.
pub(crate) const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn header_path() -> PathBuf {
    root().join("include/rets.h")
}

/// The folder that cargo built `librets.so` in, with the link that the loader asks for.
pub(crate) fn library_folder() -> PathBuf {
    // What `cargo test` builds stays beside this program; one folder up may lie an older one.
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let link = folder.join("librets.so.0");
    if fs::symlink_metadata(&link).is_err() {
        // Another test program may have been quicker.
        let _ = std::os::unix::fs::symlink("librets.so", &link);
    }
    folder
}

pub(crate) fn library() -> PathBuf {
    library_folder().join("librets.so")
}

/// A function as the header declares it.
#[derive(Debug)]
pub(crate) struct Function {
    /// Where in the header it is declared.
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) returns: String,
    /// As written, `const void *key`; none for `void`.
    pub(crate) params: Vec<String>,
}

/// All functions of the header in its order.
pub(crate) fn functions(header: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in header.match_indices("RETS_API") {
        if at > 0 && !header[..at].ends_with('\n') {
            continue;
        }
        let text = header[at..].split(';').next().unwrap().replace("RETS_API", "");
        let text = text.replace("RETS_MUST_USE", "");
        let (head, params) = text.split_once('(').unwrap();
        let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut = head.rfind([' ', '*']).unwrap() + 1;
        let params = params.rsplit_once(')').unwrap().0;
        let params = params.split(',').map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
        found.push(Function {
            at,
            name: head[cut..].to_owned(),
            returns: head[..cut].trim().to_owned(),
            params: params.filter(|param| param != "void").collect(),
        });
    }
    found
}

/// The comment before each function.
pub(crate) fn comments(header: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for function in functions(header) {
        let before = &header[..function.at];
        let comment = &before[before.rfind("/**").unwrap()..];
        assert_eq!(comment.split_once("*/").unwrap().1.trim(), "", "{}", function.name);
        all.insert(function.name, comment.to_owned());
    }
    all
}

/// Compiles one C or C++ file against the header and links it with the library.
pub(crate) fn compile(source: &Path, out: &Path) {
    let cxx = source.extension().is_some_and(|ext| ext == "cc");
    let (compiler, standard) = if cxx { ("g++", "-std=c++11") } else { ("gcc", "-std=c99") };
    let output = Command::new(compiler)
        .args([standard, "-g", "-D_POSIX_C_SOURCE=200809L"])
        .args(WARNINGS)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-I")
        .arg(root().join("tests/c"))
        .arg(source)
        .arg("-o")
        .arg(out)
        .arg("-L")
        .arg(library_folder())
        .args(["-lrets", "-lpthread"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", source.display());
}

/// Runs a compiled program as it is.
pub(crate) fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).env("LD_LIBRARY_PATH", library_folder()).output().unwrap()
}

/// Runs a compiled program under valgrind: a wrong access or a lost block is a failure.
pub(crate) fn run_checked(program: &Path, args: &[&str]) -> Output {
    valgrind(program, args, "full")
}

/// The same for programs that may lose blocks: a forked child can't free what the engine's threads,
/// which it does not have, may have locked.
pub(crate) fn run_checked_but_leaks(program: &Path, args: &[&str]) -> Output {
    valgrind(program, args, "no")
}

fn valgrind(program: &Path, args: &[&str], leaks: &str) -> Output {
    Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=99", "--fair-sched=yes"])
        .arg(format!("--leak-check={leaks}"))
        .args(["--show-leak-kinds=definite,possible", "--errors-for-leak-kinds=definite,possible"])
        .arg(program)
        .args(args)
        .env("LD_LIBRARY_PATH", library_folder())
        .output()
        .unwrap()
}

/// Fails with everything that a program said, unless it ended well.
pub(crate) fn expect_success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The name in a parameter's declaration.
pub(crate) fn name(param: &str) -> &str {
    let name = param.rsplit([' ', '*']).next().unwrap();
    name.split('[').next().unwrap()
}
