// A C++ service whose worker threads read from one replica, with no lock of their own: one keeps a
// parsed configuration up to date by its version, the others read at full speed.
//
//     threads [URL [SECONDS]]

#include <rets.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Free {
    void operator()(rets_t *r) const { rets_free(r); }
};
using Replica = std::unique_ptr<rets_t, Free>;

// Reads a string of any size: a value may grow between two calls, hence the loop.
rets_status get(const rets_t *r, int32_t db, const std::string &key, std::string &value) {
    size_t len = 0;
    for (;;) {
        rets_status st = rets_get(r, db, key.data(), key.size(), &value[0], value.size(), &len);
        if (st == RETS_OK || st == RETS_TOO_SMALL)
            value.resize(len);
        if (st != RETS_TOO_SMALL)
            return st;
    }
}

// Parses the configuration anew only when it has changed.
void watch_config(const rets_t *r, const std::atomic<bool> &stop) {
    const std::string key = "config";
    char buf[4096];
    uint64_t version = 0;
    while (!stop) {
        size_t len = 0;
        rets_status st =
            rets_get_if_changed(r, 0, key.data(), key.size(), &version, buf, sizeof buf, &len);
        if (st == RETS_OK)
            std::printf("config is now: %.*s\n", static_cast<int>(len), buf);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void serve(const rets_t *r, const std::atomic<bool> &stop, std::atomic<long> &served) {
    std::string value;
    for (long n = 0; !stop; n++) {
        if (get(r, 0, "user:" + std::to_string(n % 1000), value) == RETS_OK)
            served++;
    }
}

} // namespace

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "redis://127.0.0.1:6379";
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 3;

    rets_t *raw = nullptr;
    rets_status st = rets_new(url, &raw);
    Replica r(raw);
    if (st == RETS_OK) st = rets_start(r.get());
    if (st == RETS_OK) st = rets_wait_ready(r.get(), 10000);
    if (st != RETS_OK) {
        std::fprintf(stderr, "%s: %s\n", rets_strerror(st), rets_last_error());
        return 1;
    }

    std::atomic<bool> stop(false);
    std::atomic<long> served(0);
    std::vector<std::thread> threads;
    threads.emplace_back(watch_config, r.get(), std::ref(stop));
    for (int i = 0; i < 4; i++)
        threads.emplace_back(serve, r.get(), std::ref(stop), std::ref(served));
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    stop = true;
    for (std::thread &thread : threads)
        thread.join();
    std::printf("%ld lookups that found something\n", served.load());
    return 0; // the handle is freed last, when no thread uses it any more
}
