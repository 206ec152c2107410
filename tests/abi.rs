//! Pins the layout of everything that C and Rust both touch. One table is checked on both sides:
//! here against the Rust types, and by a C and a C++ compiler against the header. A change here is
//! a change that programs in the field can feel.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod cc;

use rets::ffi::*;
use std::fs;
use std::mem::offset_of;
use std::process::Command;

/// Structures with their sizes, fields with their offsets.
macro_rules! structs {
    ($($name:ident = $size:literal { $($field:ident: $offset:literal,)* })*) => {
        fn structs() -> Vec<(&'static str, usize, usize, Vec<(&'static str, usize, usize)>)> {
            vec![$((
                stringify!($name),
                $size,
                size_of::<$name>(),
                vec![$((
                    stringify!($field).trim_start_matches("r#"),
                    $offset,
                    offset_of!($name, $field),
                )),*],
            )),*]
        }
    };
}

/// Enumerations with the numbers of their constants.
macro_rules! enums {
    ($($name:ident { $($constant:ident = $number:literal,)* })*) => {
        fn enums() -> Vec<(&'static str, usize, Vec<(&'static str, i32, i32)>)> {
            vec![$((
                stringify!($name),
                size_of::<$name>(),
                vec![$((stringify!($constant), $number, $name::$constant as i32)),*],
            )),*]
        }
    };
}

structs! {
    rets_bytes = 16 {
        data: 0,
        len: 8,
    }
    rets_event = 152 {
        struct_size: 0,
        kind: 8,
        reason: 12,
        phase: 16,
        r#type: 20,
        link: 24,
        db: 28,
        other_db: 32,
        result_known: 36,
        deadline_passed: 40,
        key_gone: 44,
        key: 48,
        key_len: 56,
        field: 64,
        field_len: 72,
        value: 80,
        value_len: 88,
        score: 96,
        whole: 104,
        expires_at_ms: 112,
        field_expires_at_ms: 120,
        offset: 128,
        argv: 136,
        argc: 144,
    }
    rets_item = 48 {
        key: 0,
        key_len: 8,
        buf: 16,
        buf_len: 24,
        len: 32,
        db: 40,
        status: 44,
    }
    rets_element = 72 {
        field: 0,
        field_len: 8,
        value: 16,
        value_len: 24,
        score: 32,
        expires_at_ms: 40,
        index: 48,
        id_ms: 56,
        id_seq: 64,
    }
    rets_stream = 80 {
        struct_size: 0,
        last_id_ms: 8,
        last_id_seq: 16,
        first_id_ms: 24,
        first_id_seq: 32,
        max_deleted_id_ms: 40,
        max_deleted_id_seq: 48,
        entries_added: 56,
        entries: 64,
        groups: 72,
    }
    rets_group = 64 {
        struct_size: 0,
        name: 8,
        name_len: 16,
        last_id_ms: 24,
        last_id_seq: 32,
        entries_read: 40,
        consumers: 48,
        pending: 56,
    }
    rets_consumer = 48 {
        struct_size: 0,
        name: 8,
        name_len: 16,
        pending: 24,
        seen_at_ms: 32,
        active_at_ms: 40,
    }
    rets_pending = 56 {
        struct_size: 0,
        id_ms: 8,
        id_seq: 16,
        consumer: 24,
        consumer_len: 32,
        delivered_at_ms: 40,
        deliveries: 48,
    }
    rets_info_t = 960 {
        struct_size: 0,
        state: 8,
        event: 12,
        ready: 16,
        diverged: 20,
        since_ms: 24,
        offset: 32,
        offset_received: 40,
        lag_bytes: 48,
        last_byte_age_ms: 56,
        data_age_ms: 64,
        loaded_bytes: 72,
        load_total_bytes: 80,
        loaded_keys: 88,
        keys: 96,
        ghosts: 104,
        partial: 112,
        frozen: 120,
        memory_bytes: 128,
        memory_peak_bytes: 136,
        spooled_bytes: 144,
        connects: 152,
        full_syncs: 160,
        partial_syncs: 168,
        commands_applied: 176,
        units: 184,
        unknown_commands: 192,
        failed_commands: 200,
        callbacks: 208,
        skipped: 216,
        last_error_at_ms: 224,
        last_error: 232,
        will_retry: 236,
        link: 240,
        mixed: 244,
        last_error_text: 248,
        primary: 504,
        server_version: 760,
        server_kind: 807,
        replid: 823,
        healing: 864,
        healed: 872,
        unhealed: 880,
        strings_bytes: 888,
        lists_bytes: 896,
        sets_bytes: 904,
        zsets_bytes: 912,
        hashes_bytes: 920,
        streams_bytes: 928,
        arrays_bytes: 936,
        modules_bytes: 944,
        ghosts_bytes: 952,
    }
}

