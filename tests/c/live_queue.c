/* Changes after the fact from a live primary, in a loop around poll. argv[1] is the primary's URL;
 * it is emptied first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"

#include <poll.h>

static int is(const void *data, size_t len, const char *text) {
    return data != NULL && len == strlen(text) && memcmp(data, text, len) == 0;
}

/* The next event, waited for; NULL where none comes. */
static const rets_event *next_event(rets_t *r, int fd) {
    const rets_event *e = NULL;
    struct pollfd ready;
    ready.fd = fd;
    ready.events = POLLIN;
    if (rets_next_event(r, &e) == RETS_OK) return e;
    if (poll(&ready, 1, 20000) != 1) return NULL;
    EXPECT(rets_next_event(r, &e), RETS_OK);
    return e;
}

/* The next event about this key: servers tell of other things, too. */
static const rets_event *next_of(rets_t *r, int fd, const char *key) {
    const rets_event *e;
    while ((e = next_event(r, fd)) != NULL)
        if (is(e->key, e->key_len, key)) return e;
    printf("no event of %s\n", key);
    exit(1);
}

static int on_change(void *user, const rets_event *e) {
    const rets_event *queued;
    int fd;
    EXPECT(rets_next_event((rets_t *)user, &queued), RETS_BUSY_CALLBACK);
    EXPECT(rets_event_fd((rets_t *)user, &fd), RETS_BUSY_CALLBACK);
    return is(e->key, e->key_len, "skipped") ? RETS_SKIP : RETS_KEEP;
}

int main(int argc, char **argv) {
    int server = server_connect(argc > 1 ? argv[1] : ""), fd = -1, i, overflows = 0;
    const rets_event *e;
    rets_element element;
    rets_t *r;
    char buf[8], command[128];
    size_t len;
    alarm(120);
    server_do(server, "FLUSHALL");
    server_do(server, "SET early 1");

    EXPECT(rets_new(argv[1], &r), RETS_OK);
    EXPECT(rets_next_event(r, &e), RETS_NOT_FOUND);
    EXPECT(rets_event_fd(r, &fd), RETS_OK);
    EXPECT(rets_set_callback(r, on_change, r), RETS_OK);
    EXPECT(rets_set_option(r, "event-queue", "4kb"), RETS_OK);
    EXPECT(rets_start(r), RETS_OK);
    EXPECT(rets_wait_ready(r, 20000), RETS_OK);
    e = next_of(r, fd, "early");
    CHECK(e->kind == RETS_EVENT_SET && e->phase == RETS_PHASE_INITIAL && e->argc == 0);
    CHECK(is(e->value, e->value_len, "1"));

    server_do(server, "SET skipped 1");
    server_do(server, "RPUSH list a b");
    server_do(server, "HSET hash f v");
    e = next_event(r, fd);
    while (e != NULL && e->key_len == 0) e = next_event(r, fd);
    CHECK(e != NULL && is(e->key, e->key_len, "list"));
    /* What it tells can be seen, and it stays until the next one is asked for. */
    EXPECT(rets_lindex(r, 0, "list", 4, 1, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 1 && buf[0] == 'b');
    CHECK(rets_value_len(e->whole) == 2 && e->argc == 4);
    CHECK(is(e->argv[0].data, e->argv[0].len, "RPUSH") || e->argv[0].len == 5);
    EXPECT(rets_value_at(e->whole, 0, &element), RETS_OK);
    CHECK(is(element.value, element.value_len, "a"));
    e = next_of(r, fd, "hash");
    CHECK(is(e->field, e->field_len, "f") || e->kind == RETS_EVENT_SET);

    /* More than fits: some events, then one that says so, then what came after. */
    for (i = 0; i < 200; i++) {
        sprintf(command, "SET many:%d a-value-of-some-length", i);
        server_do(server, command);
    }
    server_settle(server, r);
    i = 0;
    while (rets_next_event(r, &e) == RETS_OK) {
        if (e->kind == RETS_EVENT_OVERFLOW) {
            overflows++;
            CHECK(e->key_len == 0 && e->db == -1);
        } else if (e->key_len > 5) {
            CHECK(overflows == 0);
            i++;
        }
    }
    CHECK(overflows == 1 && i > 0 && i < 200);
    server_do(server, "SET after 1");
    e = next_of(r, fd, "after");
    CHECK(e->kind == RETS_EVENT_SET && e->phase == RETS_PHASE_LIVE && e->offset > 0);

    EXPECT(rets_stop(r, -1), RETS_OK);
    rets_free(r);
    close(server);
    return check_failures != 0;
}
