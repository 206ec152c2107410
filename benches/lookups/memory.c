/* What the machine's memory takes for a read that depends on the one before it, in a region as
 * large as the data: no lookup that misses the caches can be faster than this by much.
 *
 *     lookups-memory BYTES_PER_KEY
 *
 * The modes are the sizes of the pages: `small` and `huge`, where the system gives huge ones. And
 * `copy`: what it takes to copy so many bytes as one.
 */

#include "contender.h"

#include <sys/mman.h>

enum { LINE = 64, HUGE = 2 << 20 };

struct region {
    char *lines;
    size_t size, at;
};

static size_t bytes_per_key;

/* A single circle through all lines, each as likely to follow any as another. */
static void *circle(uint64_t span, int advice) {
    struct region *region = malloc(sizeof *region);
    size_t count = span * bytes_per_key / LINE + 1, n;
    uint32_t *order = malloc(count * sizeof *order);
    uint64_t random = 42;
    char *mapped;
    if (!region || !order)
        fail("memory", "there is none");
    region->size = (count * LINE / HUGE + 2) * HUGE;
    mapped = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        fail("memory", "it can't be mapped");
    region->lines = mapped;
    madvise(region->lines, region->size, advice);
    for (n = 0; n < count; n++)
        order[n] = (uint32_t)n;
    for (n = count - 1; n > 0; n--) {
        size_t other;
        uint32_t line = order[n];
        random += 0x9e3779b97f4a7c15u;
        other = (mixed(random) >> 32) * n >> 32;
        order[n] = order[other];
        order[other] = line;
    }
    for (n = 0; n < count; n++) {
        size_t follower = (size_t)order[n] * LINE;
        memcpy(region->lines + n * LINE, &follower, sizeof follower);
    }
    region->at = 0;
    free(order);
    return region;
}

static void *small(uint64_t span) {
    return circle(span, MADV_NOHUGEPAGE);
}

static void *huge(uint64_t span) {
    return circle(span, MADV_HUGEPAGE);
}

static void forget(void *own) {
    struct region *region = own;
    munmap(region->lines, region->size);
    free(region);
}

static uint64_t follow(void *own, const uint64_t *numbers) {
    struct region *region = own;
    (void)numbers;
    memcpy(&region->at, region->lines + region->at, sizeof region->at);
    return 0;
}

struct copy {
    char *from, *to;
    size_t size;
};

static void *two_places(uint64_t size) {
    struct copy *copy = malloc(sizeof *copy);
    if (!copy || !(copy->from = malloc(size)) || !(copy->to = malloc(size)))
        fail("copy", "no memory");
    memset(copy->from, 1, size);
    memset(copy->to, 0, size);
    copy->size = size;
    return copy;
}

static void give_back(void *own) {
    struct copy *copy = own;
    free(copy->from);
    free(copy->to);
    free(copy);
}

static uint64_t copied(void *own, const uint64_t *numbers) {
    struct copy *copy = own;
    (void)numbers;
    memcpy(copy->to, copy->from, copy->size);
    return copy->to[copy->size - 1] != 1;
}

MODE_LOOPS(follow, follow, 1, 1024, 1)
MODE_LOOPS(copied, copied, 1, 1, 1)

static const struct mode modes[] = {
    {"small", 0, small, NULL, forget, follow_get, follow_tail},
    {"huge", 0, huge, NULL, forget, follow_get, follow_tail},
    {"copy", 0, two_places, NULL, give_back, copied_get, copied_tail},
    {NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc != 2)
        fail("usage", "lookups-memory BYTES_PER_KEY");
    bytes_per_key = strtoul(argv[1], NULL, 10);
    contend(modes, NULL);
    return 0;
}
