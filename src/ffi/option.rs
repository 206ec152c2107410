//! Options by name.

use super::convert::{OutBuf, handle, handle_outside_callbacks, text};
use super::guard::guard;
use super::life::rets_t;
use super::status::rets_status;
use std::ffi::{c_char, c_void};

/// Sets an option. All of them are set before rets_start(); the ones marked with a
/// star may also change on a running engine, and then hold from the next connection.
///
///     NAME   (DEFAULT)
///         what is allowed. What it does
///     url*   (the URL that the engine was made with)
///         redis://[user:password@]host[:port][/db] or
///         unix://[user:password@]/path.sock. Where the primary is; user, password
///         and database change only if the URL has them.
///     user*   (none)
///         an ACL user's name, or empty for the default user. Who to authenticate as
///         (Redis 6.0 and newer).
///     password*   (none)
///         any text, or empty for none. The password; it takes the place of
///         password-file.
///     password-file*   (none)
///         the path of a readable file, or empty for none. A file with the password,
///         read at each connection, without its last line end; it takes the place of
///         password.
///     databases   (all)
///         all, or numbers from 0 to 2147483647 with commas between. Which
///         databases to keep; the others are withheld. A SWAPDB of one that is kept
///         with one that is not can't be followed; see on-failure.
///     keys   (none)
///         glob patterns with spaces between (a space of a pattern is written "\ "),
///         or empty for all keys. Which keys to keep; the others are withheld.
///     exclude-keys   (none)
///         glob patterns with spaces between (a space of a pattern is written "\ "),
///         or empty for none. Which keys to leave out, even if keys would keep them.
///     store   (all)
///         all or none. Whether there is a table; none is for programs that only
///         listen.
///     heal   (no)
///         yes or no; yes needs store=all. Whether a key that is withheld only
///         because a command read something filtered is fetched over a second
///         connection from the primary (Redis 4.0 and newer, no replica of one); an
///         ACL user needs +multi +exec +select +dump +role +info and +pexpiretime,
///         before 7.0 +pttl +time, and the keys. What does not fit into max-memory
///         stays withheld and is tried again.
///     max-memory*   (0)
///         0 for no limit, or a size such as 1048576, 512mb or 2gb. How much memory
///         the data may take; what would pass it ends as FAILED with RETS_NO_MEMORY
///         until an option changes, and what there is is served. A single command
///         or MULTI of the stream has to fit as well, be it of keys that are left
///         out.
///     hide-expired   (yes)
///         yes or no. Whether lookups hide keys and fields whose deadline has passed
///         by the local clock.
///     max-staleness*   (0)
///         0 for never, or twice ping-period to 86400000 ms. Lookups answer
///         RETS_STALE when the data may be older than that, as data_age_ms of
///         rets_info() tells; a raw view is shown all the same. Set ping-period
///         first.
///     ping-period*   (10000)
///         1000 to 3600000 ms. The primary's repl-ping-replica-period, which is how
///         long it may be silent; max-staleness is at least twice as long.
///     on-unknown*   (continue)
///         continue, resync or stop. What to do after a write command that this
///         version can't follow; resync: once an hour for the same command, and never
///         for one on a module's value, which is withheld instead.
///     on-failure*   (resync)
///         continue, resync or stop. What to do when a known command does not fit the
///         data, which means that we have diverged.
///     resync*   (aside)
///         aside, auto or in-place. Where a later full sync is loaded: aside, which
///         takes the memory of what changed once more; in place, where lookups
///         meanwhile see keys of before beside keys of after (mixed in rets_info());
///         auto begins aside and goes on in place where max-memory would be passed.
///     ack   (truth)
///         truth or never-counted. What the primary is told: the applied offset, which
///         WAIT counts and for which a FAILOVER that names no replica may choose us,
///         in vain; or a constant that satisfies neither but shows as lag, makes
///         SHUTDOWN wait ten seconds and CLUSTER SETSLOT time out on Valkey 8 and
///         newer.
///     link-timeout   (60000)
///         100 to 86400000 ms. A link that brings no byte for so long is lost; keep
///         it above the primary's repl-ping-replica-period.
///     connect-timeout   (10000)
///         10 to 600000 ms. How long looking up the name and connecting may take.
///     retry-min   (100)
///         1 to 600000 ms. The first pause before connecting again, up to twice as
///         long by chance; it doubles with each failure.
///     retry-max   (10000)
///         1 to 3600000 ms. The longest pause before connecting again; but a full
///         sync that is broken off, or whose link is lost soon after, is asked for
///         less and less, down to once in 75 s. Setting url tries at once.
///     start-jitter   (0)
///         0 to 600000 ms. The first connection is made after up to so long, by
///         chance, which spreads the connections of a fleet that starts at once; a
///         primary makes one snapshot for all who ask within its
///         repl-diskless-sync-delay, so a longer time makes it fork more often.
///     sync-lock*   (none)
///         the absolute path of a file that can be made or written to, or empty for
///         none. Processes of this host that name the same file sync fully one
///         after another, and the primary makes a snapshot for each; a holder that
///         gets no further for link-timeout, or a file that can't be locked any
///         more, is not waited for, and the log warns. It is locked by flock(2),
///         has to be writable to all who use it, and is not to be removed
///         meanwhile.
///     ack-interval   (1000)
///         10 to 30000 ms. How often the primary hears from us; it cuts replicas that
///         it does not hear from for its repl-timeout.
///     event-queue*   (16777216)
///         a size of 4kb or more, such as 16mb. How much memory events may take that
///         wait for rets_next_event(); what does not fit is told as
///         RETS_EVENT_OVERFLOW.
///     spool-size   (268435456)
///         a size of 64kb or more, such as 256mb. How many received bytes may wait
///         while the callback is slow, before the primary has to keep them; while a
///         snapshot is loaded, no more than 896kb do.
///
/// Sizes are plain bytes, or have kb, mb or gb (of 1024) behind them. Patterns are the
/// servers' globs: * ? [a-z] [^a-z] and \ before a character that is meant as it is.
///
/// @param[in] r      the handle
/// @param[in] name   the option's name
/// @param[in] value  its value, as text. Both are copied
/// @return RETS_OK; RETS_INVALID for NULL, an unknown name (rets_last_error() lists
///         the names), a value that is not allowed (it says what is), or an option
///         that can't change any more; RETS_IO: the file of sync-lock can't be used as
///         a lock; RETS_UNSUPPORTED; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
///
/// Threads: any; not inside a callback. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_set_option(
    r: *mut rets_t,
    name: *const c_char,
    value: *const c_char,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle and two strings, or NULL.
        let (r, name, value) =
            unsafe { (handle_outside_callbacks(r)?, text(name, "name")?, text(value, "value")?) };
        Ok(r.replica.set_option(name, value)?)
    })
}

/// Reads an option back, as text. Passwords are never given back: where one is set
/// there are stars in its place.
///
/// @param[in]  r        the handle
/// @param[in]  name     the option's name
/// @param[out] buf      where to copy it to, without a NUL at its end; NULL if buf_len
///                      is 0
/// @param[in]  buf_len  how much room there is
/// @param[out] len      its length, also with RETS_TOO_SMALL; else 0
/// @return RETS_OK; RETS_TOO_SMALL; RETS_INVALID for NULL or an unknown name;
///         RETS_FORKED; RETS_PANIC
///
/// Threads: any, also inside callbacks. Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rets_option(
    r: *const rets_t,
    name: *const c_char,
    buf: *mut c_void,
    buf_len: usize,
    len: *mut usize,
) -> rets_status {
    guard(|| {
        // SAFETY: the header asks for a living handle, a string and a buffer, or NULL.
        let (out, r, name) =
            unsafe { (OutBuf::new(buf, buf_len, len)?, handle(r)?, text(name, "name")?) };
        out.put(r.replica.option(name)?.as_bytes())
    })
}
