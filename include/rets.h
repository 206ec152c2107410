/*
 * rets: a Redis or Valkey replica inside your program.      MIT OR Apache-2.0
 *
 * A replica attaches to a primary as a real one does, loads its snapshot, follows its
 * stream of writes, and keeps the data in your process's memory. A lookup is then a
 * function call. Before each change a callback of yours may look at it and say skip.
 *
 * This file is the manual. Compile with it, link with -lrets, and read on.
 *
 *
 * THE LIFE OF A HANDLE
 *
 * Make it, configure it, start it; wait until it is ready, look things up; free it.
 * As nothing happens before rets_start(), no event can be missed.
 *
 *     #include <rets.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     static int on_change(void *user, const rets_event *e) {
 *         (void)user;
 *         if (e->kind == RETS_EVENT_SET && e->key_len > 4 && memcmp(e->key, "tmp:", 4) == 0)
 *             return RETS_SKIP;                              // seen, not stored
 *         return RETS_KEEP;
 *     }
 *
 *     int main(void) {
 *         rets_t *r = NULL;
 *         rets_status st = rets_new("redis://127.0.0.1:6379", &r);
 *         if (st == RETS_OK) st = rets_set_option(r, "max-memory", "512mb");
 *         if (st == RETS_OK) st = rets_set_callback(r, on_change, NULL);
 *         if (st == RETS_OK) st = rets_start(r);             // returns at once
 *         if (st == RETS_OK) st = rets_wait_ready(r, 30000);
 *
 *         char buf[256]; size_t len;
 *         if (st == RETS_OK) st = rets_get(r, 0, "greeting", 8, buf, sizeof buf, &len);
 *         if (st == RETS_OK) printf("%.*s\n", (int)len, buf);
 *         else fprintf(stderr, "%s\n", rets_strerror(st));
 *         rets_free(r);                                      // NULL is fine
 *         return st != RETS_OK;
 *     }
 *
 * Several handles live side by side; they share nothing but the log.
 *
 *
 * STATUSES
 *
 * What can fail returns a rets_status: RETS_OK is 0, everything else negative. Every
 * function below lists all it can answer. rets_strerror() has a text for each,
 * rets_last_error() the details of the calling thread's last failure, and rets_info()
 * what happened on the engine's own threads. Not ready is not the same as not found,
 * and withheld is neither.
 *
 *
 * BYTES, LENGTHS, TIMES
 *
 * Keys and values are any bytes, with a length and no NUL; (NULL, 0) is the empty one.
 * Copying out is all or nothing: a buffer that is too small is left alone, the length
 * needed is stored, and the answer is RETS_TOO_SMALL; (NULL, 0) as the buffer asks for
 * the length. Nothing points into the table: what you get is a copy of yours, or
 * belongs to an object of yours, or is valid during a callback.
 * Times are milliseconds: -1 as a time to wait is for ever, deadlines are Unix time and
 * -1 is none. Offsets are -1 where they aren't known. Every lookup takes the number of
 * the database; one never seen is RETS_NOT_FOUND, a negative one RETS_INVALID.
 *
 *
 * THREADS
 *
 * A function that takes `const rets_t *` may be called by any number of threads at once,
 * and at the same time as anything but rets_free(). One that takes `rets_t *` says for
 * itself what it allows. rets_free() must be the last to use a handle. A rets_value and a
 * rets_cursor are for one thread at a time while they are read into or stepped.
 * The engine's own threads block every signal. The library sets no signal handler, prints
 * nothing, reads no environment variable, and never ends the process by itself, but for a
 * C++ exception that leaves a callback and an allocation of its own that the system
 * refuses.
 *
 *
 * CALLBACKS
 *
 * There are three: for changes, for the engine's life, for the log. In all of them
 * lookups, values, cursors and rets_info() are fine; what waits, changes an engine or
 * frees it answers RETS_BUSY_CALLBACK, whichever handle it is for, and rets_free() does
 * nothing. None may throw, longjmp out, or end its thread. To replace one waits until the
 * old one isn't running, so afterwards its user data may go.
 *
 *
 * FORK
 *
 * The engine's threads don't come along into a forked child. There, every function with
 * a handle or cursor from before the fork answers RETS_FORKED, and rets_free() gives up
 * its memory without touching the parent's engine. The child may make handles of its own;
 * prefork servers start after the fork. fork and exec is always fine: no descriptor is
 * inherited through exec. Do not fork inside a callback.
 *
 *
 * FRESHNESS
 *
 * What becomes visible is what the primary committed: a command, or all of a MULTI, at
 * once. Until the first load is complete lookups answer RETS_NOT_READY. From then on they
 * always have an answer: while the link is down the old data serves, and rets_info() tells
 * its age (data_age_ms), unless the option max-staleness says from which age on they
 * answer RETS_STALE instead, until newer data has come; a new full sync is loaded aside
 * and takes its place in one step, and the change callback hears only the difference. Keys
 * and fields whose deadline has passed by this machine's clock are hidden (option
 * hide-expired, flag RETS_RAW), but they stay, and are counted, until the primary removes
 * them.
 *
 *
 * WHAT SKIP MEANS
 *
 * RETS_SKIP leaves the table as it was. As it must not make up values, it remembers what
 * is missing:
 *  - Where there was no key, one whose value was skipped is a ghost: known by name, and
 *    lookups answer RETS_WITHHELD. Where there was one, it is frozen: lookups go on finding
 *    the old value. So does a key whose delete or deadline was skipped. What a frozen key
 *    does not have is RETS_WITHHELD, as nobody knows what the primary has there by now.
 *  - An edit that builds on a ghost or a frozen key (INCR, APPEND, LPUSH, ...) is shown
 *    with result_known 0 and not stored. A new whole value ends either state, and so does
 *    a delete; that of a frozen key only if it isn't skipped.
 *  - Fields of a hash and members of a set or sorted set can be skipped one by one: the
 *    key is then partial. What was new is RETS_WITHHELD, what was there keeps its old
 *    content, and where something is lacking the whole is RETS_INCOMPLETE. Edits of a
 *    withheld element that depend on it (HINCRBY) are not stored.
 *  - A skipped edit of a string, list, stream or array withholds the key: it becomes a
 *    ghost.
 *  - A command that reads such a key to write another (RENAME, COPY, ...) makes that one
 *    withheld too.
 *  - FLUSH, SWAP and UNKNOWN can be heard but not skipped.
 * A snapshot brings whole keys, so in the first load and after a resync a hash is one SET
 * event with all its fields, and is kept or skipped as a whole. A new full sync asks again
 * only about keys that have changed on the primary since they were asked about.
 * The options databases, keys and exclude-keys leave things out before anything is asked,
 * which is cheaper; those keys are RETS_WITHHELD too, whether the primary has them or not.
 * store=none keeps no table at all, for programs that only listen: everything is
 * RETS_WITHHELD.
 * A key that is kept but was made of one that is left out (RENAME, COPY, SUNIONSTORE, ...)
 * is a ghost. With the option heal the engine fetches its value, over a second connection
 * to the primary that is there while it is needed, applies what was written since, and
 * shows it as a SET with RETS_REASON_HEAL, or a DELETE where the primary has no such key;
 * lookups find it from then on. healing, healed and unhealed in rets_info() count them.
 * Never fetched is what the callback skipped, or what was made of that, and what a module
 * keeps; a callback that skips what was fetched has skipped it.
 *
 *
 * EQUAL TO THE PRIMARY
 *
 * At the same offset the table has the same keys, values, types and deadlines as the
 * primary, and rets_digest() proves it. The exceptions, all of them:
 *  - what a callback or an option withheld;
 *  - deadlines given as "in so many seconds" by primaries before Redis 7.0 count from when
 *    they arrive here, as with every replica of theirs;
 *  - scripts that a primary before Redis 5.0 sends as scripts are not run;
 *  - values of modules are not understood;
 *  - what no replica can know, as a real one.
 * A write command that this version can't follow is counted, logged and shown as
 * RETS_EVENT_UNKNOWN, and `diverged` in rets_info() says so; it is never passed over in
 * silence. While the data has diverged, RETS_NOT_FOUND may be wrong for what such a command
 * has made. COMMANDS.md of the source tree lists the commands that are followed.
 *
 *
 * VERSIONS
 *
 * Each function says since when it is there. Numbers never change their meaning.
 * Structures that begin with struct_size may get more fields at their end; the others
 * never change. A program runs with every later library of the same soname.
 */

#ifndef RETS_H
#define RETS_H

#include <stddef.h>
#include <stdint.h>

#define RETS_VERSION_MAJOR 0
#define RETS_VERSION_MINOR 1
#define RETS_VERSION_PATCH 0
#define RETS_VERSION "0.1.0"

