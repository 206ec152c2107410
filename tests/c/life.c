/* A handle that is never started: every lookup says that nothing is ready, options can be set and
 * read back, and after a stop everything says so. */
#include "check.h"

static int on_change(void *user, const rets_event *e) {
    (void)user;
    (void)e;
    return RETS_KEEP;
}

static void on_state(void *user, const rets_info_t *info) {
    (void)user;
    (void)info;
}

static void lookups(const rets_t *r, rets_status wanted) {
    char buf[8];
    size_t len = 77;
    uint64_t version = 5, count = 5;
    int64_t at = 5;
    double score = 5;
    rets_type_id type = RETS_TYPE_LIST;
    rets_item items[2];
    rets_value *v = NULL;
    rets_cursor *c = (rets_cursor *)buf;

    EXPECT(rets_get(r, 0, "k", 1, buf, sizeof buf, &len), wanted);
    CHECK(len == 0);
    EXPECT(rets_get_if_changed(r, 0, "k", 1, &version, buf, sizeof buf, &len), wanted);
    CHECK(version == 5);
    memset(items, 0, sizeof items);
    items[0].key = items[1].key = "k";
    items[0].key_len = 1;
    items[1].db = -4;
    EXPECT(rets_get_many(r, items, 2, &at), wanted);
    CHECK(items[0].status == wanted && items[1].status == RETS_INVALID && at == 5);
    EXPECT(rets_hget(r, 0, "k", 1, "f", 1, buf, sizeof buf, &len), wanted);
    EXPECT(rets_exists(r, 0, "k", 1), wanted);
    EXPECT(rets_exists(r, 0, NULL, 0), wanted);
    EXPECT(rets_type(r, 0, "k", 1, &type), wanted);
    EXPECT(rets_expires_at(r, 0, "k", 1, &at), wanted);
    EXPECT(rets_hexpires_at(r, 0, "k", 1, "f", 1, &at), wanted);
    EXPECT(rets_len(r, 0, "k", 1, &len), wanted);
    EXPECT(rets_lindex(r, 0, "k", 1, 0, buf, sizeof buf, &len), wanted);
    EXPECT(rets_sismember(r, 0, "k", 1, "m", 1), wanted);
    EXPECT(rets_zscore(r, 0, "k", 1, "m", 1, &score), wanted);
    EXPECT(rets_count(r, -1, &count), wanted);
    CHECK(type == RETS_TYPE_LIST && at == 5 && score == 5 && count == 5);
    EXPECT(rets_cursor_new(r, -1, 0, &c), wanted);
    CHECK(c == NULL);
    EXPECT(rets_value_new(&v), RETS_OK);
    EXPECT(rets_read(r, 0, "k", 1, 0, v), wanted);
    CHECK(rets_value_type(v) == RETS_TYPE_NONE && rets_value_len(v) == 0);
    rets_value_free(v);
}

static void options(rets_t *r) {
    char buf[64];
    size_t len = 0;
    EXPECT(rets_set_option(r, "max-memory", "512mb"), RETS_OK);
    EXPECT(rets_option(r, "max-memory", NULL, 0, &len), RETS_TOO_SMALL);
    CHECK(len == 9);
    EXPECT(rets_option(r, "max-memory", buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 9 && memcmp(buf, "536870912", 9) == 0);
    EXPECT(rets_set_option(r, "password", "very secret"), RETS_OK);
    EXPECT(rets_option(r, "password", buf, sizeof buf, &len), RETS_OK);
    CHECK(len < sizeof buf && memcmp(buf, "very", 4) != 0);
    EXPECT(rets_set_option(r, "max-memory", "a lot"), RETS_INVALID);
    CHECK(strstr(rets_last_error(), "max-memory") != NULL);
    EXPECT(rets_set_option(r, "max-memroy", "1"), RETS_INVALID);
    CHECK(strstr(rets_last_error(), "max-memory") != NULL);
}

static void info(const rets_t *r) {
    rets_info_t i;
    i.struct_size = sizeof i;
    EXPECT(rets_info(r, &i), RETS_OK);
    CHECK(i.struct_size == sizeof i);
    CHECK(i.state == RETS_STATE_NEW && i.ready == 0 && i.link == 0);
    CHECK(i.offset == -1 && i.replid[0] == 0 && i.last_error == RETS_OK);
}

int main(void) {
    rets_t *r = NULL, *other = NULL;
    CHECK(strcmp(rets_version(), RETS_VERSION) == 0);
    CHECK(rets_last_error()[0] == 0);
    EXPECT(rets_new("redis://user:pass%21@[::1]:6380/3", &r), RETS_OK);
    EXPECT(rets_new("unix:///tmp/none.sock", &other), RETS_OK);
    options(r);
    info(r);
    lookups(r, RETS_NOT_READY);
    EXPECT(rets_set_callback(r, on_change, &other), RETS_OK);
    EXPECT(rets_set_callback(r, NULL, NULL), RETS_OK);
    EXPECT(rets_set_state_callback(r, on_state, &other), RETS_OK);
    EXPECT(rets_set_state_callback(r, on_state, NULL), RETS_OK);
    EXPECT(rets_stop(r, -1), RETS_OK);
    EXPECT(rets_stop(r, 0), RETS_OK);
    lookups(r, RETS_STOPPED);
    lookups(other, RETS_NOT_READY);
    rets_free(r);
    rets_free(other);
    rets_free(NULL);
    return check_failures != 0;
}
