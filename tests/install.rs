//! What `make install` leaves is what a C program needs: a library under its ABI number, a header,
//! and a `rets.pc` with which it builds, shared and static, without knowing where things lie.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{repository, target_dir};

/// Asks the library for something, so that the linker has to find it.
const PROGRAM: &str = r#"
#include <rets.h>
#include <stdio.h>
int main(void) {
    rets_free(NULL);
    printf("%s\n", rets_strerror(RETS_OK));
    return 0;
}
"#;

/// Where a package's maintainer would have it go.
const PREFIX: &str = "/opt/rets";
const LIBDIR: &str = "/opt/rets/lib/machine";

struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let release = target_dir().join("release");
        assert!(release.join("librets.so").is_file(), "run `make`: there is no librets.so");
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("make")
            .args(["--no-print-directory", "install"])
            .arg(format!("PREFIX={PREFIX}"))
            .arg(format!("LIBDIR={LIBDIR}"))
            .arg(format!("DESTDIR={}", folder.path().display())));
        Self { folder }
    }

    /// A file of the installed tree by the name it is to have in the end.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.trim_start_matches('/'))
    }

    /// What pkg-config answers for the tree as it lies in its folder.
    fn flags(&self, args: &[&str]) -> Vec<String> {
        let answer = run(Command::new("pkg-config")
            .args(args)
            .arg("rets")
            .env("PKG_CONFIG_SYSROOT_DIR", self.folder.path())
            .env("PKG_CONFIG_LIBDIR", self.file(LIBDIR).join("pkgconfig")));
        answer.split_whitespace().map(str::to_owned).collect()
    }

    /// Builds the program with these flags behind it.
    fn build(&self, name: &str, flags: &[String]) -> PathBuf {
        let source = self.file("program.c");
        std::fs::write(&source, PROGRAM).unwrap();
        let program = self.file(name);
        run(Command::new("cc").arg("-o").arg(&program).arg(&source).args(flags));
        program
    }
}

/// Runs a command to its end and returns what it said; fails the test when it fails.
#[track_caller]
fn run(command: &mut Command) -> String {
    // Flags of a make around the tests are not meant for a make within them.
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        command.env_remove(name);
    }
    let output = command.current_dir(repository()).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}; `make test` installs it"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

fn link_of(path: &Path) -> String {
    std::fs::read_link(path).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn an_installed_tree_has_what_a_program_needs() {
    let tree = Installed::new();
    let version = env!("CARGO_PKG_VERSION");
    let abi = env!("RETS_ABI");
    let library = |name: &str| tree.file(LIBDIR).join(name);

    assert!(library(&format!("librets.so.{version}")).is_file());
    assert_eq!(link_of(&library(&format!("librets.so.{abi}"))), format!("librets.so.{version}"));
    assert_eq!(link_of(&library("librets.so")), format!("librets.so.{abi}"));
    assert!(library("librets.a").is_file());
    let header = std::fs::read(tree.file(PREFIX).join("include/rets.h")).unwrap();
    assert_eq!(header, std::fs::read(repository().join("include/rets.h")).unwrap());
    assert_eq!(tree.flags(&["--modversion"]), [version]);

    // The loader asks for the number, not for the version.
    let dynamic = run(Command::new("readelf").arg("-d").arg(library("librets.so")));
    assert!(dynamic.contains(&format!("[librets.so.{abi}]")), "{dynamic}");

    // Nothing of the folder it was made in may be left in what others read.
    let settings = std::fs::read_to_string(library("pkgconfig/rets.pc")).unwrap();
    assert!(settings.starts_with(&format!("prefix={PREFIX}\n")), "{settings}");
    assert!(settings.contains("libdir=${prefix}/lib/machine\n"), "{settings}");
}

#[test]
fn a_program_builds_and_runs_through_pkg_config() {
    let tree = Installed::new();

    let shared = tree.build("shared", &tree.flags(&["--cflags", "--libs"]));
    let needs = run(Command::new("readelf").arg("-d").arg(&shared));
    assert!(needs.contains(concat!("[librets.so.", env!("RETS_ABI"), "]")), "{needs}");
    let said = run(Command::new(&shared).env("LD_LIBRARY_PATH", tree.file(LIBDIR)));
    assert!(said.len() > 1, "a status has a text");

    // A program that carries the library with it, and needs nothing of it at run time: as the
    // README has it, and as build systems do it.
    let mut by_path = tree.flags(&["--cflags"]);
    by_path.push(tree.file(LIBDIR).join("librets.a").to_str().unwrap().to_owned());
    by_path.extend(tree.flags(&["--variable=static_libs"]));
    let mut by_name = tree.flags(&["--cflags", "--libs", "--static"]);
    let ours = by_name.iter().position(|flag| flag == "-lrets").expect("-lrets");
    by_name.splice(ours..=ours, ["-Wl,-Bstatic", "-lrets", "-Wl,-Bdynamic"].map(str::to_owned));
    for flags in [by_path, by_name] {
        let carries = tree.build("carries", &flags);
        let needs = run(Command::new("readelf").arg("-d").arg(&carries));
        assert!(!needs.contains("librets"), "{needs}");
        assert_eq!(run(&mut Command::new(&carries)), said);
    }
}