#if defined(__GNUC__)
#define RETS_API __attribute__((visibility("default")))
#define RETS_MUST_USE __attribute__((warn_unused_result))
#else
#define RETS_API
#define RETS_MUST_USE
#endif

/** For rets_read() and rets_cursor_new(): show also what is logically expired. */
#define RETS_RAW 1

/**
 * What a function answers. The numbers are frozen. A later version may add codes:
 * take one that you don't know for a failure.
 */
typedef enum {
    /** Done. */
    RETS_OK = 0,
    /**
     * Not there: no such key, field, member, element; or the end of a walk. The primary has
     * none either.
     */
    RETS_NOT_FOUND = -1,
    /** The buffer is too small. Nothing was written to it; the length needed was stored. */
    RETS_TOO_SMALL = -2,
    /** The key holds another type. */
    RETS_WRONG_TYPE = -3,
    /** The key still has the version that the caller knows. Nothing was copied. */
    RETS_UNCHANGED = -4,
    /** No load has been completed yet, so nothing can be said about any key. */
    RETS_NOT_READY = -5,
    /** The data may be older than the option max-staleness allows. */
    RETS_STALE = -6,
    /** The primary has it, but a callback or an option kept it out of the table. */
    RETS_WITHHELD = -7,
    /** The answer was stored, but it lacks what a callback or an option kept out of the table. */
    RETS_INCOMPLETE = -8,
    /** The offset belongs to another history of the primary than the one that is followed. */
    RETS_OTHER_HISTORY = -9,
    /** Time ran out. */
    RETS_TIMEOUT = -10,
    /** An argument that can't be used; rets_last_error() says which and why. */
    RETS_INVALID = -11,
    /** Not in this version of the library, or not with this primary. */
    RETS_UNSUPPORTED = -12,
    /** Not from inside a callback. */
    RETS_BUSY_CALLBACK = -13,
    /** The engine was stopped. */
    RETS_STOPPED = -14,
    /** No memory, or the option max-memory would be passed. */
    RETS_NO_MEMORY = -15,
    /** The operating system refused: a socket, a file, a thread. */
    RETS_IO = -16,
    /** The primary refused the user or password, or wants one. */
    RETS_AUTH = -17,
    /** TLS failed. (Reserved: no function of 0.1 answers it.) */
    RETS_TLS = -18,
    /** The primary sent what the protocol or the snapshot format does not allow. */
    RETS_PROTOCOL = -19,
    /** This process is a forked child of the one that made the handle. */
    RETS_FORKED = -20,
    /** A bug in rets was caught. The host is fine; the handle should be freed. */
    RETS_PANIC = -21,
} rets_status;

/** What happens to a key. A later version may add kinds: answer RETS_KEEP to those. */
typedef enum {
    /** It gets a whole new value: see type, value and whole. */
    RETS_EVENT_SET = 1,
    /**
     * A string, list, stream or array is edited: value and whole are the result. Also where a
     * sorted set loses members that can't be told, as some are withheld; result_known is 0.
     */
    RETS_EVENT_EDIT = 2,
    /** It goes away. */
    RETS_EVENT_DEL = 3,
    /** It gets, changes or loses its deadline: see expires_at_ms. */
    RETS_EVENT_EXPIRE = 4,
    /** A field of a hash is set: see field, value and field_expires_at_ms. */
    RETS_EVENT_HASH_SET = 5,
    /** A field of a hash goes away. */
    RETS_EVENT_HASH_DEL = 6,
    /** A field of a hash gets, changes or loses its deadline: see field_expires_at_ms. */
    RETS_EVENT_HASH_EXPIRE = 7,
    /** A member joins a set: see field. */
    RETS_EVENT_SET_ADD = 8,
    /** A member leaves a set. */
    RETS_EVENT_SET_REM = 9,
    /** A member joins a sorted set or gets another score: see field and score. */
    RETS_EVENT_ZSET_ADD = 10,
    /** A member leaves a sorted set. */
    RETS_EVENT_ZSET_REM = 11,
    /** A database, or every one with db -1, loses all its keys. It can't be skipped. */
    RETS_EVENT_FLUSH = 12,
    /** The databases db and other_db change places. It can't be skipped. */
    RETS_EVENT_SWAP = 13,
    /** A write command that this version can't follow: see argv. It can't be skipped. */
    RETS_EVENT_UNKNOWN = 14,
    /** From rets_next_event() only: what was to be told here did not fit into the queue. */
    RETS_EVENT_OVERFLOW = 15,
} rets_event_kind;

/** Why it happens. A later version may add reasons. */
typedef enum {
    /** It came with a snapshot while the table was empty. */
    RETS_REASON_SNAPSHOT = 1,
    /** A new full sync found it different from what the table had. */
    RETS_REASON_RESYNC = 2,
    /** A command that writes. */
    RETS_REASON_COMMAND = 3,
    /** A command that deletes: DEL or UNLINK, also for what the primary evicted or let expire. */
    RETS_REASON_DELETE = 4,
    /** The key moved: RENAME, RENAMENX or MOVE. */
    RETS_REASON_RENAME = 5,
    /** FLUSHDB, FLUSHALL or SWAPDB. */
    RETS_REASON_FLUSH = 6,
    /**
     * It was withheld only because of a filter, and was fetched from the primary: see the
     * option heal.
     */
    RETS_REASON_HEAL = 7,
} rets_reason;

/** When in the life of the engine it happens. A later version may add phases. */
typedef enum {
    /** A restart from the last state on disk. (Reserved: not in 0.1.) */
    RETS_PHASE_WARM = 1,
    /** The first load. */
    RETS_PHASE_INITIAL = 2,
    /** Following the stream. */
    RETS_PHASE_LIVE = 3,
    /** A later full sync, heard as the difference to what was there. */
    RETS_PHASE_RESYNC = 4,
} rets_phase;

/** The types that a key can have. A later version may add some. */
typedef enum {
    /** None: no value, or one that isn't known. */
    RETS_TYPE_NONE = 0,
    /** A string of bytes; also what the servers call integers, bitmaps, HyperLogLogs. */
    RETS_TYPE_STRING = 1,
    /** A sequence of strings. */
    RETS_TYPE_LIST = 2,
    /** Distinct strings. */
    RETS_TYPE_SET = 3,
    /** Distinct strings with a score each. */
    RETS_TYPE_ZSET = 4,
    /** Fields with a value each, and perhaps a deadline. */
    RETS_TYPE_HASH = 5,
    /** Entries under growing ids, and the groups that consume them. */
    RETS_TYPE_STREAM = 6,
    /** Values at places that need not be next to each other (Redis 8.8). */
    RETS_TYPE_ARRAY = 7,
    /** Bytes that only a module of the primary's understands. */
    RETS_TYPE_MODULE = 8,
} rets_type_id;

/** Where an engine is in its life. A later version may add states. */
typedef enum {
    /** Not started yet. */
    RETS_STATE_NEW = 0,
    /** On the way to its first connection. */
    RETS_STATE_CONNECTING = 1,
    /** A snapshot is coming in, the first or a later one. */
    RETS_STATE_LOADING = 2,
    /** Following the stream. */
    RETS_STATE_FOLLOWING = 3,
    /** The link is lost and being made again. */
    RETS_STATE_RECONNECTING = 4,
    /** Given up, with last_error as the reason, until the options change. */
    RETS_STATE_FAILED = 5,
    /** Stopped. */
    RETS_STATE_STOPPED = 6,
} rets_state;

/** What happens in the life of an engine. A later version may add events. */
typedef enum {
    /** Nothing yet. */
    RETS_LIFE_NONE = 0,
    /** A connection to the primary is being made. */
    RETS_LIFE_CONNECTING = 1,
    /** It was made; the handshake goes on. */
    RETS_LIFE_CONNECTED = 2,
    /**
     * A full sync begins: a snapshot is coming. With store=none, the changes from here
     * to READY or LOAD_ABORTED are those of a whole dataset.
     */
    RETS_LIFE_SYNC_BEGUN = 3,
    /** Another megabyte of the snapshot is loaded. */
    RETS_LIFE_PROGRESS = 4,
    /**
     * A load was broken off or refused. What was there before is still served, but for what
     * a resync in place has changed already (mixed).
     */
    RETS_LIFE_LOAD_ABORTED = 5,
    /** The load is complete, or the stream goes on where it was cut. */
    RETS_LIFE_READY = 6,
    /** The link was lost; it is made again. */
    RETS_LIFE_LINK_LOST = 7,
    /** A command could not be followed: the data may differ from the primary's. */
    RETS_LIFE_DIVERGED = 8,
    /** Given up; last_error says why. */
    RETS_LIFE_FAILED = 9,
    /** Stopped by the program. */
    RETS_LIFE_STOPPED = 10,
    /**
     * A full sync is needed, and waits until another process of this host has done its own
     * (option sync-lock).
     */
    RETS_LIFE_WAITING_FOR_TURN = 11,
} rets_life;

