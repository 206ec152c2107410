/* How long it takes until a write is seen that the primary has answered: from the reply at the
 * writer until the value is there for a reader.
 *
 *     latency rets PRIMARY_SOCKET             rets_get, polled
 *     latency woken PRIMARY_SOCKET            rets_get, each time that rets_event_fd wakes it
 *     latency caching PRIMARY_SOCKET          client-side caching: the push of an invalidation is
 *                                             waited for, and the key fetched anew
 *     latency replica PRIMARY_SOCKET SOCKET   GET at a real replica, polled
 *
 * Says `ready`; for each line `run COUNT PAUSE_US` on stdin it writes as often and answers with
 * nanoseconds: median, p99, p99.9, most.
 */

#include "lookups/contender.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <rets.h>
#include <unistd.h>

enum { PATIENCE_MS = 300000 };

#define KEY "latency"

/* Waits until the value is this, or anything newer. */
typedef void (*see_fn)(const char *value, size_t len);

static rets_t *replica;
static struct pollfd events = {-1, POLLIN, 0};
static redisContext *writer, *reader, *pushes;

static redisContext *dial(const char *path) {
    redisContext *link = redisConnectUnix(path);
    if (!link || link->err)
        fail(path, link ? link->errstr : "no memory");
    return link;
}

static redisReply *answered(redisReply *reply) {
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail("a server", reply ? reply->str : "has gone");
    return reply;
}

static int is_visible(const char *value, size_t len) {
    char found[32];
    size_t found_len;
    rets_status st = rets_get(replica, 0, KEY, strlen(KEY), found, sizeof found, &found_len);
    if (st != RETS_OK && st != RETS_NOT_FOUND)
        fail("rets_get", rets_last_error());
    return st == RETS_OK && found_len == len && memcmp(found, value, len) == 0;
}

static void see_rets(const char *value, size_t len) {
    while (!is_visible(value, len)) {}
}

/* What is left in the queue from the last time wakes it once in vain. */
static void see_woken(const char *value, size_t len) {
    const rets_event *event;
    while (!is_visible(value, len)) {
        if (poll(&events, 1, PATIENCE_MS) <= 0)
            fail("rets_event_fd", "nothing comes");
        while (rets_next_event(replica, &event) == RETS_OK) {}
    }
}

/* Whether GET answers the value; it is tracked from here on where tracking is on. */
static int is_there(const char *value, size_t len) {
    redisReply *reply = answered(redisCommand(reader, "GET " KEY));
    int same = reply->type == REDIS_REPLY_STRING && (size_t)reply->len == len &&
               memcmp(reply->str, value, len) == 0;
    freeReplyObject(reply);
    return same;
}

static void see_replica(const char *value, size_t len) {
    while (!is_there(value, len)) {}
}

static void see_caching(const char *value, size_t len) {
    void *push = NULL;
    if (redisGetReply(pushes, &push) != REDIS_OK)
        fail("pushes", pushes->errstr);
    freeReplyObject(push);
    if (!is_there(value, len))
        fail("caching", "what was fetched is not what was written");
}

static void attach(const char *path, int is_woken) {
    char url[256];
    rets_status st;
    snprintf(url, sizeof url, "unix://%s", path);
    st = rets_new(url, &replica);
    if (st == RETS_OK && is_woken)
        st = rets_event_fd(replica, &events.fd);
    if (st == RETS_OK)
        st = rets_start(replica);
    if (st == RETS_OK)
        st = rets_wait_ready(replica, PATIENCE_MS);
    if (st != RETS_OK)
        fail(rets_strerror(st), rets_last_error());
}

static void track(const char *path) {
    redisReply *id, *on;
    reader = dial(path);
    pushes = dial(path);
    id = answered(redisCommand(pushes, "CLIENT ID"));
    freeReplyObject(answered(redisCommand(pushes, "SUBSCRIBE __redis__:invalidate")));
    on = redisCommand(reader, "CLIENT TRACKING ON REDIRECT %lld", id->integer);
    freeReplyObject(answered(on));
    freeReplyObject(id);
    freeReplyObject(answered(redisCommand(reader, "GET " KEY)));
}

static void run(see_fn see, size_t count, unsigned pause_us) {
    static uint64_t serial;
    uint32_t *samples = calloc(count, sizeof *samples);
    size_t n, last = count - 1;
    if (!samples || count == 0)
        fail("run", "no memory");
    for (n = 0; n < count; n++) {
        char value[32];
        int len = snprintf(value, sizeof value, "%llu", (unsigned long long)++serial);
        int64_t replied, took;
        usleep(pause_us);
        freeReplyObject(answered(redisCommand(writer, "SET " KEY " %s", value)));
        replied = now_ns();
        see(value, (size_t)len);
        took = now_ns() - replied;
        samples[n] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    }
    qsort(samples, count, sizeof *samples, by_size);
    printf("%u %u %u %u\n", samples[last / 2], samples[(size_t)((double)last * 0.99)],
           samples[(size_t)((double)last * 0.999)], samples[last]);
    fflush(stdout);
    free(samples);
}

int main(int argc, char **argv) {
    char line[64];
    unsigned long count;
    unsigned pause_us;
    see_fn see;
    if (argc < 3)
        fail("usage", "latency rets|woken|caching|replica PRIMARY_SOCKET [SOCKET]");
    if (strcmp(argv[1], "rets") == 0) {
        see = see_rets;
        attach(argv[2], 0);
    } else if (strcmp(argv[1], "woken") == 0) {
        see = see_woken;
        attach(argv[2], 1);
    } else if (strcmp(argv[1], "caching") == 0) {
        see = see_caching;
        track(argv[2]);
    } else {
        see = see_replica;
        reader = dial(argv[argc - 1]);
    }
    writer = dial(argv[2]);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        if (sscanf(line, "run %lu %u", &count, &pause_us) == 2)
            run(see, count, pause_us);
    rets_free(replica);
    return 0;
}
