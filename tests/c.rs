//! C and C++ programs against the built library. Those that need no server are run plainly and
//! under valgrind, the ones called `live_*` on real servers.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cc;
mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use support::server::ClosedPort;
use support::{Server, Which, on_each_server};

on_each_server!(
    every_kind_of_lookup_answers_from_a_live_primary,
    a_callback_sees_a_live_primary_and_may_skip,
    changes_are_told_after_the_fact_to_whoever_polls,
    lookups_make_no_system_call,
    handles_live_side_by_side_and_leave_what_is_the_programs_own,
    a_child_leaves_a_busy_engine_alone_and_has_one_of_its_own,
    the_papers_programs_do_what_they_say,
);

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
    let (header, source) = (cc::header_path(), cc::root().join("tests/c/forked.c"));
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let (header, source) = (read(header), read(source));
    for cc::Function { name, params, .. } in cc::functions(&header) {
        let asks = params.iter().any(|param| param.contains("rets_t *r") && !param.contains("**"));
        assert!(!asks || source.contains(&format!("{name}(r")), "{name} is not asked in a child");
    }
}

fn a_child_leaves_a_busy_engine_alone_and_has_one_of_its_own(which: Which) {
    runs_on(which, "live_forks.c");
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

fn runs_on(which: Which, source: &str) {
    let server = Server::start(which);
    let folder = tempfile::tempdir().unwrap();
    let binary = compiled(&folder, source);
    cc::expect_success(source, &cc::run(&binary, &[&server.url()]));
}

fn every_kind_of_lookup_answers_from_a_live_primary(which: Which) {
    runs_on(which, "live_lookups.c");
}

fn a_callback_sees_a_live_primary_and_may_skip(which: Which) {
    runs_on(which, "live_events.c");
}

fn changes_are_told_after_the_fact_to_whoever_polls(which: Which) {
    runs_on(which, "live_queue.c");
}

fn lookups_make_no_system_call(which: Which) {
    runs_on(which, "live_quiet.c");
}

fn handles_live_side_by_side_and_leave_what_is_the_programs_own(which: Which) {
    runs_on(which, "live_handles.c");
}

/// The program of the README, and that of the header's essay, as C and as C++.
fn the_papers_programs_do_what_they_say(which: Which) {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let readme = read(cc::root().join("README.md"));
    let readme = readme.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let header = read(cc::header_path());
    let essay = header.lines().skip_while(|line| !line.ends_with("#include <rets.h>"));
    let essay = essay.map_while(|line| line.strip_prefix(" *"));
    let essay = essay.take_while(|line| line.is_empty() || line.starts_with("     "));
    let essay = essay.collect::<Vec<_>>().join("\n");
    let server = Server::start(which);
    server.client().accepted(&["SET", "greeting", "hello"]);
    let folder = tempfile::tempdir().unwrap();
    for (program, name) in [(readme, "readme"), (&essay, "essay")] {
        assert!(program.contains("int main(void)"), "{program}");
        let program = program.replace("redis://127.0.0.1:6379", &server.url());
        for ending in ["c", "cc"] {
            let binary = folder.path().join(format!("{name}-{ending}"));
            let source = binary.with_extension(ending);
            std::fs::write(&source, &program).unwrap();
            cc::compile(&source, &binary);
            let output = cc::run(&binary, &[]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(output.stdout, b"hello\n");
        }
    }
}

#[test]
fn an_exception_that_leaves_a_callback_ends_the_process_with_a_message() {
    let server = Server::start(Which::chosen()[0]);
    server.client().accepted(&["SET", "a", "1"]);
    let folder = tempfile::tempdir().unwrap();
    let binary = compiled(&folder, "live_throw.cc");
    let output = cc::run(&binary, &[&server.url()]);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    assert_eq!(output.stdout, b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("exception"), "{output:?}");
}

#[test]
fn a_primary_that_is_not_there_is_waited_for_and_given_up_when_told() {
    let nobody = ClosedPort::new();
    runs("unreachable.c", &[&nobody.url()]);
}