enums! {
    rets_status {
        RETS_OK = 0,
        RETS_NOT_FOUND = -1,
        RETS_TOO_SMALL = -2,
        RETS_WRONG_TYPE = -3,
        RETS_UNCHANGED = -4,
        RETS_NOT_READY = -5,
        RETS_STALE = -6,
        RETS_WITHHELD = -7,
        RETS_INCOMPLETE = -8,
        RETS_OTHER_HISTORY = -9,
        RETS_TIMEOUT = -10,
        RETS_INVALID = -11,
        RETS_UNSUPPORTED = -12,
        RETS_BUSY_CALLBACK = -13,
        RETS_STOPPED = -14,
        RETS_NO_MEMORY = -15,
        RETS_IO = -16,
        RETS_AUTH = -17,
        RETS_TLS = -18,
        RETS_PROTOCOL = -19,
        RETS_FORKED = -20,
        RETS_PANIC = -21,
    }
    rets_event_kind {
        RETS_EVENT_SET = 1,
        RETS_EVENT_EDIT = 2,
        RETS_EVENT_DEL = 3,
        RETS_EVENT_EXPIRE = 4,
        RETS_EVENT_HASH_SET = 5,
        RETS_EVENT_HASH_DEL = 6,
        RETS_EVENT_HASH_EXPIRE = 7,
        RETS_EVENT_SET_ADD = 8,
        RETS_EVENT_SET_REM = 9,
        RETS_EVENT_ZSET_ADD = 10,
        RETS_EVENT_ZSET_REM = 11,
        RETS_EVENT_FLUSH = 12,
        RETS_EVENT_SWAP = 13,
        RETS_EVENT_UNKNOWN = 14,
        RETS_EVENT_OVERFLOW = 15,
    }
    rets_reason {
        RETS_REASON_SNAPSHOT = 1,
        RETS_REASON_RESYNC = 2,
        RETS_REASON_COMMAND = 3,
        RETS_REASON_DELETE = 4,
        RETS_REASON_RENAME = 5,
        RETS_REASON_FLUSH = 6,
        RETS_REASON_HEAL = 7,
    }
    rets_phase {
        RETS_PHASE_WARM = 1,
        RETS_PHASE_INITIAL = 2,
        RETS_PHASE_LIVE = 3,
        RETS_PHASE_RESYNC = 4,
    }
    rets_type_id {
        RETS_TYPE_NONE = 0,
        RETS_TYPE_STRING = 1,
        RETS_TYPE_LIST = 2,
        RETS_TYPE_SET = 3,
        RETS_TYPE_ZSET = 4,
        RETS_TYPE_HASH = 5,
        RETS_TYPE_STREAM = 6,
        RETS_TYPE_ARRAY = 7,
        RETS_TYPE_MODULE = 8,
    }
    rets_state {
        RETS_STATE_NEW = 0,
        RETS_STATE_CONNECTING = 1,
        RETS_STATE_LOADING = 2,
        RETS_STATE_FOLLOWING = 3,
        RETS_STATE_RECONNECTING = 4,
        RETS_STATE_FAILED = 5,
        RETS_STATE_STOPPED = 6,
    }
    rets_life {
        RETS_LIFE_NONE = 0,
        RETS_LIFE_CONNECTING = 1,
        RETS_LIFE_CONNECTED = 2,
        RETS_LIFE_SYNC_BEGUN = 3,
        RETS_LIFE_PROGRESS = 4,
        RETS_LIFE_LOAD_ABORTED = 5,
        RETS_LIFE_READY = 6,
        RETS_LIFE_LINK_LOST = 7,
        RETS_LIFE_DIVERGED = 8,
        RETS_LIFE_FAILED = 9,
        RETS_LIFE_STOPPED = 10,
        RETS_LIFE_WAITING_FOR_TURN = 11,
    }
    rets_verdict {
        RETS_KEEP = 0,
        RETS_SKIP = 1,
    }
    rets_log_level {
        RETS_LOG_ERROR = 1,
        RETS_LOG_WARNING = 2,
        RETS_LOG_INFO = 3,
        RETS_LOG_DEBUG = 4,
    }
}

