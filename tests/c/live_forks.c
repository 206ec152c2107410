/* Children of a program whose engine is busy, as are its readers: what is theirs they can still
 * look at and free, and an engine of their own comes up. argv[1] is the primary's URL; it is
 * emptied first. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "server.h"

#include <pthread.h>
#include <sys/wait.h>

enum { CHILDREN = 100, OWN = 10, KEYS = 1000, BURST = 100 };

static const char *url;
static volatile int done;
static rets_t *r;

/* Bursts of writes, one after the other, as far as the engine keeps up with them. */
static void *writes(void *unused) {
    static char text[1 << 14];
    rets_info_t info;
    int fd = server_connect(url), n = 0, i, got;
    ssize_t len, j;
    (void)unused;
    while (!done) {
        for (len = 0, i = 0; i < BURST; i++, n++) {
            /* The last one becomes large enough to be a tree. */
            static const char *const COMMANDS[] = {
                "SET some:key:%d %d\r\n",
                "HSET some:hash:%d f %d\r\n",
                "HSET large f:%d %d\r\n",
            };
            len += sprintf(text + len, COMMANDS[n % 3], n % KEYS, n);
        }
        if (write(fd, text, (size_t)len) != len) exit(2);
        for (got = 0; got < BURST;) {
            if ((len = read(fd, text, sizeof text)) <= 0) exit(2);
            for (j = 0; j < len; j++) got += text[j] == '\n';
        }
        info.struct_size = sizeof info;
        while (rets_info(r, &info) == RETS_OK && info.spooled_bytes > 1 << 16 && !done)
            usleep(1000);
    }
    close(fd);
    return NULL;
}

static void *reads(void *unused) {
    char key[32], buf[16];
    rets_value *v;
    size_t len;
    int n;
    (void)unused;
    EXPECT(rets_value_new(&v), RETS_OK);
    for (n = 0; !done; n++) {
        int at = sprintf(key, "some:key:%d", n % KEYS);
        (void)!rets_get(r, 0, key, (size_t)at, buf, sizeof buf, &len);
        (void)!rets_read(r, 0, "large", 5, 0, v);
    }
    rets_value_free(v);
    return NULL;
}

static int child(rets_value *v, rets_cursor *c, int has_own) {
    rets_t *own = NULL;
    rets_element e;
    const void *key;
    char buf[16];
    size_t len;
    alarm(60); /* what hangs is a failure */
    EXPECT(rets_value_at(v, 0, &e), RETS_OK);
    EXPECT(rets_cursor_next(c, NULL, &key, &len), RETS_FORKED);
    EXPECT(rets_read(r, 0, "large", 5, 0, v), RETS_FORKED);
    rets_value_free(v);
    rets_cursor_free(c);
    rets_free(r);
    if (has_own) {
        EXPECT(rets_new(url, &own), RETS_OK);
        EXPECT(rets_start(own), RETS_OK);
        EXPECT(rets_wait_ready(own, 30000), RETS_OK);
        EXPECT(rets_get(own, 0, "some:key:1", 10, buf, sizeof buf, &len), RETS_OK);
        EXPECT(rets_hget(own, 0, "large", 5, "f:1", 3, buf, sizeof buf, &len), RETS_OK);
        rets_free(own);
    }
    fflush(stdout);
    return check_failures != 0;
}

int main(int argc, char **argv) {
    pthread_t writer, reader;
    rets_value *v;
    rets_cursor *c;
    int server, n;
    if (argc < 2) return 2;
    url = argv[1];
    server = server_connect(url);
    server_do(server, "FLUSHALL");
    server_do(server, "HSET large f:1 v");
    server_do(server, "SET some:key:1 v");
    EXPECT(rets_new(url, &r), RETS_OK);
    EXPECT(rets_start(r), RETS_OK);
    EXPECT(rets_wait_ready(r, 30000), RETS_OK);
    if (pthread_create(&writer, NULL, writes, NULL) || pthread_create(&reader, NULL, reads, NULL))
        return 2;
    for (n = 0; n < CHILDREN && check_failures == 0; n++) {
        int status = -1;
        pid_t pid;
        EXPECT(rets_value_new(&v), RETS_OK);
        EXPECT(rets_read(r, 0, "large", 5, 0, v), RETS_OK);
        EXPECT(rets_cursor_new(r, -1, 0, &c), RETS_OK);
        fflush(stdout);
        pid = fork();
        if (pid == 0) _exit(child(v, c, n % (CHILDREN / OWN) == 0));
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
        rets_value_free(v);
        rets_cursor_free(c);
    }
    done = 1;
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    server_settle(server, r);
    rets_free(r);
    close(server);
    return check_failures != 0;
}
