// A C++ exception that leaves a callback must end the process there and then, with a message, and
// not unwind the engine. argv[1] is the primary's URL; it must have a key. Whoever runs this
// expects an abort.
#include <rets.h>

#include <cstdio>
#include <stdexcept>

int main(int argc, char **argv) {
    rets_t *r = nullptr;
    if (argc < 2 || rets_new(argv[1], &r) != RETS_OK) return 2;
    rets_status st = rets_set_callback(
        r, [](void *, const rets_event *) -> int { throw std::runtime_error("out of a callback"); },
        nullptr);
    if (st == RETS_OK) st = rets_start(r);
    if (st == RETS_OK) st = rets_wait_ready(r, 30000);
    std::printf("survived: %s\n", rets_strerror(st));
    return 0;
}
