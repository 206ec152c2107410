//! NULL and nonsense for every parameter of every function. The table below has a row for each
//! parameter of each function of the header; a function or parameter without one fails here.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cc;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

/// A function, and for each of its parameters what is handed in instead of something sensible and
/// what must come out of it. `void` and values that can't be wrong say what they give instead.
type Row = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const INVALID: &str = "RETS_INVALID";
const UNSUPPORTED: &str = "RETS_UNSUPPORTED";
/// The argument is allowed, so the answer is the handle's: nothing was loaded yet.
const NOT_READY: &str = "RETS_NOT_READY";
const WRONG_TYPE: &str = "RETS_WRONG_TYPE";
const OK: &str = "RETS_OK";
/// The function answers nothing; it must come back.
const RETURNS: &str = "";

const R: (&str, &str, &str) = ("r", "NULL", INVALID);
const DB: (&str, &str, &str) = ("db", "-1", INVALID);
const DB_MIN: (&str, &str, &str) = ("db", "INT32_MIN", INVALID);
const KEY: (&str, &str, &str) = ("key", "NULL", INVALID);
const KEY_LEN: (&str, &str, &str) = ("key_len", "SIZE_MAX", INVALID);
const NO_KEY_LEN: (&str, &str, &str) = ("key_len", "0", NOT_READY);
const BUF: (&str, &str, &str) = ("buf", "NULL", INVALID);
const BUF_LEN: (&str, &str, &str) = ("buf_len", "SIZE_MAX", INVALID);
const NO_BUF_LEN: (&str, &str, &str) = ("buf_len", "0", NOT_READY);
const LEN: (&str, &str, &str) = ("len", "NULL", INVALID);
const FIELD: (&str, &str, &str) = ("field", "NULL", INVALID);
const FIELD_LEN: (&str, &str, &str) = ("field_len", "SIZE_MAX", INVALID);
const MEMBER: (&str, &str, &str) = ("member", "NULL", INVALID);
const MEMBER_LEN: (&str, &str, &str) = ("member_len", "SIZE_MAX", INVALID);
const AT_MS: (&str, &str, &str) = ("at_ms", "NULL", INVALID);
const FLAGS: (&str, &str, &str) = ("flags", "2", UNSUPPORTED);
const FLAGS_ALL: (&str, &str, &str) = ("flags", "UINT32_MAX", UNSUPPORTED);
const TIMEOUT_MS: (&str, &str, &str) = ("timeout_ms", "-2", INVALID);
const TIMEOUT_MIN: (&str, &str, &str) = ("timeout_ms", "INT64_MIN", INVALID);
const USER: (&str, &str, &str) = ("user", "NULL", OK);
const V: (&str, &str, &str) = ("v", "NULL", INVALID);
const FN: (&str, &str, &str) = ("fn", "NULL", OK);