/** What a callback answers. */
typedef enum {
    /** Let it happen. */
    RETS_KEEP = 0,
    /** Leave the table as it was. */
    RETS_SKIP = 1,
} rets_verdict;

/** How much a line of the log matters. */
typedef enum {
    /** Something that the program must act on. */
    RETS_LOG_ERROR = 1,
    /** Something that went wrong and is being dealt with. */
    RETS_LOG_WARNING = 2,
    /** What happens in a normal life: connected, synced. */
    RETS_LOG_INFO = 3,
    /** Single steps. */
    RETS_LOG_DEBUG = 4,
} rets_log_level;

/**
 * A walk over keys, in no order. What is there from its beginning to its end is met
 * exactly once, also if a new full sync comes meanwhile; what comes or goes on the
 * way may be met or not. It keeps no lock between two steps.
 */
typedef struct rets_cursor rets_cursor;

/**
 * A replica: one connection to one primary, and the data that it brought. Opaque;
 * made by rets_new(), freed by rets_free().
 */
typedef struct rets_t rets_t;

/**
 * A copy of a whole value, walked by index. It is the caller's: it never changes
 * under the reader, may outlive the handle, and its memory is used again by the
 * next rets_read() into it. The same type shows the value of an event; that one
 * belongs to the library and goes when the callback returns, or with the next event that
 * rets_next_event() gives.
 */
typedef struct rets_value rets_value;

/** Some bytes that belong to somebody else. */
typedef struct {
    /** Where they are; never NULL here, also where there are none. */
    const void *data;
    /** How many. */
    size_t len;
} rets_bytes;

/**
 * One change, shown before it happens. Everything in it belongs to the library and is
 * valid until the callback returns; from rets_next_event(), until the next event is
 * given. A later version may append fields; struct_size tells how much of it there is.
 */
typedef struct {
    /** sizeof(rets_event) of the library that is running. */
    size_t struct_size;
    /** What happens. */
    rets_event_kind kind;
    /** Why. */
    rets_reason reason;
    /** When in the engine's life. */
    rets_phase phase;
    /** The type of whole; RETS_TYPE_NONE where that is NULL. */
    rets_type_id type;
    /** Which link it came by; 0. */
    int32_t link;
    /** The database; -1 where all are meant. */
    int32_t db;
    /** The other database of a SWAP; else -1. */
    int32_t other_db;
    /**
     * 0 where the outcome depends on something that was withheld. Then it is not stored, whatever
     * the callback answers, and value, score and whole are not known. Else 1.
     */
    int32_t result_known;
    /** 1 if the deadline of what goes away, or of what is set, has passed already; else 0. */
    int32_t deadline_passed;
    /** 1 if the key no longer exists afterwards: it or its last element is deleted; else 0. */
    int32_t key_gone;
    /** The key; empty for FLUSH, SWAP and UNKNOWN. */
    const void *key;
    /** Its length in bytes. */
    size_t key_len;
    /** The field of a HASH_ event, the member of a SET_ or ZSET_ event; else NULL. */
    const void *field;
    /** Its length in bytes. */
    size_t field_len;
    /**
     * The new value of a string (SET, EDIT) or of a field (HASH_SET); NULL where there is none or
     * it isn't known, never NULL for an empty one.
     */
    const void *value;
    /** Its length in bytes. */
    size_t value_len;
    /** The new score (ZSET_ADD), a NaN where it isn't known; else 0. */
    double score;
    /**
     * The whole value of the key afterwards, of whatever type, to be walked with rets_value_at();
     * NULL where there is none or it isn't known.
     */
    const rets_value *whole;
    /**
     * The deadline of the key afterwards in Unix milliseconds; -1 for none, and for a key that is
     * gone.
     */
    int64_t expires_at_ms;
    /** The deadline of the field (HASH_SET, HASH_EXPIRE) in Unix milliseconds; -1 for none. */
    int64_t field_expires_at_ms;
    /** The replication offset behind the command or MULTI that it is part of; -1 unknown. */
    int64_t offset;
    /** The command's own arguments, its name first. */
    const rets_bytes *argv;
    /** How many; 0 for what comes from a snapshot. */
    size_t argc;
} rets_event;

/**
 * A callback that is asked before each change.
 *
 * It runs on the engine's thread rets/apply, in the primary's order, one call at a
 * time, with no lock held; while it runs, the engine follows nothing further, but
 * the link goes on receiving and acknowledging. It may use lookups, values, cursors
 * and rets_info(); lookups see what was last published, not the change asked about,
 * nor those before it in the same MULTI. What waits, changes the engine or frees it
 * answers RETS_BUSY_CALLBACK. It must not throw, longjmp out or end its thread: a C++
 * exception that leaves it ends the process.
 *
 * @param user   what rets_set_callback() was given
 * @param event  the change
 * @return RETS_KEEP; or RETS_SKIP (any other number) to leave the table as it was
 */
typedef int (*rets_change_fn)(void *user, const rets_event *event);

/**
 * One question of rets_get_many(). It will never grow: an array of them has the same
 * layout for ever.
 */
typedef struct {
    /** In: the key. */
    const void *key;
    /** In: its length in bytes. */
    size_t key_len;
    /**
     * In: where to copy the value to; NULL if buf_len is 0. It must not overlap the key, nor
     * anything of another item.
     */
    void *buf;
    /** In: how much room there is. */
    size_t buf_len;
    /** Out: the value's length, also with RETS_TOO_SMALL; else 0. */
    size_t len;
    /** In: the database's number. */
    int32_t db;
    /** Out: what rets_get() would have answered. */
    rets_status status;
} rets_item;

/**
 * One element of a value. It will never grow. The bytes it points to stay as they
 * are until the value is read into again or freed.
 */
typedef struct {
    /**
     * The field of a hash or of a stream's entry, the member of a set or sorted set, the name of
     * the type of a module's value; else NULL.
     */
    const void *field;
    /** Its length in bytes. */
    size_t field_len;
    /**
     * The string itself, the element of a list or array, the value of a field, the bytes of a
     * module's value; else NULL.
     */
    const void *value;
    /** Its length in bytes. */
    size_t value_len;
    /** The score of a sorted set's member; else 0. */
    double score;
    /** The deadline of a hash's field in Unix milliseconds; -1 for none. */
    int64_t expires_at_ms;
    /** The index of an array's element; else 0. */
    uint64_t index;
    /** The id of a stream's entry: its first number; else 0. */
    uint64_t id_ms;
    /** Its second number; else 0. */
    uint64_t id_seq;
} rets_element;

/** What a stream keeps beside its entries. A later version may append fields. */
typedef struct {
    /** In: sizeof(rets_stream), so that the library knows how much there is to fill. */
    size_t struct_size;
    /** The last id that was ever given out: its first number. */
    uint64_t last_id_ms;
    /** Its second number. */
    uint64_t last_id_seq;
    /** The id of the first entry; 0-0 where there is none. */
    uint64_t first_id_ms;
    /** Its second number. */
    uint64_t first_id_seq;
    /** The largest id that was deleted singly; 0-0 where none was. */
    uint64_t max_deleted_id_ms;
    /** Its second number. */
    uint64_t max_deleted_id_seq;
    /** Entries that were ever added, as far as the primary knows. */
    uint64_t entries_added;
    /** Entries that are there, as XLEN counts. */
    size_t entries;
    /** Groups, in the order of their names' bytes. */
    size_t groups;
} rets_stream;

/** A group of a stream. A later version may append fields. */
typedef struct {
    /** In: sizeof(rets_group), so that the library knows how much there is to fill. */
    size_t struct_size;
    /** Its name. */
    const void *name;
    /** The length of its name in bytes. */
    size_t name_len;
    /** The last id that was delivered to any of its consumers: its first number. */
    uint64_t last_id_ms;
    /** Its second number. */
    uint64_t last_id_seq;
    /** Entries that it has read; -1 where the primary does not know. */
    int64_t entries_read;
    /** Consumers, in the order of their names' bytes. */
    size_t consumers;
    /** Entries that were delivered and not acknowledged, in the order of their ids. */
    size_t pending;
} rets_group;

/** A consumer of a group. A later version may append fields. */
typedef struct {
    /** In: sizeof(rets_consumer), so that the library knows how much there is to fill. */
    size_t struct_size;
    /** Its name. */
    const void *name;
    /** The length of its name in bytes. */
    size_t name_len;
    /** Entries that are pending with it. */
    size_t pending;
    /**
     * When it last asked for anything, in Unix milliseconds. Each server has this by its
     * own clock, and so has the library.
     */
    int64_t seen_at_ms;
    /**
     * When it last got anything, likewise; -1 for never and for primaries before Redis
     * 7.2.
     */
    int64_t active_at_ms;
} rets_consumer;

