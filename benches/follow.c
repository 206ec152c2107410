/* A replica that does nothing but follow, for what is measured of it from outside: how soon it is
 * there, how fast it applies, how much memory it takes.
 *
 *     follow URL [callback] [OPTION=VALUE]...
 *
 * With `callback` each change is shown to a function that returns at once. Says `ready` and the
 * resident bytes of before the start, once everything is loaded; and for each line on stdin how
 * many bytes of this process are resident now, and what rets_info estimates.
 */

#include <rets.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 300000 };

/* -1 where the system does not tell. */
static long long resident(void) {
    long long all, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%lld %lld", &all, &pages) != 2)
        pages = -1;
    fclose(file);
    return pages < 0 ? -1 : pages * (long long)sysconf(_SC_PAGESIZE);
}

static int on_change(void *user, const rets_event *event) {
    (void)user;
    (void)event;
    return RETS_KEEP;
}

static rets_status set_option(rets_t *r, char *assignment) {
    char *value;
    if (strcmp(assignment, "callback") == 0)
        return rets_set_callback(r, on_change, NULL);
    value = strchr(assignment, '=');
    if (value == NULL) return RETS_INVALID;
    *value++ = 0;
    return rets_set_option(r, assignment, value);
}

int main(int argc, char **argv) {
    int i;
    char line[64];
    rets_t *r = NULL;
    rets_info_t info;
    long long before;
    rets_status st;
    if (argc < 2) {
        fprintf(stderr, "usage: follow URL [callback] [OPTION=VALUE]...\n");
        return 2;
    }
    info.struct_size = sizeof info;
    st = rets_new(argv[1], &r);
    for (i = 2; st == RETS_OK && i < argc; i++)
        st = set_option(r, argv[i]);
    before = resident();
    if (st == RETS_OK)
        st = rets_start(r);
    if (st == RETS_OK)
        st = rets_wait_ready(r, PATIENCE_MS);
    if (st == RETS_OK)
        printf("ready %lld\n", before);
    fflush(stdout);
    while (st == RETS_OK && fgets(line, sizeof line, stdin)) {
        st = rets_info(r, &info);
        printf("%lld %llu\n", resident(), (unsigned long long)info.memory_bytes);
        fflush(stdout);
    }
    if (st != RETS_OK)
        fprintf(stderr, "%s: %s\n", rets_strerror(st), rets_last_error());
    rets_free(r);
    return st != RETS_OK;
}
