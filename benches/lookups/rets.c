/* Lookups in a replica, through the C ABI, as a program of yours would do them.
 *
 *     lookups-rets URL [OPTION=VALUE]...
 */

#include "contender.h"

#include <rets.h>

enum { PATIENCE_MS = 300000, MANY = 16 };

static rets_t *replica;

static uint64_t single(void *own, const uint64_t *numbers) {
    struct key key = key_of(*numbers);
    char value[VALUE_LEN];
    size_t len;
    (void)own;
    if (rets_get(replica, 0, &key, KEY_LEN, value, sizeof value, &len) != RETS_OK)
        return 1;
    return differs(&key, value);
}

static uint64_t many(void *own, const uint64_t *numbers) {
    struct key keys[MANY];
    char values[MANY][VALUE_LEN];
    rets_item items[MANY];
    uint64_t wrong = 0;
    int n;
    (void)own;
    for (n = 0; n < MANY; n++) {
        keys[n] = key_of(numbers[n]);
        items[n].db = 0;
        items[n].key = &keys[n];
        items[n].key_len = KEY_LEN;
        items[n].buf = values[n];
        items[n].buf_len = VALUE_LEN;
    }
    if (rets_get_many(replica, items, MANY, NULL) != RETS_OK)
        return 1;
    for (n = 0; n < MANY; n++)
        wrong |= items[n].status == RETS_OK ? differs(&keys[n], values[n]) : 1;
    return wrong;
}

/* The versions that a program keeps beside what it has parsed. */
static void *read_all(uint64_t span) {
    uint64_t *versions = calloc(span, sizeof *versions), n;
    char value[VALUE_LEN];
    size_t len;
    if (!versions)
        fail("unchanged", "no memory");
    for (n = 0; n < span; n++) {
        struct key key = key_of(n);
        if (rets_get_if_changed(replica, 0, &key, KEY_LEN, &versions[n], value, sizeof value,
                                &len) != RETS_OK)
            fail("rets_get_if_changed", rets_last_error());
    }
    return versions;
}

/* What changed meanwhile is read. */
static uint64_t unchanged(void *own, const uint64_t *numbers) {
    uint64_t *versions = own;
    struct key key = key_of(*numbers);
    char value[VALUE_LEN];
    size_t len;
    rets_status status = rets_get_if_changed(replica, 0, &key, KEY_LEN, &versions[*numbers], value,
                                             sizeof value, &len);
    return status == RETS_UNCHANGED ? 0 : status == RETS_OK ? differs(&key, value) : 1;
}

static uint64_t field(void *own, const uint64_t *numbers) {
    struct key name = key_of(*numbers);
    char value[VALUE_LEN];
    size_t len;
    (void)own;
    if (rets_hget(replica, 0, "hash", 4, &name, KEY_LEN, value, sizeof value, &len) != RETS_OK)
        return 1;
    return differs(&name, value);
}

/* One value of so many bytes. */
struct large {
    char key[32];
    char *room;
    uint64_t size;
};

static void *make_room(uint64_t size) {
    struct large *large = malloc(sizeof *large);
    if (!large || !(large->room = malloc(size)))
        fail("large", "no memory");
    memset(large->room, 0, size);
    snprintf(large->key, sizeof large->key, "large:%llu", (unsigned long long)size);
    large->size = size;
    return large;
}

static void free_room(void *own) {
    struct large *large = own;
    free(large->room);
    free(large);
}

static uint64_t whole(void *own, const uint64_t *numbers) {
    struct large *large = own;
    size_t len;
    (void)numbers;
    if (rets_get(replica, 0, large->key, strlen(large->key), large->room, large->size, &len) !=
        RETS_OK)
        return 1;
    return len ^ large->size;
}

/* The same key of many databases. */
static uint64_t database(void *own, const uint64_t *numbers) {
    struct key key = key_of(0);
    char value[VALUE_LEN];
    size_t len;
    (void)own;
    if (rets_get(replica, (int32_t)*numbers, &key, KEY_LEN, value, sizeof value, &len) != RETS_OK)
        return 1;
    return differs(&key, value);
}

MODE_LOOPS(single, single, 1, 1024, 0)
MODE_LOOPS(whole, whole, 1, 1, 0)
MODE_LOOPS(database, database, 1, 1024, 0)
MODE_LOOPS(many, many, MANY, 1024, 0)
MODE_LOOPS(unchanged, unchanged, 1, 1024, 1)
MODE_LOOPS(field, field, 1, 1024, 0)

static const struct mode modes[] = {
    {"get", 0, NULL, NULL, NULL, single_get, single_tail},
    {"get_many", 0, NULL, NULL, NULL, many_get, many_tail},
    {"get_if_changed", 0, read_all, NULL, free, unchanged_get, unchanged_tail},
    {"hget", 0, NULL, NULL, NULL, field_get, field_tail},
    {"large", 0, make_room, NULL, free_room, whole_get, whole_tail},
    {"databases", 0, NULL, NULL, NULL, database_get, database_tail},
    {NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    int n;
    rets_status st;
    if (argc < 2)
        fail("usage", "lookups-rets URL [OPTION=VALUE]...");
    st = rets_new(argv[1], &replica);
    for (n = 2; st == RETS_OK && n < argc; n++) {
        char *value = strchr(argv[n], '=');
        if (!value)
            fail("not an option", argv[n]);
        *value++ = 0;
        st = rets_set_option(replica, argv[n], value);
    }
    if (st == RETS_OK)
        st = rets_start(replica);
    if (st == RETS_OK)
        st = rets_wait_ready(replica, PATIENCE_MS);
    if (st != RETS_OK)
        fail(rets_strerror(st), rets_last_error());
    contend(modes, NULL);
    rets_free(replica);
    return 0;
}
