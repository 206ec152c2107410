/* What a change callback sees of a live primary, what skipping does, and what it may call
 * meanwhile. argv[1] is the primary's URL; it is emptied first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"

struct seen {
    rets_t *r;
    int kinds[RETS_EVENT_UNKNOWN + 1];
    int initial, live, misuse, states, ready;
    char last_value[32];
};

static int is(const void *data, size_t len, const char *text) {
    return data != NULL && len == strlen(text) && memcmp(data, text, len) == 0;
}

static int on_change(void *user, const rets_event *e) {
    struct seen *seen = (struct seen *)user;
    char buf[8], hex[41];
    size_t len;
    CHECK(e->struct_size == sizeof *e && e->link == 0);
    if (e->kind <= RETS_EVENT_UNKNOWN) seen->kinds[e->kind]++;
    if (e->phase == RETS_PHASE_INITIAL) seen->initial++;
    if (e->phase == RETS_PHASE_LIVE) {
        seen->live++;
        CHECK(e->argc > 0 && e->argv[0].len > 0);
    }
    if (is(e->key, e->key_len, "string") && e->value_len < sizeof seen->last_value) {
        memcpy(seen->last_value, e->value, e->value_len);
        seen->last_value[e->value_len] = 0;
    }
    if (is(e->key, e->key_len, "list") && e->kind == RETS_EVENT_SET) {
        rets_element element;
        CHECK(e->type == RETS_TYPE_LIST && rets_value_len(e->whole) == 2);
        EXPECT(rets_value_at(e->whole, 1, &element), RETS_OK);
        CHECK(is(element.value, element.value_len, "b"));
    }
    if (seen->misuse++ == 0) {
        rets_status st = rets_get(seen->r, 0, "x", 1, buf, sizeof buf, &len);
        CHECK(st == RETS_NOT_READY);
        EXPECT(rets_wait_ready(seen->r, -1), RETS_BUSY_CALLBACK);
        EXPECT(rets_wait_offset(seen->r, NULL, 1, -1), RETS_BUSY_CALLBACK);
        EXPECT(rets_stop(seen->r, -1), RETS_BUSY_CALLBACK);
        EXPECT(rets_set_callback(seen->r, NULL, NULL), RETS_BUSY_CALLBACK);
        EXPECT(rets_digest(seen->r, hex, NULL, NULL), RETS_BUSY_CALLBACK);
        rets_free(seen->r);
    }
    return e->key_len >= 4 && memcmp(e->key, "tmp:", 4) == 0 ? RETS_SKIP : RETS_KEEP;
}

static void on_state(void *user, const rets_info_t *info) {
    struct seen *seen = (struct seen *)user;
    CHECK(info->struct_size == sizeof *info);
    seen->states++;
    if (info->ready) seen->ready++;
}

int main(int argc, char **argv) {
    static const char *const FILL[] = {"FLUSHALL", "SET string 1", "SET tmp:a 1", "RPUSH list a b",
                                       "SADD set m"};
    static const char *const LIVE[] = {
        "INCR string",   "SET tmp:b 2", "INCR tmp:a",
        "HSET hash f v", "HDEL hash f", "EXPIREAT string 4102444800",
        "DEL list",
    };
    static struct seen seen;
    rets_t *r = NULL;
    rets_info_t info;
    char buf[8], hex[41];
    size_t i, len = 0;
    int server;
    if (argc < 2) return 2;
    server = server_connect(argv[1]);
    for (i = 0; i < sizeof FILL / sizeof *FILL; i++)
        server_do(server, FILL[i]);

    EXPECT(rets_new(argv[1], &r), RETS_OK);
    seen.r = r;
    EXPECT(rets_set_callback(r, on_change, &seen), RETS_OK);
    EXPECT(rets_set_state_callback(r, on_state, &seen), RETS_OK);
    EXPECT(rets_start(r), RETS_OK);
    EXPECT(rets_wait_ready(r, 30000), RETS_OK);
    for (i = 0; i < sizeof LIVE / sizeof *LIVE; i++)
        server_do(server, LIVE[i]);
    server_settle(server, r);

    EXPECT(rets_get(r, 0, "string", 6, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 1 && buf[0] == '2');
    EXPECT(rets_exists(r, 0, "tmp:a", 5), RETS_WITHHELD);
    EXPECT(rets_exists(r, 0, "tmp:b", 5), RETS_WITHHELD);
    EXPECT(rets_exists(r, 0, "list", 4), RETS_NOT_FOUND);
    EXPECT(rets_digest(r, hex, NULL, NULL), RETS_INCOMPLETE);
    info.struct_size = sizeof info;
    EXPECT(rets_info(r, &info), RETS_OK);
    CHECK(info.ghosts == 2 && info.skipped >= 2 && info.callbacks >= info.skipped);

    /* When this returns the callback is done, so what it counted may be read. */
    EXPECT(rets_set_callback(r, NULL, NULL), RETS_OK);
    EXPECT(rets_set_state_callback(r, NULL, NULL), RETS_OK);
    CHECK(seen.initial == 4 && seen.live >= 7);
    CHECK(seen.kinds[RETS_EVENT_EDIT] >= 2 &&
          seen.kinds[RETS_EVENT_HASH_SET] + seen.kinds[RETS_EVENT_SET] >= 5);
    CHECK(seen.kinds[RETS_EVENT_DEL] == 1 && seen.kinds[RETS_EVENT_EXPIRE] == 1);
    CHECK(seen.states > 0 && seen.ready > 0);

    server_do(server, "DEL tmp:a");
    server_settle(server, r);
    EXPECT(rets_exists(r, 0, "tmp:a", 5), RETS_NOT_FOUND);
    rets_free(r);
    close(server);
    return check_failures != 0;
}