const TABLE: &[Row] = &[
    ("rets_strerror", &[("status", "12345", RETURNS), ("status", "INT_MIN", RETURNS)]),
    ("rets_last_error", &[]),
    ("rets_version", &[]),
    (
        "rets_new",
        &[
            ("url", "NULL", INVALID),
            ("url", "\"\"", INVALID),
            ("url", "\"redis://\\xff\\xfe\"", INVALID),
            ("url", "\"redis://host:99999\"", INVALID),
            ("url", "\"rediss://host\"", UNSUPPORTED),
            ("out", "NULL", INVALID),
        ],
    ),
    ("rets_start", &[R]),
    ("rets_wait_ready", &[R, TIMEOUT_MS, TIMEOUT_MIN]),
    ("rets_stop", &[R, TIMEOUT_MS, TIMEOUT_MIN]),
    ("rets_free", &[("r", "NULL", RETURNS)]),
    (
        "rets_set_option",
        &[
            R,
            ("name", "NULL", INVALID),
            ("name", "\"no-such-option\"", INVALID),
            ("value", "NULL", INVALID),
            ("value", "\"nonsense\"", INVALID),
            ("value", "\"\\xff\"", INVALID),
        ],
    ),
    (
        "rets_option",
        &[
            R,
            ("name", "NULL", INVALID),
            ("name", "\"no-such-option\"", INVALID),
            BUF,
            BUF_LEN,
            ("buf_len", "0", "RETS_TOO_SMALL"),
            LEN,
        ],
    ),
    ("rets_set_callback", &[R, FN, USER]),
    ("rets_get", &[R, DB, DB_MIN, KEY, KEY_LEN, NO_KEY_LEN, BUF, BUF_LEN, NO_BUF_LEN, LEN]),
    (
        "rets_get_if_changed",
        &[R, DB, KEY, KEY_LEN, ("version", "NULL", INVALID), BUF, BUF_LEN, NO_BUF_LEN, LEN],
    ),
    (
        "rets_get_many",
        &[
            R,
            ("items", "NULL", INVALID),
            ("n", "SIZE_MAX", INVALID),
            ("n", "0", NOT_READY),
            ("offset", "NULL", NOT_READY),
        ],
    ),
    ("rets_hget", &[R, DB, KEY, KEY_LEN, FIELD, FIELD_LEN, BUF, BUF_LEN, LEN]),
    ("rets_exists", &[R, DB, DB_MIN, KEY, KEY_LEN, NO_KEY_LEN]),
    ("rets_type", &[R, DB, KEY, KEY_LEN, ("type", "NULL", INVALID)]),
    ("rets_expires_at", &[R, DB, KEY, KEY_LEN, AT_MS]),
    ("rets_hexpires_at", &[R, DB, KEY, KEY_LEN, FIELD, FIELD_LEN, AT_MS]),
    ("rets_len", &[R, DB, KEY, KEY_LEN, LEN]),
    ("rets_lindex", &[R, DB, KEY, KEY_LEN, ("index", "INT64_MIN", NOT_READY), BUF, BUF_LEN, LEN]),
    ("rets_sismember", &[R, DB, KEY, KEY_LEN, MEMBER, MEMBER_LEN]),
    ("rets_zscore", &[R, DB, KEY, KEY_LEN, MEMBER, MEMBER_LEN, ("score", "NULL", INVALID)]),
    ("rets_value_new", &[("out", "NULL", INVALID)]),
    ("rets_value_free", &[("v", "NULL", RETURNS)]),
    ("rets_read", &[R, DB, KEY, KEY_LEN, FLAGS, FLAGS_ALL, ("v", "NULL", INVALID)]),
    ("rets_value_type", &[("v", "NULL", "RETS_TYPE_NONE")]),
    ("rets_value_len", &[("v", "NULL", "0")]),
    (
        "rets_value_at",
        &[("v", "NULL", INVALID), ("index", "SIZE_MAX", "RETS_NOT_FOUND"), ("e", "NULL", INVALID)],
    ),
    ("rets_value_expires_at", &[("v", "NULL", "-1")]),
    (
        // A value without a stream: wrong for every place that is asked for.
        "rets_value_stream",
        &[
            V,
            ("v", "v", WRONG_TYPE),
            ("stream", "NULL", INVALID),
            ("stream", "(rets_stream *)tiny", INVALID),
            ("stream", "(rets_stream *)huge", INVALID),
        ],
    ),
    (
        "rets_value_group_at",
        &[
            V,
            ("index", "SIZE_MAX", WRONG_TYPE),
            ("group", "NULL", INVALID),
            ("group", "(rets_group *)tiny", INVALID),
        ],
    ),
    (
        "rets_value_consumer_at",
        &[
            V,
            ("group", "SIZE_MAX", WRONG_TYPE),
            ("index", "SIZE_MAX", WRONG_TYPE),
            ("consumer", "NULL", INVALID),
            ("consumer", "(rets_consumer *)tiny", INVALID),
        ],
    ),
    (
        "rets_value_pending_at",
        &[
            V,
            ("group", "SIZE_MAX", WRONG_TYPE),
            ("index", "SIZE_MAX", WRONG_TYPE),
            ("pending", "NULL", INVALID),
            ("pending", "(rets_pending *)tiny", INVALID),
        ],
    ),
    (
        "rets_cursor_new",
        &[
            R,
            ("db", "-2", INVALID),
            DB_MIN,
            ("db", "-1", NOT_READY),
            FLAGS,
            FLAGS_ALL,
            ("out", "NULL", INVALID),
        ],
    ),
    (
        // A cursor needs a loaded table; here only the handle can be wrong, and then it is what is
        // refused, whatever the rest.
        "rets_cursor_next",
        &[
            ("c", "NULL", INVALID),
            ("db", "NULL", INVALID),
            ("key", "NULL", INVALID),
            ("key_len", "NULL", INVALID),
        ],
    ),
    ("rets_cursor_free", &[("c", "NULL", RETURNS)]),
    ("rets_info", &[R, ("info", "NULL", INVALID)]),
    ("rets_set_state_callback", &[R, FN, USER]),
    ("rets_count", &[R, ("db", "-2", INVALID), DB_MIN, ("count", "NULL", INVALID)]),
    (
        "rets_wait_offset",
        &[
            R,
            ("replid", "\"\"", INVALID),
            ("replid", "\"not forty hexadecimal digits\"", INVALID),
            ("offset", "-1", INVALID),
            ("offset", "INT64_MIN", INVALID),
            TIMEOUT_MS,
        ],
    ),
    (
        "rets_digest",
        &[
            R,
            ("hex", "NULL", INVALID),
            ("replid", "NULL", NOT_READY),
            ("offset", "NULL", NOT_READY),
        ],
    ),
    ("rets_key_digest", &[R, DB, DB_MIN, KEY, KEY_LEN, NO_KEY_LEN, ("hex", "NULL", INVALID)]),
    (
        "rets_set_log",
        &[
            FN,
            USER,
            ("level", "0", INVALID),
            ("level", "99", INVALID),
            ("level", "INT_MIN", INVALID),
        ],
    ),
];