/**
 * An entry that was delivered to a consumer of a group and not acknowledged yet. A later
 * version may append fields.
 */
typedef struct {
    /** In: sizeof(rets_pending), so that the library knows how much there is to fill. */
    size_t struct_size;
    /** The id of the entry, which may be deleted: its first number. */
    uint64_t id_ms;
    /** Its second number. */
    uint64_t id_seq;
    /** The consumer's name; NULL where it gave the entry back (XNACK of Redis 8.8). */
    const void *consumer;
    /** The length of its name in bytes. */
    size_t consumer_len;
    /** When it was last delivered, in Unix milliseconds; 0 where it was given back. */
    int64_t delivered_at_ms;
    /** How often it was delivered. */
    uint64_t deliveries;
} rets_pending;

/**
 * What an engine tells about itself. A later version may append fields. Texts are cut
 * where they don't fit and always end with a NUL.
 */
typedef struct {
    /** In: sizeof(rets_info_t), so that the library knows how much there is to fill. */
    size_t struct_size;
    /** Where it is in its life. */
    rets_state state;
    /** What happened last. In a state callback: what it is told of. */
    rets_life event;
    /**
     * 1 once a load has been completed; lookups have answers from then on, also while the link is
     * down.
     */
    int32_t ready;
    /** 1 if something could not be followed, so that the data may differ from the primary's. */
    int32_t diverged;
    /** When the state was entered, in Unix milliseconds. */
    int64_t since_ms;
    /** The replication offset up to which everything is applied; -1 unknown. */
    int64_t offset;
    /** The replication offset up to which everything was received; -1 unknown. */
    int64_t offset_received;
    /** Bytes received and not applied yet; -1 unknown. */
    int64_t lag_bytes;
    /**
     * How long ago the primary was last heard, in milliseconds; -1 never. A primary that has
     * nothing to say still pings, every ten seconds unless told otherwise.
     */
    int64_t last_byte_age_ms;
    /**
     * How old the data may be, in milliseconds: everything that the primary had sent so long
     * ago is applied; -1 before the first load. max-staleness is held against it.
     */
    int64_t data_age_ms;
    /** Bytes of the snapshot that have come, of the load that is going on or was the last. */
    int64_t loaded_bytes;
    /** How many there will be; -1 unknown: some primaries don't say. */
    int64_t load_total_bytes;
    /** Keys that have come with it. */
    uint64_t loaded_keys;
    /** Keys in the table, as DBSIZE counts, over all databases. */
    uint64_t keys;
    /** Keys that were withheld whole: only their names are known. */
    uint64_t ghosts;
    /** Keys that lack elements that were withheld. */
    uint64_t partial;
    /** Keys that stay as they are because a write, a delete or a deadline was skipped. */
    uint64_t frozen;
    /** An estimate of the memory that the data takes, in bytes. */
    uint64_t memory_bytes;
    /**
     * The most it has taken now or during a load: while one is loaded aside, that of both
     * datasets, of which what did not change is counted once.
     */
    uint64_t memory_peak_bytes;
    /** Bytes received that wait behind the callback. */
    uint64_t spooled_bytes;
    /** Connections made. */
    uint64_t connects;
    /** Snapshots begun. */
    uint64_t full_syncs;
    /** Reconnects that went on where they were. */
    uint64_t partial_syncs;
    /** Commands applied from the stream. */
    uint64_t commands_applied;
    /** Units applied: a command, or all of a MULTI. */
    uint64_t units;
    /** Write commands that this version can't follow. */
    uint64_t unknown_commands;
    /** Commands that did not fit the data. */
    uint64_t failed_commands;
    /** Questions asked of the callback. */
    uint64_t callbacks;
    /** Those it answered with RETS_SKIP. */
    uint64_t skipped;
    /** When the last error was, in Unix milliseconds; -1 never. */
    int64_t last_error_at_ms;
    /**
     * What kind of error was the last one; it stays after things are well again. RETS_OK if there
     * was none.
     */
    rets_status last_error;
    /**
     * 1 while the engine works or tries again by itself; 0 if it has given up (FAILED: until an
     * option changes), was stopped, or was not started.
     */
    int32_t will_retry;
    /** Which link; 0. */
    int32_t link;
    /**
     * 1 while a resync in place (option resync) goes on or was broken off: lookups see keys
     * of before beside keys of after. No offset is told then, nor is any waited for with success.
     */
    int32_t mixed;
    /** What it was, in one line. */
    char last_error_text[256];
    /** Where the primary is. */
    char primary[256];
    /** The primary's own version; empty where it doesn't say. */
    char server_version[47];
    /** "redis" or "valkey"; empty where it isn't known. */
    char server_kind[16];
    /** The primary's replication id, 40 hex digits; empty where it has none. */
    char replid[41];
    /**
     * Keys that are withheld only because of a filter and are to be fetched (option heal);
     * above 0 for as long as the primary can't be asked, which the log tells the reason of.
     */
    uint64_t healing;
    /** Keys of that kind that got their value back. */
    uint64_t healed;
    /**
     * How often such a value was refused by the primary, or could not be used: attempts,
     * not keys.
     */
    uint64_t unhealed;
    /** Of memory_bytes, what strings take with their keys, ... */
    uint64_t strings_bytes;
    /** ... lists, ... */
    uint64_t lists_bytes;
    /** ... sets, ... */
    uint64_t sets_bytes;
    /** ... sorted sets, ... */
    uint64_t zsets_bytes;
    /** ... hashes, ... */
    uint64_t hashes_bytes;
    /** ... streams, ... */
    uint64_t streams_bytes;
    /** ... arrays (Redis 8.8), ... */
    uint64_t arrays_bytes;
    /** ... values of modules, ... */
    uint64_t modules_bytes;
    /** ... and keys that were withheld whole. Together they are memory_bytes. */
    uint64_t ghosts_bytes;
} rets_info_t;

/**
 * A callback that hears of the engine's life: connecting, a load that begins, goes on,
 * ends or is given up, ready, a link that is lost, failed, stopped. It gets the same
 * numbers as rets_info().
 *
 * It may run on any engine thread, one call at a time, with no lock held, and delays
 * the engine while it runs. It may call what a change callback may, and must not
 * throw, longjmp out or end its thread.
 *
 * @param user  what rets_set_state_callback() was given
 * @param info  valid until the callback returns
 */
typedef void (*rets_state_fn)(void *user, const rets_info_t *info);

/**
 * A callback that hears what the library would write to a log, if it wrote one.
 *
 * It may run on any thread, engine threads or the caller's own, and on several at once.
 * It may call what a change callback may, and must not throw, longjmp out or end its
 * thread.
 *
 * @param user      what rets_set_log() was given
 * @param level     a rets_log_level
 * @param text      one line without a newline at its end, with a NUL; valid until the
 *                  callback returns. Values and passwords are not in it, but
 *                  names of keys may be
 * @param text_len  its length in bytes
 */
typedef void (*rets_log_fn)(void *user, int level, const char *text, size_t text_len);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The text for a status, for people.
 *
 * @param status  any number
 * @return a constant string, never NULL; "unknown status" for a number that is none
 *
 * Threads: any, also inside callbacks and in a forked child. Since: 0.1
 */
RETS_API const char *rets_strerror(int status);

/**
 * What went wrong in this thread's last call that did not answer RETS_OK, in one
 * line and in more detail than rets_strerror() has where there is more. Calls
 * that succeed leave it alone, so ask only after a failure. What goes wrong on
 * the engine's own threads is in rets_info() instead.
 *
 * Values and passwords are not in it, but names of keys may be.
 *
 * @return a string, never NULL, empty if nothing failed yet. It belongs to the
 *         library and stays as it is until the next call of this thread that
 *         fails, or the thread's end
 *
 * Threads: any, also inside callbacks and in a forked child. Since: 0.1
 */
RETS_API const char *rets_last_error(void);

/**
 * The version of the library that is running, as "0.1.0". RETS_VERSION is the one
 * that the program was compiled against.
 *
 * @return a constant string, never NULL
 *
 * Threads: any, also inside callbacks and in a forked child. Since: 0.1
 */
RETS_API const char *rets_version(void);

