/* Prints every event as a JSON line as it arrives, until it is interrupted. Nothing is stored.
 *
 *     rets-tail [--store] [--count N] URL
 *
 *     --store    keep a table, so that edits show their results (INCR, APPEND, HINCRBY, ...)
 *     --count N  end after so many events
 */

#include <rets.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

static volatile sig_atomic_t interrupted;
static volatile long long left = -1; /* events still to print; below 0: no limit */

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static const char *const kinds[] = {"?", "set", "edit", "del", "expire", "hash_set", "hash_del",
    "hash_expire", "set_add", "set_rem", "zset_add", "zset_rem", "flush", "swap", "unknown"};
static const char *const reasons[] = {"?", "snapshot", "resync", "command", "delete", "rename",
    "flush"};
static const char *const phases[] = {"?", "warm", "initial", "live", "resync"};

static const char *const lives[] = {"?", "connecting", "connected", "sync begun", "progress",
    "load aborted", "ready", "link lost", "diverged", "failed", "stopped"};

static const char *name(const char *const *names, size_t n, unsigned i) {
    return names[i < n ? i : 0];
}
#define NAME(names, i) name(names, sizeof names / sizeof *names, (unsigned)(i))

static void text(const char *label, const void *data, size_t len) {
    printf(", \"%s\": ", label);
    json_string(stdout, data, len);
}

static void arguments(const rets_event *e) {
    size_t i;
    printf(", \"args\": [");
    for (i = 0; i < e->argc; i++) {
        if (i > 0)
            printf(", ");
        json_string(stdout, e->argv[i].data, e->argv[i].len);
    }
    putchar(']');
}

static int on_change(void *user, const rets_event *e) {
    (void)user;
    if (left == 0)
        return RETS_KEEP;
    if (left > 0)
        left--;
    printf("{\"event\": \"%s\", \"phase\": \"%s\", \"reason\": \"%s\"", NAME(kinds, e->kind),
           NAME(phases, e->phase), NAME(reasons, e->reason));
    printf(", \"offset\": %lld, \"db\": %d", (long long)e->offset, (int)e->db);
    if (e->kind == RETS_EVENT_SWAP)
        printf(", \"other_db\": %d", (int)e->other_db);
    if (e->kind != RETS_EVENT_FLUSH && e->kind != RETS_EVENT_SWAP && e->kind != RETS_EVENT_UNKNOWN)
        text("key", e->key, e->key_len);
    if (e->field != NULL)
        text("field", e->field, e->field_len);
    if (e->kind == RETS_EVENT_ZSET_ADD && !isnan(e->score))
        printf(", \"score\": \"%.17g\"", e->score);
    if (e->field != NULL && e->value != NULL)
        text("value", e->value, e->value_len);
    if (e->field == NULL && e->whole != NULL && e->kind != RETS_EVENT_EXPIRE) {
        printf(", \"type\": \"%s\", \"value\": ", json_type(e->type));
        json_value(stdout, e->whole);
    }
    if (e->kind == RETS_EVENT_HASH_SET || e->kind == RETS_EVENT_HASH_EXPIRE) {
        printf(", \"field_expires_at_ms\": ");
        json_deadline(stdout, e->field_expires_at_ms);
    }
    if (e->kind == RETS_EVENT_SET || e->kind == RETS_EVENT_EXPIRE) {
        printf(", \"expires_at_ms\": ");
        json_deadline(stdout, e->expires_at_ms);
    }
    if (!e->result_known)
        printf(", \"result_known\": false");
    if (e->argc > 0)
        arguments(e);
    puts("}");
    fflush(stdout);
    return RETS_KEEP;
}

static void on_state(void *user, const rets_info_t *info) {
    (void)user;
    if (info->event != RETS_LIFE_PROGRESS)
        fprintf(stderr, "rets-tail: %s%s%s\n", NAME(lives, info->event),
                info->event == RETS_LIFE_LINK_LOST ? ": " : "",
                info->event == RETS_LIFE_LINK_LOST ? info->last_error_text : "");
}

int main(int argc, char **argv) {
    struct timespec tick = {0, 20000000};
    const char *url = NULL, *store = "none";
    rets_t *r = NULL;
    rets_status st;
    int i;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--store") == 0)
            store = "all";
        else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
            left = strtoll(argv[++i], NULL, 10);
        else
            url = argv[i];
    }
    if (url == NULL || url[0] == '-') {
        fputs("usage: rets-tail [--store] [--count N] URL\n", stderr);
        return 64;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    st = rets_new(url, &r);
    if (st == RETS_OK) st = rets_set_option(r, "store", store);
    if (st == RETS_OK) st = rets_set_callback(r, on_change, NULL);
    if (st == RETS_OK) st = rets_set_state_callback(r, on_state, NULL);
    if (st == RETS_OK) st = rets_start(r);
    if (st == RETS_OK) st = rets_wait_ready(r, -1);
    while (st == RETS_OK && !interrupted && left != 0)
        nanosleep(&tick, NULL);
    if (st != RETS_OK)
        fprintf(stderr, "rets-tail: %s: %s\n", rets_strerror(st), rets_last_error());
    rets_free(r);
    return st != RETS_OK;
}
