/* How much memory a replica takes that holds a dataset: attaches to the primary that it is told,
 * waits until everything is loaded, and prints three numbers on one line: the resident bytes of
 * this process before the start and after the load, and what rets_info estimates.
 *
 *     resident URL [OPTION=VALUE]...
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

static rets_status set_option(rets_t *r, char *assignment) {
    char *value = strchr(assignment, '=');
    if (value == NULL) return RETS_INVALID;
    *value++ = 0;
    return rets_set_option(r, assignment, value);
}

int main(int argc, char **argv) {
    int i;
    rets_t *r = NULL;
    rets_info_t info;
    long long before;
    rets_status st;
    if (argc < 2) {
        fprintf(stderr, "usage: resident URL [OPTION=VALUE]...\n");
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
        st = rets_info(r, &info);
    if (st == RETS_OK)
        printf("%lld %lld %llu\n", before, resident(), (unsigned long long)info.memory_bytes);
    else
        fprintf(stderr, "%s: %s\n", rets_strerror(st), rets_last_error());
    rets_free(r);
    return st != RETS_OK;
}