/**
 * Makes a handle for a primary. Nothing is connected and no thread is started
 * before rets_start().
 *
 * @param[in]  url  redis://[user:password@]host[:port][/db] or
 *                  unix://[user:password@]/path.sock. A number as path keeps that
 *                  database only. It is copied
 * @param[out] out  the new handle; NULL on failure, and then there is nothing to free
 * @return RETS_OK; RETS_INVALID for NULL or a URL that can't be understood;
 *         RETS_UNSUPPORTED for rediss:, file:, memory:, redis+sentinel: and
 *         redis+cluster: in this version; RETS_NO_MEMORY; RETS_IO; RETS_PANIC
 *
 * Threads: any, also inside callbacks and in a forked child. Since: 0.1
 */
RETS_API RETS_MUST_USE rets_status rets_new(const char *url, rets_t **out);

/**
 * Starts the engine: its own threads connect, load and follow from now on, for as
 * long as it takes. Returns at once; rets_wait_ready() waits. Engine threads block
 * all signals and are called rets/link, rets/apply and so on. They ask the scheduler
 * for short turns, not for a larger share (sched_setattr of Linux 6.12 and newer; not
 * where a seccomp filter is in force, which might take offence). A handle can be
 * started once.
 *
 * @param[in] r  the handle
 * @return RETS_OK; RETS_INVALID for NULL, an engine that was started before, or
 *         options that don't fit together; RETS_STOPPED; RETS_BUSY_CALLBACK;
 *         RETS_NO_MEMORY; RETS_IO if a thread can't be made; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, one at a time for one handle; not inside a callback. Since: 0.1
 */
RETS_API RETS_MUST_USE rets_status rets_start(rets_t *r);

/**
 * Waits until the first load is complete and lookups have something to say.
 * Failures that go by themselves (the primary can't be reached yet, it is loading)
 * are waited for; those that don't end it at once. Once an engine was ready it
 * stays ready, also while the link is down.
 *
 * Most primaries need seconds before anything comes: from Redis 7.0 on they wait for
 * others who want a snapshot, for five (repl-diskless-sync-delay) unless told otherwise.
 *
 * @param[in] r           the handle, started
 * @param[in] timeout_ms  how long; -1 for ever, 0 to ask only
 * @return RETS_OK; RETS_TIMEOUT, and rets_info() has the last error; RETS_AUTH,
 *         RETS_PROTOCOL, RETS_UNSUPPORTED, RETS_IO or RETS_NO_MEMORY if the engine
 *         gave up, with the reason in rets_last_error(); RETS_STOPPED;
 *         RETS_INVALID for NULL, a handle that was not started, or a time below -1;
 *         RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_wait_ready(const rets_t *r,
                            int64_t timeout_ms);

/**
 * Stops the engine: the link is closed, its threads end, and no callback runs any
 * more when it returns RETS_OK. Lookups answer RETS_STOPPED from then on. Calls
 * that wait in other threads end with RETS_STOPPED. To stop twice is fine.
 *
 * @param[in] r           the handle, in whatever state
 * @param[in] timeout_ms  how long to wait for a callback that is still running;
 *                        -1 for ever
 * @return RETS_OK; RETS_TIMEOUT if a callback did not return in time: the engine is
 *         told to stop all the same, and another rets_stop() or rets_free() waits
 *         for it; RETS_INVALID for NULL or a time below -1; RETS_BUSY_CALLBACK;
 *         RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API rets_status rets_stop(rets_t *r, int64_t timeout_ms);

/**
 * Stops the engine if it runs, waits for its threads and for a callback that is
 * still running, and frees the handle with all its data. Nothing else may use the
 * handle any more, in any thread. Values and cursors have their own end and may be
 * freed later.
 *
 * In a forked child it gives up the handle without touching the engine. Inside a
 * callback it does nothing at all.
 *
 * @param[in] r  the handle; NULL is fine
 *
 * Threads: any, but the last one to use the handle; not inside a callback.
 * Since: 0.1
 */
RETS_API void rets_free(rets_t *r);

/**
 * Sets an option. All of them are set before rets_start(); the ones marked with a
 * star may also change on a running engine, and then hold from the next connection.
 *
 *     NAME   (DEFAULT)
 *         what is allowed. What it does
 *     url*   (the URL that the engine was made with)
 *         redis://[user:password@]host[:port][/db] or
 *         unix://[user:password@]/path.sock. Where the primary is; user, password
 *         and database change only if the URL has them.
 *     user*   (none)
 *         an ACL user's name, or empty for the default user. Who to authenticate as
 *         (Redis 6.0 and newer).
 *     password*   (none)
 *         any text, or empty for none. The password; it takes the place of
 *         password-file.
 *     password-file*   (none)
 *         the path of a readable file, or empty for none. A file with the password,
 *         read at each connection, without its last line end; it takes the place of
 *         password.
 *     databases   (all)
 *         all, or numbers from 0 to 2147483647 with commas between. Which
 *         databases to keep; the others are withheld. A SWAPDB of one that is kept
 *         with one that is not can't be followed; see on-failure.
 *     keys   (none)
 *         glob patterns with spaces between (a space of a pattern is written "\ "),
 *         or empty for all keys. Which keys to keep; the others are withheld.
 *     exclude-keys   (none)
 *         glob patterns with spaces between (a space of a pattern is written "\ "),
 *         or empty for none. Which keys to leave out, even if keys would keep them.
 *     store   (all)
 *         all or none. Whether there is a table; none is for programs that only
 *         listen.
 *     heal   (no)
 *         yes or no; yes needs store=all. Whether a key that is withheld only
 *         because a command read something filtered is fetched over a second
 *         connection from the primary (Redis 4.0 and newer, no replica of one); an
 *         ACL user needs +multi +exec +select +dump +role +info and +pexpiretime,
 *         before 7.0 +pttl +time, and the keys. What does not fit into max-memory
 *         stays withheld and is tried again.
 *     max-memory*   (0)
 *         0 for no limit, or a size such as 1048576, 512mb or 2gb. How much memory
 *         the data may take; what would pass it ends as FAILED with RETS_NO_MEMORY
 *         until an option changes, and what there is is served. A single command
 *         or MULTI of the stream has to fit as well, be it of keys that are left
 *         out.
 *     hide-expired   (yes)
 *         yes or no. Whether lookups hide keys and fields whose deadline has passed
 *         by the local clock.
 *     max-staleness*   (0)
 *         0 for never, or twice ping-period to 86400000 ms. Lookups answer
 *         RETS_STALE when the data may be older than that, as data_age_ms of
 *         rets_info() tells; a raw view is shown all the same. Set ping-period
 *         first.
 *     ping-period*   (10000)
 *         1000 to 3600000 ms. The primary's repl-ping-replica-period, which is how
 *         long it may be silent; max-staleness is at least twice as long.
 *     on-unknown*   (continue)
 *         continue, resync or stop. What to do after a write command that this
 *         version can't follow; resync: once an hour for the same command, and never
 *         for one on a module's value, which is withheld instead.
 *     on-failure*   (resync)
 *         continue, resync or stop. What to do when a known command does not fit the
 *         data, which means that we have diverged.
 *     resync*   (aside)
 *         aside, auto or in-place. Where a later full sync is loaded: aside, which
 *         takes the memory of what changed once more; in place, where lookups
 *         meanwhile see keys of before beside keys of after (mixed in rets_info());
 *         auto begins aside and goes on in place where max-memory would be passed.
 *     ack   (truth)
 *         truth or never-counted. What the primary is told: the applied offset, which
 *         WAIT counts and for which a FAILOVER that names no replica may choose us,
 *         in vain; or a constant that satisfies neither but shows as lag, makes
 *         SHUTDOWN wait ten seconds and CLUSTER SETSLOT time out on Valkey 8 and
 *         newer.
 *     link-timeout   (60000)
 *         100 to 86400000 ms. A link that brings no byte for so long is lost; keep
 *         it above the primary's repl-ping-replica-period.
 *     connect-timeout   (10000)
 *         10 to 600000 ms. How long looking up the name and connecting may take.
 *     retry-min   (100)
 *         1 to 600000 ms. The first pause before connecting again, up to twice as
 *         long by chance; it doubles with each failure.
 *     retry-max   (10000)
 *         1 to 3600000 ms. The longest pause before connecting again; but a full
 *         sync that is broken off, or whose link is lost soon after, is asked for
 *         less and less, down to once in 75 s. Setting url tries at once.
 *     start-jitter   (0)
 *         0 to 600000 ms. The first connection is made after up to so long, by
 *         chance, which spreads the connections of a fleet that starts at once; a
 *         primary makes one snapshot for all who ask within its
 *         repl-diskless-sync-delay, so a longer time makes it fork more often.
 *     sync-lock*   (none)
 *         the absolute path of a file that can be made or written to, or empty for
 *         none. Processes of this host that name the same file sync fully one
 *         after another, and the primary makes a snapshot for each; a holder that
 *         gets no further for link-timeout, or a file that can't be locked any
 *         more, is not waited for, and the log warns. It is locked by flock(2),
 *         has to be writable to all who use it, and is not to be removed
 *         meanwhile.
 *     ack-interval   (1000)
 *         10 to 30000 ms. How often the primary hears from us; it cuts replicas that
 *         it does not hear from for its repl-timeout.
 *     event-queue*   (16777216)
 *         a size of 4kb or more, such as 16mb. How much memory events may take that
 *         wait for rets_next_event(); what does not fit is told as
 *         RETS_EVENT_OVERFLOW.
 *     spool-size   (268435456)
 *         a size of 64kb or more, such as 256mb. How many received bytes may wait
 *         while the callback is slow, before the primary has to keep them; while a
 *         snapshot is loaded, no more than 896kb do.
 *
 * Sizes are plain bytes, or have kb, mb or gb (of 1024) behind them. Patterns are the
 * servers' globs: * ? [a-z] [^a-z] and \ before a character that is meant as it is.
 *
 * @param[in] r      the handle
 * @param[in] name   the option's name
 * @param[in] value  its value, as text. Both are copied
 * @return RETS_OK; RETS_INVALID for NULL, an unknown name (rets_last_error() lists
 *         the names), a value that is not allowed (it says what is), or an option
 *         that can't change any more; RETS_IO: the file of sync-lock can't be used as
 *         a lock; RETS_UNSUPPORTED; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
 *
 * Threads: any; not inside a callback. Since: 0.1
 */
