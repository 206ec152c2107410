/* Lookups in LMDB, within a long read transaction that is renewed every few thousand lookups.
 *
 *     lookups-lmdb FOLDER KEYS
 */

#include "contender.h"

#include <lmdb.h>

enum { WRITES_AT_ONCE = 100, FILLED_AT_ONCE = 10000 };

static MDB_env *env;
static MDB_dbi dbi;
static uint64_t all;

static void must(int code) {
    if (code != 0)
        fail("LMDB", mdb_strerror(code));
}

static void put(MDB_txn *txn, uint64_t number, uint64_t serial) {
    struct key key = key_of(number);
    uint64_t words[4];
    MDB_val name, value;
    memcpy(words, &key, sizeof key);
    words[2] = words[3] = serial;
    name.mv_data = &key;
    name.mv_size = KEY_LEN;
    value.mv_data = words;
    value.mv_size = VALUE_LEN;
    must(mdb_put(txn, dbi, &name, &value, 0));
}

static void *begin(uint64_t span) {
    MDB_txn *txn;
    (void)span;
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    return txn;
}

static void renew(void *own) {
    mdb_txn_reset(own);
    must(mdb_txn_renew(own));
}

static void end(void *own) {
    mdb_txn_abort(own);
}

static uint64_t single(void *own, const uint64_t *numbers) {
    struct key key = key_of(*numbers);
    char copy[VALUE_LEN];
    MDB_val name, value;
    name.mv_data = &key;
    name.mv_size = KEY_LEN;
    if (mdb_get(own, dbi, &name, &value) != 0 || value.mv_size != VALUE_LEN)
        return 1;
    memcpy(copy, value.mv_data, VALUE_LEN);
    return differs(&key, copy);
}

static pthread_t writer;
static int writes;
static uint64_t written;
static int64_t writing_since;

static void *write_on(void *unused) {
    uint64_t random = 1;
    while (__atomic_load_n(&writes, __ATOMIC_RELAXED)) {
        MDB_txn *txn;
        int n;
        must(mdb_txn_begin(env, NULL, 0, &txn));
        for (n = 0; n < WRITES_AT_ONCE; n++) {
            random += 0x9e3779b97f4a7c15u;
            put(txn, (mixed(random) >> 32) * all >> 32, written++);
        }
        must(mdb_txn_commit(txn));
    }
    return unused;
}

static double set_writer(int on) {
    if (on) {
        written = 0;
        writes = 1;
        writing_since = now_ns();
        pthread_create(&writer, NULL, write_on, NULL);
        return 0;
    }
    __atomic_store_n(&writes, 0, __ATOMIC_RELAXED);
    pthread_join(writer, NULL);
    return (double)written * 1e9 / (double)(now_ns() - writing_since);
}

MODE_LOOPS(single, single, 1, 1024, 0)

static const struct mode modes[] = {
    {"get", 0, begin, renew, end, single_get, single_tail},
    {NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    MDB_txn *txn;
    uint64_t n;
    if (argc != 3)
        fail("usage", "lookups-lmdb FOLDER KEYS");
    all = strtoull(argv[2], NULL, 10);
    must(mdb_env_create(&env));
    must(mdb_env_set_mapsize(env, (size_t)(1 << 30) + all * 1024));
    /* Nothing here has to survive anything. */
    must(mdb_env_open(env, argv[1], MDB_NOSYNC | MDB_NOMETASYNC, 0600));
    must(mdb_txn_begin(env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, NULL, 0, &dbi));
    for (n = 0; n < all; n++) {
        put(txn, n, 0);
        if (n % FILLED_AT_ONCE == FILLED_AT_ONCE - 1) {
            must(mdb_txn_commit(txn));
            must(mdb_txn_begin(env, NULL, 0, &txn));
        }
    }
    must(mdb_txn_commit(txn));
    contend(modes, set_writer);
    return 0;
}
