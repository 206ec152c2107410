//! Options and URLs: what is taken, what is refused, and with which words.

use super::*;
use crate::error::Kind;

fn config() -> Config {
    Config::from_url("redis://127.0.0.1").unwrap()
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.into(), port }
}

#[test]
fn good_values_are_kept_and_shown_in_one_form() {
    let rows = [
        ("url", "redis://h:1", "redis://h:1"),
        ("url", "REDIS://u:secret@[::1]/7", "redis://u:***@[::1]:6379/7"),
        ("url", "unix:///tmp/a%20b.sock", "unix:///tmp/a%20b.sock"),
        ("user", "me", "me"),
        ("user", "", ""),
        ("password", "secret", "***"),
        ("password", "", ""),
        ("password-file", "/run/secret", "/run/secret"),
        ("databases", "all", "all"),
        ("databases", "3, 0,3", "0,3"),
        ("keys", "a* b\\ c  [x y]", "a* b\\ c [x y]"),
        ("keys", "", ""),
        ("exclude-keys", "tmp:*", "tmp:*"),
        ("store", "none", "none"),
        ("heal", "yes", "yes"),
        ("max-memory", "512MB", "536870912"),
        ("max-memory", "1kb", "1024"),
        ("max-memory", "2Gb", "2147483648"),
        ("max-memory", "17", "17"),
        ("max-staleness", "20000", "20000"),
        ("max-staleness", "86400000", "86400000"),
        ("max-staleness", "0", "0"),
        ("ping-period", "1000", "1000"),
        ("hide-expired", "no", "no"),
        ("on-unknown", "stop", "stop"),
        ("on-failure", "continue", "continue"),
        ("resync", "in-place", "in-place"),
        ("resync", "auto", "auto"),
        ("ack", "never-counted", "never-counted"),
        ("link-timeout", "100", "100"),
        ("connect-timeout", "600000", "600000"),
        ("retry-min", "1", "1"),
        ("retry-max", "3600000", "3600000"),
        ("start-jitter", "0", "0"),
        ("start-jitter", "600000", "600000"),
        ("sync-lock", "/run/rets.lock", "/run/rets.lock"),
        ("sync-lock", "", ""),
        ("ack-interval", "10", "10"),
        ("event-queue", "4kb", "4096"),
        ("spool-size", "64kb", "65536"),
    ];
    for (name, value, shown) in rows {
        let mut c = config();
        c.set(name, value, false).unwrap_or_else(|e| panic!("{name} {value}: {e}"));
        assert_eq!(c.get(name).unwrap(), shown, "{name} {value}");
    }
    let untested = Config::OPTIONS.iter().find(|row| !rows.iter().any(|r| r.0 == row.name));
    assert_eq!(untested.map(|row| row.name), None);
}

#[test]
fn there_is_nothing_to_heal_without_a_table() {
    for (first, then) in
        [(("heal", "yes"), ("store", "none")), (("store", "none"), ("heal", "yes"))]
    {
        let mut c = config();
        c.set(first.0, first.1, false).unwrap();
        let error = c.set(then.0, then.1, false).unwrap_err();
        assert!(error.text().contains("heal=yes needs store=all"), "{error}");
        assert_ne!(c.get(then.0).unwrap(), then.1);
    }
}