RETS_API rets_status rets_set_option(rets_t *r, const char *name, const char *value);

/**
 * Reads an option back, as text. Passwords are never given back: where one is set
 * there are stars in its place.
 *
 * @param[in]  r        the handle
 * @param[in]  name     the option's name
 * @param[out] buf      where to copy it to, without a NUL at its end; NULL if buf_len
 *                      is 0
 * @param[in]  buf_len  how much room there is
 * @param[out] len      its length, also with RETS_TOO_SMALL; else 0
 * @return RETS_OK; RETS_TOO_SMALL; RETS_INVALID for NULL or an unknown name;
 *         RETS_FORKED; RETS_PANIC
 *
 * Threads: any, also inside callbacks. Since: 0.1
 */
RETS_API
rets_status rets_option(const rets_t *r,
                        const char *name,
                        void *buf,
                        size_t buf_len,
                        size_t *len);

/**
 * Sets who is asked before each change, or nobody. May be called before rets_start(),
 * so that nothing is missed, and on a running engine: then it holds from the next
 * command or MULTI on.
 *
 * When it has returned, the callback that was there before is not running and will
 * not run again: what its user pointer points to may go.
 *
 * @param[in] r     the handle
 * @param[in] fn    the callback; NULL for none
 * @param[in] user  handed to it as it is
 * @return RETS_OK; RETS_INVALID for a NULL handle; RETS_BUSY_CALLBACK; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Waits for a callback
 * that is running. Since: 0.1
 */
RETS_API rets_status rets_set_callback(rets_t *r, rets_change_fn fn, void *user);

/**
 * A descriptor that is readable while rets_next_event() has something to give, for
 * programs that live in a loop around poll, epoll, libuv or asio and would rather hear of
 * changes there than in a callback. Events are recorded from this call on: call it before
 * rets_start(), so that nothing is missed. Only poll it: the library reads from it and
 * closes it in rets_free().
 *
 * An event comes after the fact: what a change callback was asked about before it
 * happened, and did not skip, is told here when lookups can see it. All of a command or
 * MULTI is told or nothing: where it would pass the option event-queue, one
 * RETS_EVENT_OVERFLOW stands in its place and in that of all that follows until there is
 * room again. Then the program knows that it has to look for itself: a queue as large as
 * the largest MULTI, or the first load, spares it that. The engine never waits for
 * whoever takes events. Of its own life it tells here nothing; rets_info() and
 * rets_set_state_callback() do.
 *
 *     const rets_event *e;
 *     struct pollfd p = {.events = POLLIN};
 *     if (rets_event_fd(r, &p.fd) == RETS_OK && rets_start(r) == RETS_OK)
 *         while (poll(&p, 1, -1) > 0)
 *             while (rets_next_event(r, &e) == RETS_OK) ...
 *
 * @param[in]  r   the handle
 * @param[out] fd  the descriptor; stays as it is unless RETS_OK
 * @return RETS_OK; RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_event_fd(const rets_t *r,
                          int *fd);

/**
 * Gives the oldest event that was not given yet.
 *
 * @param[in]  r      the handle
 * @param[out] event  the event; it and what it points to belong to the library and stay
 *                    as they are until the next one is given, or rets_free(). Stays as
 *                    it is unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND: there is none now, and the descriptor is not readable;
 *         RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, one at a time for one handle; not inside a callback. It does not wait.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_next_event(const rets_t *r,
                            const rets_event **event);

/**
 * Copies the value of a string.
 *
 *     size_t len, room = sizeof small;
 *     char small[256], *buf = small;
 *     while ((st = rets_get(r, 0, key, key_len, buf, room, &len)) == RETS_TOO_SMALL)
 *         buf = grow(buf, room = len);      // a loop: it may have grown meanwhile
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[out] buf      where to copy the value to, without a NUL at its end; NULL if
 *                      buf_len is 0. It must not overlap the key
 * @param[in]  buf_len  how much room there is; 0 asks for the length only
 * @param[out] len      the value's length, also with RETS_TOO_SMALL; else 0
 * @return RETS_OK, also for an empty value; RETS_NOT_FOUND; RETS_TOO_SMALL: nothing
 *         was copied; RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_get(const rets_t *r,
                     int32_t db,
                     const void *key,
                     size_t key_len,
                     void *buf,
                     size_t buf_len,
                     size_t *len);

/**
 * Copies the value of a string if it has changed since the last time: for what a
 * program has parsed and wants to parse again only when it must.
 *
 *     static uint64_t version;              // 0: nothing known yet
 *     if (rets_get_if_changed(r, 0, "config", 6, &version, buf, sizeof buf, &len) == RETS_OK)
 *         parse(buf, len);
 *
 * A version belongs to one key of one handle, and says nothing but "the same" or
 * "written since". A write of the same value is a new version.
 *
 * @param[in]     r        the handle
 * @param[in]     db       the database's number
 * @param[in]     key      the key
 * @param[in]     key_len  its length in bytes
 * @param[in,out] version  the version that the caller knows, 0 for none. With RETS_OK
 *                         it becomes the version that was copied, with
 *                         RETS_NOT_FOUND, RETS_WRONG_TYPE and RETS_WITHHELD 0;
 *                         otherwise it stays
 * @param[out]    buf      where to copy the value to; NULL if buf_len is 0
 * @param[in]     buf_len  how much room there is
 * @param[out]    len      the value's length, also with RETS_TOO_SMALL. It stays as it
 *                         is with RETS_UNCHANGED; else 0
 * @return RETS_OK; RETS_UNCHANGED: nothing was copied; RETS_NOT_FOUND; RETS_TOO_SMALL;
 *         RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
 *         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks; the version is the
 * caller's own to guard. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_get_if_changed(const rets_t *r,
                                int32_t db,
                                const void *key,
                                size_t key_len,
                                uint64_t *version,
                                void *buf,
                                size_t buf_len,
                                size_t *len);

/**
 * Copies the values of many strings as they were at one moment: no write of the
 * primary, and no part of a MULTI, comes between two of them.
 *
 * @param[in]     r       the handle
 * @param[in,out] items   the questions; each gets its own status and length
 * @param[in]     n       how many; 0 is fine
 * @param[out]    offset  the replication offset that they were read at, -1 if unknown;
 *                        NULL if it isn't wanted
 * @return RETS_OK, also if items have other statuses; RETS_NOT_READY, RETS_STALE,
 *         RETS_STOPPED, which every valid item then has too; RETS_INVALID for NULL;
 *         RETS_NO_MEMORY; RETS_FORKED; RETS_PANIC. With the last four nothing was
 *         written to the items
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_get_many(const rets_t *r,
                          rets_item *items,
                          size_t n,
                          int64_t *offset);

/**
 * Copies the value of a field of a hash.
 *
 * @param[in]  r          the handle
 * @param[in]  db         the database's number
 * @param[in]  key        the key
 * @param[in]  key_len    its length in bytes
 * @param[in]  field      the field's name
 * @param[in]  field_len  its length in bytes
 * @param[out] buf        where to copy the value to; NULL if buf_len is 0
 * @param[in]  buf_len    how much room there is; 0 asks for the length only
 * @param[out] len        the value's length, also with RETS_TOO_SMALL; else 0
 * @return RETS_OK; RETS_NOT_FOUND: no such key or no such field; RETS_TOO_SMALL;
 *         RETS_WRONG_TYPE; RETS_WITHHELD: the key or the field; RETS_NOT_READY;
 *         RETS_STALE; RETS_STOPPED; RETS_INVALID for NULL or a negative db;
 *         RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_hget(const rets_t *r,
                      int32_t db,
                      const void *key,
                      size_t key_len,
                      const void *field,
                      size_t field_len,
                      void *buf,
                      size_t buf_len,
                      size_t *len);

/**
 * Whether a key is there.
 *
 * @param[in] r        the handle
 * @param[in] db       the database's number
 * @param[in] key      the key
 * @param[in] key_len  its length in bytes
 * @return RETS_OK: it is; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_exists(const rets_t *r,
                        int32_t db,
                        const void *key,
                        size_t key_len);

/**
 * The type of a key.
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[out] type     the type; stays as it is unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_type(const rets_t *r,
                      int32_t db,
                      const void *key,
                      size_t key_len,
                      rets_type_id *type);

/**
 * When a key is due.
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[out] at_ms    the deadline in Unix milliseconds, -1 for none; stays as it is
 *                      unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_expires_at(const rets_t *r,
                            int32_t db,
                            const void *key,
                            size_t key_len,
                            int64_t *at_ms);

/**
 * When a field of a hash is due.
 *
 * @param[in]  r          the handle
 * @param[in]  db         the database's number
 * @param[in]  key        the key
 * @param[in]  key_len    its length in bytes
 * @param[in]  field      the field's name
 * @param[in]  field_len  its length in bytes
 * @param[out] at_ms      the deadline in Unix milliseconds, -1 for none; stays as it
 *                        is unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND: no such key or no such field; RETS_WRONG_TYPE;
 *         RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_INVALID for
 *         NULL or a negative db; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_hexpires_at(const rets_t *r,
                             int32_t db,
                             const void *key,
                             size_t key_len,
                             const void *field,
                             size_t field_len,
                             int64_t *at_ms);

/**
 * How long a value is, as STRLEN, LLEN, SCARD, ZCARD and HLEN count: the bytes of a
 * string, the elements of anything else, fields whose deadline has passed among
 * them.
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[out] len      the length; 0 unless RETS_OK or RETS_INCOMPLETE
 * @return RETS_OK; RETS_INCOMPLETE: the length was stored, but elements were withheld;
 *         RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
 *         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_len(const rets_t *r,
                     int32_t db,
                     const void *key,
                     size_t key_len,
                     size_t *len);

/**
 * Copies an element of a list.
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[in]  index    its place, from 0; negative counts from the tail, -1 the last
 * @param[out] buf      where to copy it to; NULL if buf_len is 0
 * @param[in]  buf_len  how much room there is; 0 asks for the length only
 * @param[out] len      its length, also with RETS_TOO_SMALL; else 0
 * @return RETS_OK; RETS_NOT_FOUND: no such key or no such place; RETS_TOO_SMALL;
 *         RETS_WRONG_TYPE; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
 *         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_lindex(const rets_t *r,
                        int32_t db,
                        const void *key,
                        size_t key_len,
                        int64_t index,
                        void *buf,
                        size_t buf_len,
                        size_t *len);

/**
 * Whether something is a member of a set.
 *
 * @param[in] r           the handle
 * @param[in] db          the database's number
 * @param[in] key         the key
 * @param[in] key_len     its length in bytes
 * @param[in] member      the member
 * @param[in] member_len  its length in bytes
 * @return RETS_OK: it is; RETS_NOT_FOUND: no such key or no member; RETS_WRONG_TYPE;
 *         RETS_WITHHELD: the key or the member; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_sismember(const rets_t *r,
                           int32_t db,
                           const void *key,
                           size_t key_len,
                           const void *member,
                           size_t member_len);

/**
 * The score of a member of a sorted set.
 *
 * @param[in]  r           the handle
 * @param[in]  db          the database's number
 * @param[in]  key         the key
 * @param[in]  key_len     its length in bytes
 * @param[in]  member      the member
 * @param[in]  member_len  its length in bytes
 * @param[out] score       the score, perhaps infinite, never a NaN; stays as it is
 *                         unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND: no such key or no member; RETS_WRONG_TYPE;
 *         RETS_WITHHELD: the key or the member; RETS_NOT_READY; RETS_STALE;
 *         RETS_STOPPED; RETS_INVALID for NULL or a negative db; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_zscore(const rets_t *r,
                        int32_t db,
                        const void *key,
                        size_t key_len,
                        const void *member,
                        size_t member_len,
                        double *score);

/**
 * Makes an empty value to read into.
 *
 * @param[out] out  the new value; NULL on failure
 * @return RETS_OK; RETS_INVALID for NULL; RETS_PANIC
 *
 * Threads: any, also inside callbacks and in a forked child. Since: 0.1
 */
