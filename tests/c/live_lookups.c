/* Every kind of lookup against a live primary, before and after changes. argv[1] is its URL; it is
 * emptied first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"
#include <stddef.h>
#include <time.h>

static void strings(const rets_t *r, int server) {
    char buf[16];
    size_t len = 0;
    uint64_t version = 0;
    rets_item items[3];
    int64_t offset = -5;

    EXPECT(rets_get(r, 0, "greeting", 8, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 5 && memcmp(buf, "hello", 5) == 0);
    EXPECT(rets_get(r, 0, "greeting", 8, buf, 4, &len), RETS_TOO_SMALL);
    CHECK(len == 5);
    EXPECT(rets_get(r, 0, "list", 4, buf, sizeof buf, &len), RETS_WRONG_TYPE);
    EXPECT(rets_get(r, 0, "none", 4, buf, sizeof buf, &len), RETS_NOT_FOUND);
    EXPECT(rets_get(r, 7, "greeting", 8, buf, sizeof buf, &len), RETS_NOT_FOUND);
    EXPECT(rets_get(r, 5, "fifth", 5, buf, sizeof buf, &len), RETS_OK);

    EXPECT(rets_get_if_changed(r, 0, "greeting", 8, &version, buf, sizeof buf, &len), RETS_OK);
    EXPECT(rets_get_if_changed(r, 0, "greeting", 8, &version, buf, sizeof buf, &len),
           RETS_UNCHANGED);
    server_do(server, "APPEND greeting !");
    server_settle(server, r);
    EXPECT(rets_get_if_changed(r, 0, "greeting", 8, &version, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 6 && memcmp(buf, "hello!", 6) == 0);

    memset(items, 0, sizeof items);
    items[0].key = "greeting", items[0].key_len = 8, items[0].buf = buf,
    items[0].buf_len = sizeof buf;
    items[1].key = "list", items[1].key_len = 4;
    items[2].key = "fifth", items[2].key_len = 5, items[2].db = 5;
    EXPECT(rets_get_many(r, items, 3, &offset), RETS_OK);
    CHECK(items[0].status == RETS_OK && items[1].status == RETS_WRONG_TYPE);
    CHECK(items[2].status == RETS_TOO_SMALL && items[2].len == 1);
}

static void elements(const rets_t *r) {
    char buf[16];
    size_t len = 0;
    int64_t at = 0;
    double score = 0;
    rets_type_id type = RETS_TYPE_NONE;

    EXPECT(rets_hget(r, 0, "hash", 4, "f", 1, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 1 && buf[0] == 'v');
    EXPECT(rets_hget(r, 0, "hash", 4, "none", 4, buf, sizeof buf, &len), RETS_NOT_FOUND);
    EXPECT(rets_hexpires_at(r, 0, "hash", 4, "f", 1, &at), RETS_OK);
    CHECK(at == -1);
    EXPECT(rets_lindex(r, 0, "list", 4, -1, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 1 && buf[0] == 'c');
    EXPECT(rets_sismember(r, 0, "set", 3, "m", 1), RETS_OK);
    EXPECT(rets_sismember(r, 0, "set", 3, "x", 1), RETS_NOT_FOUND);
    EXPECT(rets_zscore(r, 0, "zset", 4, "m", 1, &score), RETS_OK);
    CHECK(score == 1.5);
    EXPECT(rets_type(r, 0, "zset", 4, &type), RETS_OK);
    CHECK(type == RETS_TYPE_ZSET);
    EXPECT(rets_len(r, 0, "list", 4, &len), RETS_OK);
    CHECK(len == 3);
    EXPECT(rets_expires_at(r, 0, "due", 3, &at), RETS_OK);
    CHECK(at > 0);
    EXPECT(rets_expires_at(r, 0, "list", 4, &at), RETS_OK);
    CHECK(at == -1);
}

static void wholes(const rets_t *r) {
    rets_value *v = NULL;
    rets_element e;
    rets_cursor *c = NULL;
    const void *key = NULL;
    size_t key_len = 0, met = 0;
    uint64_t count = 0;
    int32_t db = -1;
    char hex[41], replid[41];
    int64_t offset = -5;

    EXPECT(rets_value_new(&v), RETS_OK);
    EXPECT(rets_read(r, 0, "list", 4, 0, v), RETS_OK);
    CHECK(rets_value_type(v) == RETS_TYPE_LIST && rets_value_len(v) == 3);
    EXPECT(rets_value_at(v, 1, &e), RETS_OK);
    CHECK(e.field == NULL && e.value_len == 1 && memcmp(e.value, "b", 1) == 0);
    EXPECT(rets_value_at(v, 3, &e), RETS_NOT_FOUND);
    EXPECT(rets_read(r, 0, "zset", 4, 0, v), RETS_OK);
    EXPECT(rets_value_at(v, 0, &e), RETS_OK);
    CHECK(e.score == 1.5 && e.field_len == 1 && e.value == NULL);
    EXPECT(rets_read(r, 0, "due", 3, 0, v), RETS_OK);
    CHECK(rets_value_expires_at(v) > 0);
    rets_value_free(v);

    EXPECT(rets_cursor_new(r, -1, 0, &c), RETS_OK);
    while (rets_cursor_next(c, &db, &key, &key_len) == RETS_OK)
        met++;
    rets_cursor_free(c);
    EXPECT(rets_count(r, -1, &count), RETS_OK);
    CHECK(met == 8 && count == 8);

    EXPECT(rets_digest(r, hex, replid, &offset), RETS_OK);
    CHECK(strlen(hex) == 40 && offset >= -1);
    EXPECT(rets_key_digest(r, 0, "zset", 4, hex), RETS_OK);
    CHECK(strlen(hex) == 40);
    EXPECT(rets_key_digest(r, 0, "none", 4, hex), RETS_NOT_FOUND);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void following(rets_t *r, int64_t began_ms) {
    rets_info_t info;
    info.struct_size = sizeof info;
    EXPECT(rets_info(r, &info), RETS_OK);
    CHECK(info.ready == 1 && info.diverged == 0 && info.state == RETS_STATE_FOLLOWING);
    CHECK(info.full_syncs == 1 && info.keys == 8 && info.primary[0] != 0);
    CHECK(info.connects == 1 && info.partial_syncs == 0 && info.will_retry == 1);
    CHECK(info.since_ms > began_ms && info.since_ms <= now_ms());
    CHECK(info.last_byte_age_ms >= 0 && info.data_age_ms >= 0);
    CHECK(info.last_byte_age_ms <= now_ms() - began_ms && info.data_age_ms <= now_ms() - began_ms);
    CHECK(info.memory_bytes > 0 && info.memory_peak_bytes >= info.memory_bytes);
    CHECK(info.last_error == RETS_OK && info.last_error_at_ms == -1);
    CHECK(info.last_error_text[0] == 0);
    CHECK(info.units > 0 && info.commands_applied >= info.units && info.callbacks == 0);
    CHECK(info.offset < 0 ? info.lag_bytes == -1 : info.offset_received >= info.offset);
    if (info.offset >= 0) {
        EXPECT(rets_wait_offset(r, NULL, info.offset, 1000), RETS_OK);
        EXPECT(rets_wait_offset(r, info.replid, info.offset, 1000), RETS_OK);
        EXPECT(rets_wait_offset(r, "ffffffffffffffffffffffffffffffffffffffff", 1, 0),
               RETS_OTHER_HISTORY);
        EXPECT(rets_wait_offset(r, NULL, info.offset + 1000000, 0), RETS_TIMEOUT);
    }
    EXPECT(rets_start(r), RETS_INVALID);
    EXPECT(rets_set_option(r, "store", "none"), RETS_INVALID);
}

/* What a value takes is told with its type, and all types together are all there is. */
static void memory(const rets_t *r, int server) {
    static const struct {
        const char *command;
        size_t place;
    } KINDS[] = {
        {"SET large:string %s", offsetof(rets_info_t, strings_bytes)},
        {"RPUSH large:list %s", offsetof(rets_info_t, lists_bytes)},
        {"SADD large:set %s", offsetof(rets_info_t, sets_bytes)},
        {"ZADD large:zset 1 %s", offsetof(rets_info_t, zsets_bytes)},
        {"HSET large:hash field %s", offsetof(rets_info_t, hashes_bytes)},
        {"XADD large:stream * field %s", offsetof(rets_info_t, streams_bytes)},
    };
    enum { FIRST = offsetof(rets_info_t, strings_bytes), PARTS = 9, LARGE = 900 };
    char large[LARGE + 1], command[LARGE + 100];
    rets_info_t before, after;
    size_t i, n;

    memset(large, 'x', LARGE);
    large[LARGE] = 0;
    before.struct_size = after.struct_size = sizeof before;
    server_settle(server, r);
    EXPECT(rets_info(r, &before), RETS_OK);
    for (i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        uint64_t sum = 0;
        sprintf(command, KINDS[i].command, large);
        server_do(server, command);
        server_settle(server, r);
        EXPECT(rets_info(r, &after), RETS_OK);
        for (n = 0; n < PARTS; n++) {
            size_t place = FIRST + n * sizeof(uint64_t);
            uint64_t was, is;
            memcpy(&was, (const char *)&before + place, sizeof was);
            memcpy(&is, (const char *)&after + place, sizeof is);
            CHECK(place == KINDS[i].place ? is >= was + LARGE : is < was + 100);
            sum += is;
        }
        CHECK(sum == after.memory_bytes);
        before = after;
    }
}

int main(int argc, char **argv) {
    static const char *const FILL[] = {
        "FLUSHALL",        "SET greeting hello", "RPUSH list a b c", "SADD set m n",
        "ZADD zset 1.5 m", "HSET hash f v",      "SET due x",        "EXPIREAT due 4102444800",
        "SELECT 5",        "SET fifth 5",        "SELECT 0",
    };
    int64_t began_ms = now_ms() - 1;
    rets_t *r = NULL;
    size_t i;
    int server;
    if (argc < 2) return 2;
    server = server_connect(argv[1]);
    for (i = 0; i < sizeof FILL / sizeof *FILL; i++)
        server_do(server, FILL[i]);
    EXPECT(rets_new(argv[1], &r), RETS_OK);
    EXPECT(rets_start(r), RETS_OK);
    EXPECT(rets_wait_ready(r, 30000), RETS_OK);
    if (check_failures == 0) {
        server_settle(server, r);
        strings(r, server);
        elements(r);
        wholes(r);
        following(r, began_ms);
        memory(r, server);
    }
    EXPECT(rets_stop(r, 30000), RETS_OK);
    EXPECT(rets_exists(r, 0, "list", 4), RETS_STOPPED);
    rets_free(r);
    close(server);
    return check_failures != 0;
}
