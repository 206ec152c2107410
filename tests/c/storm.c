/* One of many processes that attach to the same primary. argv[1] is the primary's URL, the rest
 * are names and values of options. It says "armed", starts when it is told a line, and then says
 * for each full sync "synced BEGAN LAST FULL", with the times at which it began and at which the
 * last key of it was seen, in nanoseconds of the machine's clock. Told "digest", it says
 * "digest HEX". It ends with its standard input. */
#include "check.h"
#include <time.h>

static long long began, last;

static long long now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (long long)at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int on_change(void *user, const rets_event *e) {
    (void)user;
    if (e->phase != RETS_PHASE_LIVE) last = now_ns();
    return RETS_KEEP;
}

static void on_state(void *user, const rets_info_t *info) {
    (void)user;
    if (info->event == RETS_LIFE_SYNC_BEGUN) began = now_ns();
    if (info->event == RETS_LIFE_LOAD_ABORTED) began = 0;
    if (info->event == RETS_LIFE_READY && began != 0) {
        printf("synced %lld %lld %llu\n", began, last, (unsigned long long)info->full_syncs);
        fflush(stdout);
        began = 0;
    }
}

int main(int argc, char **argv) {
    char line[64], hex[41];
    rets_t *r = NULL;
    int at;
    EXPECT(rets_new(argv[1], &r), RETS_OK);
    for (at = 2; at + 1 < argc; at += 2) {
        EXPECT(rets_set_option(r, argv[at], argv[at + 1]), RETS_OK);
    }
    EXPECT(rets_set_callback(r, on_change, NULL), RETS_OK);
    EXPECT(rets_set_state_callback(r, on_state, NULL), RETS_OK);
    puts("armed");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) return 1;
    EXPECT(rets_start(r), RETS_OK);
    while (fgets(line, sizeof line, stdin) != NULL) {
        EXPECT(rets_digest(r, hex, NULL, NULL), RETS_OK);
        printf("digest %s\n", hex);
        fflush(stdout);
    }
    rets_free(r);
    return check_failures != 0;
}