RETS_API RETS_MUST_USE rets_status rets_value_new(rets_value **out);

/**
 * Frees a value.
 *
 * @param[in] v  the value; NULL is fine, one of an event is left alone
 *
 * Threads: any, but the last one to use it. Since: 0.1
 */
RETS_API void rets_value_free(rets_value *v);

/**
 * Copies a whole value of any type, as it was at one moment.
 *
 * @param[in]     r        the handle
 * @param[in]     db       the database's number
 * @param[in]     key      the key
 * @param[in]     key_len  its length in bytes
 * @param[in]     flags    0, or RETS_RAW to have also what is logically expired: the
 *                         key itself, fields of a hash
 * @param[in,out] v        where to copy to. Whatever it had is gone, and it is empty
 *                         unless RETS_OK or RETS_INCOMPLETE
 * @return RETS_OK; RETS_INCOMPLETE: copied, but elements were withheld;
 *         RETS_NOT_FOUND; RETS_WITHHELD; RETS_NOT_READY; RETS_STALE; RETS_STOPPED;
 *         RETS_UNSUPPORTED for unknown flags; RETS_NO_MEMORY; RETS_INVALID for NULL, a
 *         negative db or the value of an event; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, also inside callbacks; one at a time for one value. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_read(const rets_t *r,
                      int32_t db,
                      const void *key,
                      size_t key_len,
                      uint32_t flags,
                      rets_value *v);

/**
 * The type of a value.
 *
 * @param[in] v  the value
 * @return the type; RETS_TYPE_NONE for an empty value or NULL
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API rets_type_id rets_value_type(const rets_value *v);

/**
 * How many elements rets_value_at() can show. A string is one element, and so is what
 * only a module understands; of a stream each field of each entry is one.
 *
 * @param[in] v  the value
 * @return the number; 0 for an empty value or NULL
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API size_t rets_value_len(const rets_value *v);

/**
 * Shows one element: the string itself; an element of a list, from its head; a
 * member of a set or a field of a hash, in the order of their bytes; a member of a
 * sorted set, from the lowest; an element of an array, by its index; a module's value
 * as its bytes in a snapshot; a field of a stream's entry, one entry behind the other,
 * those of one entry having its id. A value may have no element, as a stream without
 * entries.
 *
 * @param[in]  v      the value
 * @param[in]  index  its place, from 0
 * @param[out] e      the element; stays as it is unless RETS_OK
 * @return RETS_OK; RETS_NOT_FOUND: index is behind the last; RETS_NO_MEMORY;
 *         RETS_INVALID for NULL; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_value_at(const rets_value *v,
                          size_t index,
                          rets_element *e);

/**
 * When the key of a value is due.
 *
 * @param[in] v  the value
 * @return the deadline in Unix milliseconds; -1 for none, an empty value or NULL
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API int64_t rets_value_expires_at(const rets_value *v);

/**
 * Shows what a stream keeps beside its entries.
 *
 *     rets_stream stream;
 *     stream.struct_size = sizeof stream;
 *     if (rets_value_stream(v, &stream) == RETS_OK) ...
 *
 * @param[in]     v       the value
 * @param[in,out] stream  its struct_size set by the caller, the rest filled if RETS_OK
 * @return RETS_OK; RETS_WRONG_TYPE: v has no stream; RETS_INVALID for NULL or a
 *         struct_size that can't be; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_value_stream(const rets_value *v,
                              rets_stream *stream);

/**
 * Shows a group of a stream.
 *
 * @param[in]     v      the value
 * @param[in]     index  its place in the order of the names, from 0
 * @param[in,out] group  its struct_size set by the caller, the rest filled if RETS_OK;
 *                       the name stays as it is until v is read into again or freed
 * @return RETS_OK; RETS_NOT_FOUND: index is behind the last; RETS_WRONG_TYPE: v has no
 *         stream; RETS_INVALID for NULL or a struct_size that can't be; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_value_group_at(const rets_value *v,
                                size_t index,
                                rets_group *group);

/**
 * Shows a consumer of a group.
 *
 * @param[in]     v         the value
 * @param[in]     group     the group's place, as for rets_value_group_at()
 * @param[in]     index     the consumer's place in the order of the names, from 0
 * @param[in,out] consumer  its struct_size set by the caller, the rest filled if RETS_OK;
 *                          the name stays as it is until v is read into again or freed
 * @return RETS_OK; RETS_NOT_FOUND: group or index is behind the last; RETS_WRONG_TYPE:
 *         v has no stream; RETS_INVALID for NULL or a struct_size that can't be;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_value_consumer_at(const rets_value *v,
                                   size_t group,
                                   size_t index,
                                   rets_consumer *consumer);

/**
 * Shows an entry that a group has pending.
 *
 * @param[in]     v        the value
 * @param[in]     group    the group's place, as for rets_value_group_at()
 * @param[in]     index    the entry's place in the order of the ids, from 0
 * @param[in,out] pending  its struct_size set by the caller, the rest filled if RETS_OK;
 *                         the name stays as it is until v is read into again or freed
 * @return RETS_OK; RETS_NOT_FOUND: group or index is behind the last; RETS_WRONG_TYPE:
 *         v has no stream; RETS_INVALID for NULL or a struct_size that can't be;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks and in a forked child.
 * Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_value_pending_at(const rets_value *v,
                                  size_t group,
                                  size_t index,
                                  rets_pending *pending);

/**
 * Begins a walk.
 *
 * @param[in]  r      the handle
 * @param[in]  db     the database's number; -1 for all of them
 * @param[in]  flags  0, or RETS_RAW to meet also keys that are logically expired, and
 *                    those that a callback withheld
 * @param[out] out    the new cursor; NULL on failure
 * @return RETS_OK; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_UNSUPPORTED for
 *         unknown flags; RETS_INVALID for NULL or a db below -1; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_cursor_new(const rets_t *r,
                            int32_t db,
                            uint32_t flags,
                            rets_cursor **out);

/**
 * Goes to the next key.
 *
 *     while (rets_cursor_next(c, &db, &key, &key_len) == RETS_OK)
 *         printf("%d %.*s\n", (int)db, (int)key_len, (const char *)key);
 *
 * @param[in]  c        the cursor
 * @param[out] db       the key's database; NULL if it isn't wanted
 * @param[out] key      the key. It belongs to the cursor and stays as it is until the
 *                      next step. All of these stay as they are unless RETS_OK
 * @param[out] key_len  its length in bytes
 * @return RETS_OK; RETS_NOT_FOUND: that was all; RETS_STOPPED: the engine was stopped
 *         or its handle freed; RETS_INVALID for NULL; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, also inside callbacks; one at a time for one cursor. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_cursor_next(rets_cursor *c,
                             int32_t *db,
                             const void **key,
                             size_t *key_len);

/**
 * Ends a walk, at its end or before.
 *
 * @param[in] c  the cursor; NULL is fine
 *
 * Threads: any, but the last one to use it; also inside callbacks. Since: 0.1
 */