#[test]
fn the_rust_side_has_the_layout_that_is_written_down() {
    for (name, pinned, actual, fields) in structs() {
        assert_eq!(pinned, actual, "sizeof({name})");
        for (field, pinned, actual) in fields {
            assert_eq!(pinned, actual, "offsetof({name}, {field})");
        }
    }
    for (name, size, constants) in enums() {
        assert_eq!(size, size_of::<std::ffi::c_int>(), "sizeof({name})");
        for (constant, pinned, actual) in constants {
            assert_eq!(pinned, actual, "{constant}");
        }
    }
}

#[test]
fn c_and_cxx_see_the_layout_that_is_written_down() {
    let mut source = String::from("#include <rets.h>\n");
    let mut check = |claim: String| {
        source.push_str(&format!("SAME({claim}, \"{claim}\");\n"));
    };
    for (name, size, _, fields) in structs() {
        check(format!("sizeof({name}) == {size}"));
        for (field, offset, _) in fields {
            check(format!("offsetof({name}, {field}) == {offset}"));
        }
    }
    for (name, _, constants) in enums() {
        check(format!("sizeof({name}) == sizeof(int)"));
        for (constant, number, _) in constants {
            check(format!("{constant} == {number}"));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for (compiler, standard, file, word) in [
        ("gcc", "-std=c11", "layout.c", "_Static_assert"),
        ("g++", "-std=c++11", "layout.cc", "static_assert"),
    ] {
        let path = folder.path().join(file);
        fs::write(&path, &source).unwrap();
        let output = Command::new(compiler)
            .args([standard, "-fsyntax-only", &format!("-DSAME={word}"), "-I"])
            .arg(cc::root().join("include"))
            .arg(&path)
            .output()
            .unwrap();
        cc::expect_success(compiler, &output);
    }
}

#[test]
fn nothing_of_the_header_is_left_out() {
    let header = fs::read_to_string(cc::header_path()).unwrap();
    let mut code = String::new();
    for part in header.split("/*") {
        code.push_str(part.split_once("*/").map_or(part, |(_, code)| code));
    }
    let bodies = |opening: &str| {
        let parts: Vec<_> = code.split(opening).skip(1).collect();
        parts
            .into_iter()
            .map(|part| part.split_once("\n} ").unwrap().0.to_owned())
            .collect::<Vec<_>>()
    };
    let fields: Vec<_> =
        bodies("typedef struct {").iter().map(|b| b.matches(';').count()).collect();
    let pinned: Vec<_> = structs().iter().map(|(_, _, _, fields)| fields.len()).collect();
    assert_eq!(fields, pinned);
    let constants: Vec<_> =
        bodies("typedef enum {").iter().map(|b| b.matches('=').count()).collect();
    let pinned: Vec<_> = enums().iter().map(|(_, _, constants)| constants.len()).collect();
    assert_eq!(constants, pinned);
}
