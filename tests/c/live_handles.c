/* Two handles in one program: what each has to itself, who asks the callbacks and what they may
 * not do to either, and what is left when one goes. argv[1] is the primary's URL; it is emptied
 * first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"

#include <dirent.h>

static rets_t *both[2];
static volatile int asked, told, logged, inside;

static int is_thread(const char *path, const char *name) {
    char comm[32] = "";
    size_t len = strlen(name);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    if (fgets(comm, sizeof comm, file) == NULL) comm[0] = 0;
    fclose(file);
    return strncmp(comm, name, len) == 0;
}

/* How many threads of this process have a name that begins so. */
static int threads(const char *name) {
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    char path[300];
    int count = 0;
    while ((task = readdir(tasks)) != NULL) {
        sprintf(path, "/proc/self/task/%s/comm", task->d_name);
        count += is_thread(path, name);
    }
    closedir(tasks);
    return count;
}

/* A thread that was joined may be listed for a moment. */
static int threads_become(int wanted) {
    int tries;
    for (tries = 0; tries < 6000 && threads("rets/") != wanted; tries++) usleep(5000);
    return threads("rets/") == wanted;
}

/* Whichever handle it is for. */
static void refuses(void) {
    char hex[41];
    int i;
    for (i = 0; i < 2; i++) {
        rets_t *r = both[i];
        EXPECT(rets_stop(r, 0), RETS_BUSY_CALLBACK);
        EXPECT(rets_start(r), RETS_BUSY_CALLBACK);
        EXPECT(rets_wait_ready(r, 0), RETS_BUSY_CALLBACK);
        EXPECT(rets_wait_offset(r, NULL, 0, 0), RETS_BUSY_CALLBACK);
        EXPECT(rets_digest(r, hex, NULL, NULL), RETS_BUSY_CALLBACK);
        EXPECT(rets_set_option(r, "max-memory", "1gb"), RETS_BUSY_CALLBACK);
        EXPECT(rets_set_callback(r, NULL, NULL), RETS_BUSY_CALLBACK);
        EXPECT(rets_set_state_callback(r, NULL, NULL), RETS_BUSY_CALLBACK);
        rets_free(r);
    }
    EXPECT(rets_set_log(NULL, NULL, 0), RETS_BUSY_CALLBACK);
}

static int on_change(void *user, const rets_event *e) {
    char buf[8];
    size_t len;
    (void)e;
    CHECK(__sync_add_and_fetch(&inside, 1) == 1);
    CHECK(is_thread("/proc/thread-self/comm", "rets/apply\n"));
    if (asked++ == 0) {
        refuses();
        EXPECT(rets_get(both[1], 0, "before", 6, buf, sizeof buf, &len), RETS_OK);
    }
    CHECK(user == both);
    __sync_sub_and_fetch(&inside, 1);
    return RETS_KEEP;
}

static void on_state(void *user, const rets_info_t *info) {
    CHECK(user == &told && info->link == 0);
    if (told++ == 0) refuses();
}

static void on_log(void *user, int level, const char *text, size_t text_len) {
    CHECK(user == &logged && level >= RETS_LOG_ERROR && level <= RETS_LOG_DEBUG);
    CHECK(strlen(text) == text_len && strchr(text, '\n') == NULL);
    if (logged++ == 0) refuses();
}

/* Somebody is asked from one moment to the next, while another is not, and things come. */
static void exchanges(rets_t *r, int server) {
    char command[64];
    int i;
    for (i = 0; i < 300; i++) {
        sprintf(command, "SET some:key %d", i);
        server_do(server, command);
        EXPECT(rets_set_callback(r, i % 2 ? NULL : on_change, both), RETS_OK);
    }
    EXPECT(rets_set_callback(r, on_change, both), RETS_OK);
    server_settle(server, r);
    CHECK(asked > 0);
    EXPECT(rets_set_callback(r, NULL, NULL), RETS_OK);
}

/* What is the program's own is there for as long as it likes. */
static void ends(rets_t *r) {
    rets_value *v;
    rets_cursor *c;
    rets_element e;
    const void *key = NULL, *last;
    size_t len = 0;
    int32_t db = -9;
    EXPECT(rets_value_new(&v), RETS_OK);
    EXPECT(rets_read(r, 0, "before", 6, 0, v), RETS_OK);
    EXPECT(rets_cursor_new(r, -1, 0, &c), RETS_OK);
    EXPECT(rets_cursor_next(c, &db, &key, &len), RETS_OK);
    CHECK(db == 0 && len > 0);
    last = key;
    EXPECT(rets_stop(r, -1), RETS_OK);
    CHECK(threads_become(3));
    EXPECT(rets_cursor_next(c, &db, &key, &len), RETS_STOPPED);
    rets_free(r);
    EXPECT(rets_cursor_next(c, &db, &key, &len), RETS_STOPPED);
    CHECK(key == last && db == 0);
    EXPECT(rets_value_at(v, 0, &e), RETS_OK);
    CHECK(e.value_len == 1 && memcmp(e.value, "1", 1) == 0);
    rets_cursor_free(c);
    rets_value_free(v);
}

int main(int argc, char **argv) {
    char buf[16];
    size_t len = 0;
    int server, i;
    if (argc < 2) return 2;
    server = server_connect(argv[1]);
    server_do(server, "FLUSHALL");
    server_do(server, "SET before 1");
    server_do(server, "SET tmp:before 1");
    EXPECT(rets_set_log(on_log, (void *)(uintptr_t)&logged, RETS_LOG_DEBUG), RETS_OK);
    for (i = 0; i < 2; i++) EXPECT(rets_new(argv[1], &both[i]), RETS_OK);
    EXPECT(rets_set_option(both[0], "exclude-keys", "tmp:*"), RETS_OK);
    EXPECT(rets_set_option(both[1], "heal", "yes"), RETS_OK);
    EXPECT(rets_set_state_callback(both[0], on_state, (void *)(uintptr_t)&told), RETS_OK);
    CHECK(threads("rets/") == 0);
    for (i = 0; i < 2; i++) EXPECT(rets_start(both[i]), RETS_OK);
    for (i = 0; i < 2; i++) EXPECT(rets_wait_ready(both[i], 30000), RETS_OK);
    CHECK(threads("rets/link\n") == 2 && threads("rets/apply\n") == 2);
    CHECK(threads("rets/heal\n") == 1 && threads("rets/") == 5);

    EXPECT(rets_exists(both[0], 0, "tmp:before", 10), RETS_WITHHELD);
    EXPECT(rets_exists(both[1], 0, "tmp:before", 10), RETS_OK);
    exchanges(both[0], server);
    EXPECT(rets_set_state_callback(both[0], NULL, NULL), RETS_OK);
    EXPECT(rets_set_log(NULL, NULL, 0), RETS_OK);
    CHECK(told > 0 && logged > 0);

    ends(both[0]);
    server_do(server, "SET behind 2");
    server_settle(server, both[1]);
    EXPECT(rets_get(both[1], 0, "behind", 6, buf, sizeof buf, &len), RETS_OK);
    CHECK(len == 1 && buf[0] == '2');
    rets_free(both[1]);
    CHECK(threads_become(0));
    close(server);
    return check_failures != 0;
}