RETS_API void rets_cursor_free(rets_cursor *c);

/**
 * Tells where the engine is and how it is doing.
 *
 *     rets_info_t info;
 *     info.struct_size = sizeof info;
 *     if (rets_info(r, &info) == RETS_OK) ...
 *
 * @param[in]     r     the handle
 * @param[in,out] info  its struct_size set by the caller, the rest filled unless it
 *                      fails
 * @return RETS_OK; RETS_INVALID for NULL or a struct_size that can't be; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API rets_status rets_info(const rets_t *r, rets_info_t *info);

/**
 * Sets who hears of the engine's life, or nobody. When it has returned, the callback
 * that was there before is not running and will not run again.
 *
 * @param[in] r     the handle
 * @param[in] fn    the callback; NULL for none
 * @param[in] user  handed to it as it is
 * @return RETS_OK; RETS_INVALID for a NULL handle; RETS_BUSY_CALLBACK; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Waits for a callback
 * that is running. Since: 0.1
 */
RETS_API rets_status rets_set_state_callback(rets_t *r, rets_state_fn fn, void *user);

/**
 * How many keys there are, as DBSIZE counts: with those that are logically expired,
 * without those that were withheld.
 *
 * @param[in]  r      the handle
 * @param[in]  db     the database's number; -1 for all of them
 * @param[out] count  how many; stays as it is unless RETS_OK
 * @return RETS_OK; RETS_NOT_READY; RETS_STALE; RETS_STOPPED; RETS_INVALID for NULL or
 *         a db below -1; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_count(const rets_t *r,
                       int32_t db,
                       uint64_t *count);

/**
 * Waits until everything up to a replication offset is applied: to read one's own
 * writes, ask the primary for its master_repl_offset after writing and wait for it.
 *
 * @param[in] r           the handle
 * @param[in] replid      the replication id that the offset belongs to, 40 hex digits;
 *                        NULL for whatever history is followed
 * @param[in] offset      the offset
 * @param[in] timeout_ms  how long; -1 for ever, 0 to ask only
 * @return RETS_OK: it is applied; RETS_OTHER_HISTORY: the id is not the one followed,
 *         so the offset says nothing; RETS_TIMEOUT; RETS_STOPPED; RETS_UNSUPPORTED: this
 *         primary has no offsets (Redis before 2.8), or the engine gave up with that; RETS_AUTH,
 *         RETS_PROTOCOL, RETS_IO or RETS_NO_MEMORY if it gave up with one of these, so
 *         that the offset will not come; RETS_INVALID for a NULL handle, a
 *         negative offset, an id that can't be, or a time below -1; RETS_BUSY_CALLBACK;
 *         RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_wait_offset(const rets_t *r,
                             const char *replid,
                             int64_t offset,
                             int64_t timeout_ms);

/**
 * The digest of the whole dataset, which equals the primary's DEBUG DIGEST at the same
 * offset. It takes time in proportion to the data, on the calling thread, seconds for
 * millions of keys. Lookups and the engine go on meanwhile.
 *
 * @param[in]  r       the handle
 * @param[out] hex     41 bytes for 40 hex digits and a NUL
 * @param[out] replid  41 bytes for the replication id that the offset belongs to, an
 *                     empty text where the primary has none; NULL if it isn't wanted
 * @param[out] offset  the offset, -1 unknown; NULL if it isn't wanted. All of these
 *                     stay as they are unless RETS_OK or RETS_INCOMPLETE
 * @return RETS_OK; RETS_INCOMPLETE: stored, but something was withheld, could not be
 *         followed, or is a module's value, which only the module can digest, so it
 *         can't equal the primary's; RETS_NOT_READY; RETS_STOPPED; RETS_NO_MEMORY;
 *         RETS_INVALID for NULL; RETS_BUSY_CALLBACK; RETS_FORKED;
 *         RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_digest(const rets_t *r,
                        char *hex,
                        char *replid,
                        int64_t *offset);

/**
 * The digest of one key, which equals the primary's DEBUG DIGEST-VALUE: to find the key
 * in which two datasets differ. What has logically expired counts until the primary
 * deletes it, as with rets_digest().
 *
 * @param[in]  r        the handle
 * @param[in]  db       the database's number
 * @param[in]  key      the key
 * @param[in]  key_len  its length in bytes
 * @param[out] hex      41 bytes for 40 hex digits and a NUL; stays as it is unless
 *                      RETS_OK or RETS_INCOMPLETE
 * @return RETS_OK; RETS_INCOMPLETE: stored, but elements were withheld, a skipped change
 *         keeps an old value, or it is a module's value; RETS_NOT_FOUND, where the
 *         primary says 40 zeros; RETS_WITHHELD; RETS_NOT_READY; RETS_STOPPED;
 *         RETS_INVALID for NULL or a negative db; RETS_FORKED; RETS_PANIC
 *
 * Threads: any, any number at a time, also inside callbacks. Since: 0.1
 */
RETS_API
RETS_MUST_USE
rets_status rets_key_digest(const rets_t *r,
                            int32_t db,
                            const void *key,
                            size_t key_len,
                            char *hex);

/**
 * Sets who hears the log of the whole process, or nobody, as it is at first. When it
 * has returned, the callback that was there before is not running and will not run
 * again.
 *
 * @param[in] fn     the callback; NULL for none
 * @param[in] user   handed to it as it is
 * @param[in] level  a rets_log_level: what matters less is not heard
 * @return RETS_OK; RETS_INVALID for a level that is none (with a callback);
 *         RETS_BUSY_CALLBACK; RETS_PANIC
 *
 * Threads: any, any number at a time; not inside a callback. Since: 0.1
 */
RETS_API rets_status rets_set_log(rets_log_fn fn, void *user, int level);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RETS_H */