/// A sensible argument for a parameter.
fn sensible(function: &str, param: &str, name: &str) -> &'static str {
    match (function, name) {
        (_, "r") => "r",
        ("rets_new", "out") => "&fresh",
        ("rets_value_new", "out") => "&fresh_value",
        ("rets_cursor_new", "out") => "&cursor",
        ("rets_set_callback", "fn") => "on_change",
        ("rets_set_state_callback", "fn") => "on_state",
        ("rets_set_log", "fn") => "on_log",
        ("rets_cursor_next", "db") => "&number",
        ("rets_cursor_next", "key") => "&data",
        ("rets_cursor_next", "key_len") => "&len",
        ("rets_wait_offset", "offset") => "0",
        ("rets_wait_offset", "replid") => "\"0123456789012345678901234567890123456789\"",
        (_, "c") => "cursor",
        (_, "v") => "v",
        (_, "stream") => "&stream",
        ("rets_value_group_at", "group") => "&group",
        (_, "group") => "0",
        (_, "consumer") => "&consumer",
        (_, "pending") => "&pending",
        (_, "e") => "&element",
        (_, "url") => "\"redis://127.0.0.1:1\"",
        (_, "name") => "\"store\"",
        (_, "value") => "\"all\"",
        (_, "user") => "&len",
        (_, "key" | "field" | "member") => "\"abc\"",
        (_, "key_len" | "field_len" | "member_len") => "3",
        (_, "db" | "index" | "timeout_ms" | "flags" | "status") => "0",
        (_, "level") => "RETS_LOG_ERROR",
        (_, "buf") => "buf",
        (_, "buf_len") => "sizeof buf",
        (_, "len") => "&len",
        (_, "version") => "&version",
        (_, "items") => "items",
        (_, "n") => "1",
        (_, "offset" | "at_ms") => "&at",
        (_, "type") => "&type",
        (_, "score") => "&score",
        (_, "info") => "&info",
        (_, "count") => "&version",
        (_, "hex" | "replid") => "hex",
        _ => panic!("{function}: what is a sensible \"{param}\"?"),
    }
}

const PROLOGUE: &str = r#"
#include <rets.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int failed, asked;

