/* Prints a whole dataset as JSON lines, sorted by database and key; or its digest.
 *
 *     rets-dump [--db N] [--raw] [--digest] [--until-offset N] [--quiet-ms N] [--timeout-ms N] URL
 *
 *     --db N            only this database
 *     --raw             also what is logically expired and waits for the primary to delete it
 *     --digest          only the 40 digits that the primary's DEBUG DIGEST gives
 *     --until-offset N  wait until the replication offset N is applied
 *     --quiet-ms N      wait until nothing has come for so long
 *     --timeout-ms N    give up after so long: exit status 2 (30000 unless told otherwise)
 */

#include <rets.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

struct options {
    int32_t db; /* -1: all */
    uint32_t flags;
    int digest;
    int64_t until_offset, quiet_ms; /* -1: not asked for */
    int64_t timeout_ms;
    const char *url;
};

struct key {
    int32_t db;
    size_t len;
    char *bytes;
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void usage(const char *what, const char *which) {
    fprintf(stderr,
            "rets-dump: %s%s\n"
            "usage: rets-dump [--db N] [--raw] [--digest] [--until-offset N] [--quiet-ms N]\n"
            "                 [--timeout-ms N] URL\n",
            what, which);
    exit(64);
}

static int64_t number(const char *option, const char *text, int64_t max) {
    char *end;
    long long n;
    errno = 0;
    n = text == NULL ? -1 : strtoll(text, &end, 10);
    if (text == NULL || *text == 0 || *end != 0 || errno != 0 || n < 0 || n > max)
        usage("a number from 0 on is needed behind ", option);
    return n;
}

static struct options parse(int argc, char **argv) {
    struct options o = {-1, 0, 0, -1, -1, 30000, NULL};
    int i;
    for (i = 1; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--raw") == 0)
            o.flags = RETS_RAW;
        else if (strcmp(a, "--digest") == 0)
            o.digest = 1;
        else if (strcmp(a, "--db") == 0)
            o.db = (int32_t)number(a, next, INT32_MAX), i++;
        else if (strcmp(a, "--until-offset") == 0)
            o.until_offset = number(a, next, INT64_MAX), i++;
        else if (strcmp(a, "--quiet-ms") == 0)
            o.quiet_ms = number(a, next, INT64_MAX), i++;
        else if (strcmp(a, "--timeout-ms") == 0)
            o.timeout_ms = number(a, next, INT64_MAX), i++;
        else if (a[0] == '-')
            usage("no such option: ", a);
        else if (o.url != NULL)
            usage("one URL is enough: ", a);
        else
            o.url = a;
    }
    if (o.url == NULL)
        usage("a URL is needed, such as ", "redis://127.0.0.1:6379");
    return o;
}

/* Waits until nothing has come for a while and all that came is applied. */
static rets_status wait_quiet(const rets_t *r, int64_t quiet_ms, int64_t deadline) {
    struct timespec tick = {0, 5000000};
    rets_info_t info;
    rets_status st;
    info.struct_size = sizeof info;
    while ((st = rets_info(r, &info)) == RETS_OK) {
        if (info.state == RETS_STATE_FOLLOWING && info.spooled_bytes == 0 &&
            info.last_byte_age_ms >= quiet_ms)
            return RETS_OK;
        if (now_ms() >= deadline)
            return RETS_TIMEOUT;
        nanosleep(&tick, NULL);
    }
    return st;
}

static int by_database_and_key(const void *a, const void *b) {
    const struct key *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = x->db != y->db ? (x->db > y->db) - (x->db < y->db) : 0;
    if (order == 0)
        order = memcmp(x->bytes, y->bytes, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void *grown(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (new == NULL) {
        fputs("rets-dump: out of memory\n", stderr);
        exit(1);
    }
    return new;
}

static rets_status collect(const rets_t *r, const struct options *o, struct key **keys, size_t *n) {
    size_t room = 0, len;
    const void *bytes;
    int32_t db;
    rets_cursor *c = NULL;
    rets_status st = rets_cursor_new(r, o->db, o->flags, &c);
    if (st != RETS_OK)
        return st;
    while ((st = rets_cursor_next(c, &db, &bytes, &len)) == RETS_OK) {
        struct key key;
        if (*n == room)
            *keys = grown(*keys, (room = room * 2 + 64) * sizeof **keys);
        key.db = db;
        key.len = len;
        key.bytes = grown(NULL, len + 1);
        memcpy(key.bytes, bytes, len);
        (*keys)[(*n)++] = key;
    }
    rets_cursor_free(c);
    return st == RETS_NOT_FOUND ? RETS_OK : st;
}

static rets_status print_rows(const rets_t *r, const struct options *o) {
    struct key *keys = NULL;
    size_t n = 0, i;
    rets_value *value = NULL;
    rets_status st = collect(r, o, &keys, &n);
    if (st == RETS_OK) st = rets_value_new(&value);
    if (n > 0)
        qsort(keys, n, sizeof *keys, by_database_and_key);
    for (i = 0; i < n; i++) {
        rets_status got = RETS_STOPPED;
        if (st == RETS_OK)
            got = rets_read(r, keys[i].db, keys[i].bytes, keys[i].len, o->flags, value);
        if (got == RETS_OK) {
            printf("{\"db\": %d, \"expires_at_ms\": ", (int)keys[i].db);
            json_deadline(stdout, rets_value_expires_at(value));
            printf(", \"key\": ");
            json_string(stdout, keys[i].bytes, keys[i].len);
            printf(", \"type\": \"%s\", \"value\": ", json_type(rets_value_type(value)));
            json_value(stdout, value);
            puts("}");
        } else if (st == RETS_OK && got != RETS_NOT_FOUND) {
            st = got; /* not found: it went since the walk, which is no error */
        }
        free(keys[i].bytes);
    }
    rets_value_free(value);
    free(keys);
    return st;
}

static rets_status run(rets_t *r, const struct options *o) {
    int64_t deadline = now_ms() + o->timeout_ms;
    rets_info_t info;
    rets_status st = rets_start(r);
    if (st == RETS_OK) st = rets_wait_ready(r, o->timeout_ms);
    if (st == RETS_OK && o->until_offset >= 0) {
        int64_t left = deadline - now_ms();
        st = rets_wait_offset(r, NULL, o->until_offset, left > 0 ? left : 0);
    }
    if (st == RETS_OK && o->quiet_ms >= 0)
        st = wait_quiet(r, o->quiet_ms, deadline);
    info.struct_size = sizeof info;
    if (st == RETS_OK && rets_info(r, &info) == RETS_OK && info.diverged)
        fprintf(stderr, "rets-dump: the data may differ from the primary's: %s\n",
                info.last_error_text);
    if (st == RETS_OK && o->digest) {
        char hex[41], replid[41];
        int64_t offset;
        st = rets_digest(r, hex, replid, &offset);
        if (st == RETS_OK)
            puts(hex);
    } else if (st == RETS_OK) {
        st = print_rows(r, o);
    }
    return st;
}

int main(int argc, char **argv) {
    struct options o = parse(argc, argv);
    rets_t *r = NULL;
    rets_status st = rets_new(o.url, &r);
    if (st == RETS_OK) st = run(r, &o);
    if (st == RETS_TIMEOUT) {
        rets_info_t info;
        info.struct_size = sizeof info;
        fprintf(stderr, "rets-dump: not in %lld ms", (long long)o.timeout_ms);
        if (rets_info(r, &info) == RETS_OK)
            fprintf(stderr, ": offset %lld, %s", (long long)info.offset,
                    info.last_error_text[0] ? info.last_error_text : "no error so far");
        fputc('\n', stderr);
    } else if (st != RETS_OK) {
        fprintf(stderr, "rets-dump: %s: %s\n", rets_strerror(st), rets_last_error());
    }
    rets_free(r);
    if (st == RETS_OK && fflush(stdout) != 0)
        return 1;
    return st == RETS_OK ? 0 : st == RETS_TIMEOUT ? 2 : 1;
}
