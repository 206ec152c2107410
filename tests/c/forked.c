/* A forked child: everything with a handle from before the fork says so, nothing hangs, and a
 * handle of the child's own works. */
#define _DEFAULT_SOURCE
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

static volatile int is_heard, may_return;

static void on_log(void *user, int level, const char *text, size_t text_len) {
    (void)user, (void)level, (void)text, (void)text_len;
    is_heard = 1;
    while (!may_return) usleep(1000);
}

static int child(rets_t *r) {
    char buf[8], hex[41];
    size_t len = 0;
    uint64_t count = 0, version = 0;
    int64_t at = 0;
    double score = 0;
    int fd = -1;
    rets_type_id type = RETS_TYPE_NONE;
    rets_info_t info;
    rets_item item;
    rets_value *v = NULL;
    const rets_event *event = NULL;
    rets_t *own = NULL;
    rets_cursor *c = NULL;

    memset(&item, 0, sizeof item);
    item.status = RETS_PANIC;
    item.len = 77;
    info.struct_size = sizeof info;
    EXPECT(rets_value_new(&v), RETS_OK);
    EXPECT(rets_get(r, 0, "k", 1, buf, sizeof buf, &len), RETS_FORKED);
    EXPECT(rets_get_if_changed(r, 0, "k", 1, &version, buf, sizeof buf, &len), RETS_FORKED);
    EXPECT(rets_get_many(r, &item, 1, &at), RETS_FORKED);
    CHECK(item.status == RETS_PANIC && item.len == 77);
    EXPECT(rets_hget(r, 0, "k", 1, "f", 1, buf, sizeof buf, &len), RETS_FORKED);
    EXPECT(rets_exists(r, 0, "k", 1), RETS_FORKED);
    EXPECT(rets_type(r, 0, "k", 1, &type), RETS_FORKED);
    EXPECT(rets_expires_at(r, 0, "k", 1, &at), RETS_FORKED);
    EXPECT(rets_hexpires_at(r, 0, "k", 1, "f", 1, &at), RETS_FORKED);
    EXPECT(rets_len(r, 0, "k", 1, &len), RETS_FORKED);
    EXPECT(rets_lindex(r, 0, "k", 1, 0, buf, sizeof buf, &len), RETS_FORKED);
    EXPECT(rets_sismember(r, 0, "k", 1, "m", 1), RETS_FORKED);
    EXPECT(rets_zscore(r, 0, "k", 1, "m", 1, &score), RETS_FORKED);
    EXPECT(rets_read(r, 0, "k", 1, 0, v), RETS_FORKED);
    EXPECT(rets_key_digest(r, 0, "k", 1, hex), RETS_FORKED);
    EXPECT(rets_event_fd(r, &fd), RETS_FORKED);
    EXPECT(rets_next_event(r, &event), RETS_FORKED);
    rets_value_free(v);
    EXPECT(rets_count(r, 0, &count), RETS_FORKED);
    EXPECT(rets_info(r, &info), RETS_FORKED);
    EXPECT(rets_option(r, "store", buf, sizeof buf, &len), RETS_FORKED);
    EXPECT(rets_set_option(r, "store", "all"), RETS_FORKED);
    EXPECT(rets_set_callback(r, NULL, NULL), RETS_FORKED);
    EXPECT(rets_set_state_callback(r, NULL, NULL), RETS_FORKED);
    EXPECT(rets_start(r), RETS_FORKED);
    EXPECT(rets_wait_ready(r, -1), RETS_FORKED);
    EXPECT(rets_wait_offset(r, NULL, 1, -1), RETS_FORKED);
    EXPECT(rets_digest(r, hex, NULL, NULL), RETS_FORKED);
    EXPECT(rets_cursor_new(r, 0, 0, &c), RETS_FORKED);
    EXPECT(rets_stop(r, -1), RETS_FORKED);
    CHECK(strstr(rets_last_error(), "fork") != NULL);
    CHECK(rets_strerror(RETS_FORKED) != NULL && rets_version() != NULL);
    rets_free(r);
    EXPECT(rets_new("redis://127.0.0.1:1", &own), RETS_OK);
    EXPECT(rets_exists(own, 0, "k", 1), RETS_NOT_READY);
    rets_free(own);
    /* Whoever was writing the log did not come along. */
    EXPECT(rets_set_log(NULL, NULL, 0), RETS_OK);
    fflush(stdout);
    return check_failures != 0;
}

int main(void) {
    rets_t *r = NULL, *busy = NULL;
    pid_t pid;
    int status = -1;
    EXPECT(rets_new("redis://127.0.0.1:1", &r), RETS_OK);
    EXPECT(rets_new("redis://127.0.0.1:1", &busy), RETS_OK);
    EXPECT(rets_set_log(on_log, NULL, RETS_LOG_DEBUG), RETS_OK);
    EXPECT(rets_start(busy), RETS_OK);
    while (!is_heard) usleep(1000);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60); /* what hangs is a failure */
        _exit(child(r));
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    may_return = 1;
    EXPECT(rets_exists(r, 0, "k", 1), RETS_NOT_READY);
    rets_free(busy);
    rets_free(r);
    return check_failures != 0;
}
