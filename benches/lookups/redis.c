/* Lookups by asking a server over its Unix socket with hiredis: one by one, and many at a time.
 *
 *     lookups-redis SOCKET
 */

#include "contender.h"

#include <hiredis/hiredis.h>

enum { PIPELINED = 50 };

static const char *path;

static void *dial(uint64_t span) {
    redisContext *link = redisConnectUnix(path);
    (void)span;
    if (!link || link->err)
        fail(path, link ? link->errstr : "no memory");
    return link;
}

static void hang_up(void *own) {
    redisFree(own);
}

static uint64_t is_wrong(const struct key *key, redisReply *reply) {
    uint64_t wrong = 1;
    if (reply && reply->type == REDIS_REPLY_STRING && reply->len == VALUE_LEN) {
        char value[VALUE_LEN];
        memcpy(value, reply->str, VALUE_LEN);
        wrong = differs(key, value);
    }
    freeReplyObject(reply);
    return wrong;
}

static uint64_t single(void *own, const uint64_t *numbers) {
    struct key key = key_of(*numbers);
    const char *words[2] = {"GET", (const char *)&key};
    size_t lens[2] = {3, KEY_LEN};
    return is_wrong(&key, redisCommandArgv(own, 2, words, lens));
}

static uint64_t pipelined(void *own, const uint64_t *numbers) {
    struct key keys[PIPELINED];
    uint64_t wrong = 0;
    int n;
    for (n = 0; n < PIPELINED; n++) {
        const char *words[2] = {"GET", (const char *)&keys[n]};
        size_t lens[2] = {3, KEY_LEN};
        keys[n] = key_of(numbers[n]);
        redisAppendCommandArgv(own, 2, words, lens);
    }
    for (n = 0; n < PIPELINED; n++) {
        void *reply = NULL;
        if (redisGetReply(own, &reply) != REDIS_OK)
            return 1;
        wrong |= is_wrong(&keys[n], reply);
    }
    return wrong;
}

MODE_LOOPS(single, single, 1, 32, 0)
MODE_LOOPS(pipelined, pipelined, PIPELINED, 200, 0)

static const struct mode modes[] = {
    {"get", 1, dial, NULL, hang_up, single_get, single_tail},
    {"pipelined", 1, dial, NULL, hang_up, pipelined_get, pipelined_tail},
    {NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc != 2)
        fail("usage", "lookups-redis SOCKET");
    path = argv[1];
    contend(modes, NULL);
    return 0;
}