#[test]
fn bad_values_are_refused_with_what_is_allowed_and_change_nothing() {
    let rows = [
        ("url", "127.0.0.1"),
        ("url", "http://h"),
        ("url", "redis:h"),
        ("url", "redis://"),
        ("url", "redis://h:0"),
        ("url", "redis://h:65536"),
        ("url", "redis://h:"),
        ("url", "redis://h:+1"),
        ("url", "redis://::1"),
        ("url", "redis://[::1"),
        ("url", "redis://[::1]x"),
        ("url", "redis://h/x"),
        ("url", "redis://h/-1"),
        ("url", "redis://h/2147483648"),
        ("url", "redis://h/1/2"),
        ("url", "redis://h?db=1"),
        ("url", "redis://%zz@h"),
        ("url", "redis://%ff@h"),
        ("url", "redis://%4@h"),
        ("url", "unix://"),
        ("url", "unix:///"),
        ("url", "unix://a/b"),
        ("databases", ""),
        ("databases", "1,,2"),
        ("databases", "-1"),
        ("databases", "ALL"),
        ("store", "yes"),
        ("max-memory", ""),
        ("max-memory", "-1"),
        ("max-memory", "1.5gb"),
        ("max-memory", "kb"),
        ("max-memory", "9223372036854775808"),
        ("max-memory", "8589934592gb"),
        ("max-memory", "99999999999999999999"),
        ("max-staleness", "19999"),
        ("max-staleness", "86400001"),
        ("ping-period", "999"),
        ("ping-period", "3600001"),
        ("hide-expired", "true"),
        ("on-unknown", ""),
        ("on-failure", "Resync"),
        ("resync", "in place"),
        ("ack", "0"),
        ("link-timeout", "99"),
        ("link-timeout", "60s"),
        ("connect-timeout", "600001"),
        ("retry-min", "0"),
        ("retry-max", " 1"),
        ("start-jitter", "600001"),
        ("sync-lock", "rets.lock"),
        ("sync-lock", "~/lock"),
        ("ack-interval", "-1"),
        ("event-queue", "4095"),
        ("spool-size", "65535"),
        ("spool-size", "0"),
    ];
    for (name, value) in rows {
        let mut c = config();
        let error = c.set(name, value, false).expect_err(&format!("{name} {value}"));
        assert_eq!(error.kind(), Kind::Invalid, "{name} {value}");
        let row = row(name).unwrap();
        assert!(error.text().contains(row.range), "{name} {value}: {error}");
        assert!(error.text().contains(name), "{name} {value}: {error}");
        assert_eq!(c, config(), "{name} {value}");
    }
}

#[test]
fn the_table_says_the_defaults_that_hold() {
    for row in Config::OPTIONS {
        if row.name != "url" {
            assert_eq!(config().get(row.name).unwrap(), row.default, "{}", row.name);
        }
        assert!(row.doc.ends_with('.') && !row.range.is_empty() && !row.unit.is_empty());
        assert_eq!(Config::OPTIONS.iter().filter(|r| r.name == row.name).count(), 1);
    }
}