static void expect(const char *call, int got, int wanted) {
    asked++;
    if (got != wanted) {
        failed++;
        printf("%s is %d and should be %d\n", call, got, wanted);
    }
}

static int on_change(void *user, const rets_event *e) { (void)user; (void)e; return RETS_KEEP; }
static void on_state(void *user, const rets_info_t *i) { (void)user; (void)i; }
static void on_log(void *user, int level, const char *text, size_t len) {
    (void)user; (void)level; (void)text; (void)len;
}

int main(void) {
    rets_t *r = NULL, *fresh = NULL;
    rets_value *v = NULL, *fresh_value = NULL;
    rets_cursor *cursor = NULL;
    rets_element element;
    rets_stream stream;
    rets_group group;
    rets_consumer consumer;
    rets_pending pending;
    size_t tiny[1] = {8}, huge[1] = {SIZE_MAX};
    rets_info_t info;
    rets_item items[1];
    rets_type_id type = RETS_TYPE_NONE;
    char buf[64], hex[41];
    const void *data = NULL;
    size_t len = 0;
    uint64_t version = 0;
    int64_t at = 0;
    int32_t number = 0;
    double score = 0;
    memset(items, 0, sizeof items);
    info.struct_size = sizeof info;
    stream.struct_size = sizeof stream;
    group.struct_size = sizeof group;
    consumer.struct_size = sizeof consumer;
    pending.struct_size = sizeof pending;
    if (rets_new("redis://127.0.0.1:1", &r) != RETS_OK || rets_value_new(&v) != RETS_OK) return 1;
    (void)element; (void)hex; (void)data; (void)number; (void)type; (void)score; (void)at;
"#;

const EPILOGUE: &str = r#"
    rets_value_free(v);
    rets_value_free(fresh_value);
    rets_cursor_free(cursor);
    rets_free(fresh);
    rets_free(r);
    printf("%d calls, %d failed\n", asked, failed);
    return failed != 0;
}
"#;

fn program(functions: &[cc::Function]) -> String {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let mut source = String::from(PROLOGUE);
    for function in functions {
        for (wrong, nonsense, wanted) in table[&*function.name] {
            let mut arguments = Vec::new();
            for param in &function.params {
                let name = cc::name(param);
                let sensible = sensible(&function.name, param, name);
                arguments.push(if name == *wrong { nonsense } else { sensible });
            }
            let call = format!("{}({})", function.name, arguments.join(", "));
            let shown = call.replace('\\', "\\\\").replace('"', "\\\"");
            let line = match *wanted {
                RETURNS if function.returns == "void" => format!("    {call};"),
                RETURNS => format!("    if ({call} == NULL) expect(\"{shown}\", 0, 1);"),
                wanted => format!("    expect(\"{shown}\", (int){call}, (int){wanted});"),
            };
            writeln!(source, "{line}").unwrap();
        }
    }
    source + EPILOGUE
}

#[test]
fn the_table_has_a_row_for_every_parameter_of_every_function() {
    let header = fs::read_to_string(cc::header_path()).unwrap();
    let functions = cc::functions(&header);
    let declared: BTreeSet<_> = functions.iter().map(|function| &*function.name).collect();
    let rows: BTreeSet<_> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(declared, rows);
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    for function in &functions {
        let params: BTreeSet<_> = function.params.iter().map(|param| cc::name(param)).collect();
        let tried: BTreeSet<_> = table[&*function.name].iter().map(|(param, ..)| *param).collect();
        assert_eq!(params, tried, "{}", function.name);
    }
}

#[test]
fn null_and_nonsense_are_answered_and_nothing_is_touched() {
    let header = fs::read_to_string(cc::header_path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("misuse.c");
    let binary = folder.path().join("misuse");
    fs::write(&source, program(&cc::functions(&header))).unwrap();
    cc::compile(&source, &binary);
    cc::expect_success("misuse", &cc::run(&binary, &[]));
    cc::expect_success("misuse under valgrind", &cc::run_checked(&binary, &[]));
}
