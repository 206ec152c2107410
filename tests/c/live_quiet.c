/* Lookups make no system call: a thread that the kernel ends at the first one looks everything up
 * while the data changes. argv[1] is the primary's URL; it is emptied first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { ROUNDS = 200000, KEYS = 100 };

static rets_t *replica;
static volatile int refused, at_writes, finished, wrong;

/* Some of every kind; how many answers were not what they have to be. */
static int look(int round) {
    char key[16], buf[64];
    size_t len = 0;
    uint64_t version = 0;
    int bad = 0;
    const size_t key_len = (size_t)sprintf(key, "key:%d", round % KEYS);

    bad += rets_get(replica, 0, key, key_len, buf, sizeof buf, &len) != RETS_OK;
    bad += rets_get(replica, 0, key, key_len, buf, 1, &len) != RETS_TOO_SMALL;
    bad += rets_get(replica, 0, "none", 4, buf, sizeof buf, &len) != RETS_NOT_FOUND;
    bad += rets_get(replica, 0, "hash", 4, buf, sizeof buf, &len) != RETS_WRONG_TYPE;
    bad += rets_get_if_changed(replica, 0, "still", 5, &version, buf, sizeof buf, &len) != RETS_OK;
    bad += rets_get_if_changed(replica, 0, "still", 5, &version, buf, sizeof buf, &len) !=
           RETS_UNCHANGED;
    bad += rets_hget(replica, 0, "hash", 4, "field", 5, buf, sizeof buf, &len) != RETS_OK;
    bad += rets_exists(replica, 0, key, key_len) != RETS_OK;
    bad += rets_len(replica, 0, "hash", 4, &len) != RETS_OK;
    return bad;
}

/* Several keys at once; where a writer changes them all the time, that may wait for it. */
static int look_many(void) {
    char buf[64];
    rets_item items[2];

    memset(items, 0, sizeof items);
    items[0].key = "still", items[0].key_len = 5, items[0].buf = buf, items[0].buf_len = 64;
    items[1].key = "none", items[1].key_len = 4;
    return (rets_get_many(replica, items, 2, NULL) != RETS_OK) + (items[0].status != RETS_OK) +
           (items[1].status != RETS_NOT_FOUND);
}

static void *quiet(void *unused) {
    int round, bad;
    (void)unused;
    bad = look(0); /* the first lookup of a thread takes a seat */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
        refused = errno;
        return NULL;
    }
    for (round = 0; round < ROUNDS; round++)
        bad += look_many();
    at_writes = 1;
    for (round = 0; round < ROUNDS; round++)
        bad += look(round);
    wrong = bad;
    finished = 1;
    syscall(SYS_exit, 0);
    return NULL;
}

int main(int argc, char **argv) {
    char command[64];
    pthread_t thread;
    int server, n;

    if (argc < 2) return 2;
    server = server_connect(argv[1]);
    server_do(server, "FLUSHALL");
    server_do(server, "SET still x");
    server_do(server, "HSET hash field value");
    for (n = 0; n < KEYS; n++) {
        sprintf(command, "SET key:%d value", n);
        server_do(server, command);
    }
    EXPECT(rets_new(argv[1], &replica), RETS_OK);
    EXPECT(rets_start(replica), RETS_OK);
    EXPECT(rets_wait_ready(replica, 30000), RETS_OK);
    server_settle(server, replica);
    CHECK(pthread_create(&thread, NULL, quiet, NULL) == 0);
    for (n = 0; n < 6000 && !refused && !at_writes; n++)
        usleep(5000);
    for (n = 0; n < 5000 && !refused; n++) {
        sprintf(command, "SET key:%d value-%d", n % KEYS, n);
        server_do(server, command);
        server_do(server, n % 2 ? "SET none:other x" : "DEL none:other");
    }
    CHECK(pthread_join(thread, NULL) == 0);
    if (refused)
        printf("not checked: this kernel ends no thread at a system call: %s\n", strerror(refused));
    CHECK(finished || refused);
    CHECK(wrong == 0);
    rets_free(replica);
    close(server);
    return check_failures != 0;
}
