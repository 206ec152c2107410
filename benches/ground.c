/* Even ground for those who are timed while they take much memory: takes so many bytes from the
 * system, writes to each page, and gives them back by ending.
 *
 *     ground BYTES
 *
 * A virtual machine's host may have taken away what nobody used, and then has to find it again for
 * whoever comes first: several milliseconds for 2 MiB, as long as a load needs to fill them. It is
 * large pieces that are taken away, so that who has large pages pays more than who has small ones.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

int main(int argc, char **argv) {
    char *all, *end = NULL;
    size_t size = argc == 2 ? (size_t)strtoull(argv[1], &end, 10) : 0, at;
    if (size == 0 || *end != 0) {
        fprintf(stderr, "usage: ground BYTES\n");
        return 2;
    }
    all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        perror("ground");
        return 1;
    }
    madvise(all, size, MADV_HUGEPAGE);
    for (at = 0; at < size; at += PAGE)
        all[at] = 1;
    puts("done");
    return 0;
}