#[test]
fn an_unknown_name_is_answered_with_all_names() {
    let error = config().set("max_memory", "1", false).unwrap_err();
    for row in Config::OPTIONS {
        assert!(error.text().contains(row.name), "{error}");
    }
    assert_eq!(config().get("Url").unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn no_message_has_a_password_in_it() {
    for url in [
        "s3cret",
        "redis:u:s3cret@h",
        "http://u:s3cret@h",
        "redis://u:s3cret@",
        "redis://u:s3cret@h:x",
        "redis://u:s3cret@h/x",
        "redis://u:s3cret@[::1",
        "redis://u:s3cret@h?x",
        "redis://u:s3cret%zz@h",
        "redis://u:s3cret%ff@h",
        // What the password has that should have been written with a %.
        "redis://u:p/s3cret@h",
        "redis://u:p?s3cret@h",
        "redis://u:p#s3cret@h",
        "redis://u:p:s3cret/@h",
        "redis://s3cret/1@h",
        "unix://u:s3cret@",
        "unix://u:s3cret@/",
        "unix://u:p/s3cret@h/x",
        "rediss://u:s3cret@h",
        "redis+cluster://u:s3cret@h",
    ] {
        let error = Config::from_url(url).expect_err(url);
        assert!(!error.text().contains("s3cret"), "{url}: {error}");
    }
}

#[test]
fn urls_are_taken_apart() {
    let c = Config::from_url("redis://us%65r:p%40s%3as@db.example:7000/12").unwrap();
    assert_eq!(c.address, tcp("db.example", 7000));
    assert_eq!(c.user.as_deref(), Some("user"));
    assert_eq!(c.password.as_deref(), Some("p@s:s"));
    assert_eq!(c.databases, Some(vec![12]));

    let c = Config::from_url("redis://:pass:wo@rd@host/").unwrap();
    assert_eq!((c.user.as_deref(), c.password.as_deref()), (None, Some("pass:wo@rd")));
    assert_eq!((&c.address, c.databases.as_ref()), (&tcp("host", 6379), None));

    let c = Config::from_url("redis://[2001:db8::1]:99").unwrap();
    assert_eq!(c.address, tcp("2001:db8::1", 99));

    let c = Config::from_url("unix://:secret@/run/redis.sock").unwrap();
    assert_eq!(c.address, Address::Unix { path: "/run/redis.sock".into() });
    assert_eq!(c.password.as_deref(), Some("secret"));
}

#[test]
fn schemes_of_later_versions_are_unsupported_and_not_invalid() {
    let urls = ["rediss://h", "file:///d.rdb", "memory:", "redis+sentinel://a,b/m"];
    for url in urls.into_iter().chain(["redis+cluster://a,b"]) {
        let error = Config::from_url(url).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{url}");
        assert!(error.text().contains("not in this version"), "{error}");
    }
}

#[test]
fn a_running_engine_changes_only_where_and_who_and_its_limits() {
    let mut c = config();
    for row in Config::OPTIONS {
        let value = if row.name == "url" { "redis://other:1" } else { row.default };
        assert_eq!(c.set(row.name, value, true).is_ok(), row.hot, "{}", row.name);
    }
    let hot: Vec<_> = Config::OPTIONS.iter().filter(|r| r.hot).map(|r| r.name).collect();
    let places = ["url", "user", "password", "password-file"];
    let limits = [
        "max-memory",
        "max-staleness",
        "ping-period",
        "on-unknown",
        "on-failure",
        "resync",
        "sync-lock",
        "event-queue",
    ];
    assert_eq!(hot, [&places[..], &limits].concat());
    let error = c.set("store", "none", true).unwrap_err();
    assert!(error.text().contains("password-file"), "{error}");
    let error = c.set("url", "redis://other/5", true).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(c.address, tcp("other", 1));
}

#[test]
fn data_is_not_called_old_before_two_pings_can_have_come() {
    let mut c = config();
    c.set("ping-period", "1000", false).unwrap();
    c.set("max-staleness", "2000", false).unwrap();
    let error = c.set("ping-period", "1001", true).unwrap_err();
    assert!(error.text().contains("max-staleness 2000 is less than twice"), "{error}");
    c.set("max-staleness", "0", true).unwrap();
    c.set("ping-period", "1001", true).unwrap();
}

#[test]
fn a_url_without_credentials_keeps_those_that_were_set() {
    let mut c = config();
    c.set("user", "me", false).unwrap();
    c.set("password", "secret", false).unwrap();
    c.set("url", "redis://other", true).unwrap();
    assert_eq!((c.user.as_deref(), c.password.as_deref()), (Some("me"), Some("secret")));
    c.set("url", "redis://:new@other", true).unwrap();
    assert_eq!((c.user.as_deref(), c.password.as_deref()), (None, Some("new")));
}

#[test]
fn of_password_and_its_file_the_last_one_set_holds() {
    let mut c = config();
    c.set("password", "secret", false).unwrap();
    c.set("password-file", "/f", false).unwrap();
    assert_eq!((c.password.as_deref(), c.password_file.as_deref()), (None, Some("/f")));
    c.set("password", "secret", false).unwrap();
    assert_eq!((c.password.as_deref(), c.password_file.as_deref()), (Some("secret"), None));
}

#[test]
fn a_secret_is_never_shown() {
    let mut c = Config::from_url("redis://me:hunter2@host").unwrap();
    assert!(!format!("{c:?}").contains("hunter2"));
    assert!(!format!("{c:#?}").contains("hunter2"));
    for row in Config::OPTIONS {
        assert!(!c.get(row.name).unwrap().contains("hunter2"), "{}", row.name);
    }
    for url in ["redis://me:hunter2@host:0", "hunter2", "redis://hunter2%@h", "x://:hunter2@h"] {
        let text = c.set("url", url, false).unwrap_err().text().to_owned();
        assert!(!text.contains("hunter2"), "{text}");
    }
}
