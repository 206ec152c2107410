//! C and C++ programs against the built library. Those that need no server are run here, plainly
//! and under valgrind; the ones called `live_*` are compiled here and run where servers are.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cc;

use std::fs;
use std::path::PathBuf;

fn compiled(folder: &tempfile::TempDir, source: &str) -> PathBuf {
    let binary = folder.path().join(source.replace('.', "_"));
    cc::compile(&cc::root().join("tests/c").join(source), &binary);
    binary
}

fn runs(source: &str, args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let binary = compiled(&folder, source);
    cc::expect_success(source, &cc::run(&binary, args));
    cc::expect_success(&format!("{source} under valgrind"), &cc::run_checked(&binary, args));
}

#[test]
fn a_handle_lives_and_ends_without_ever_being_started() {
    runs("life.c", &[]);
}

#[test]
fn to_stop_waits_for_one_call_and_is_final() {
    runs("stopped.c", &[]);
}

#[test]
fn a_forked_child_is_told_so_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let binary = compiled(&folder, "forked.c");
    cc::expect_success("forked.c", &cc::run(&binary, &[]));
    let output = cc::run_checked_but_leaks(&binary, &[]);
    cc::expect_success("forked.c under valgrind", &output);
}

#[test]
fn the_surface_works_from_cxx_and_many_threads() {
    runs("surface.cc", &[]);
}

#[test]
fn a_library_that_was_closed_does_not_crash_threads_that_used_it() {
    let library = cc::library();
    runs("unloaded.c", &[library.to_str().unwrap()]);
}

#[test]
fn the_live_programs_compile() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(cc::root().join("tests/c")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("live_") {
            compiled(&folder, &name);
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen}");
}
