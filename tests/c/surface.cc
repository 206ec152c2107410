// The surface from C++: strings and vectors as arguments, a lambda as a callback, many threads on
// one handle.
#include <rets.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

int main() {
    rets_t *r = nullptr;
    const std::string url = "redis://127.0.0.1:1";
    if (rets_new(url.c_str(), &r) != RETS_OK) return 1;
    int asked = 0;
    rets_status st = rets_set_callback(
        r,
        [](void *user, const rets_event *) -> int {
            ++*static_cast<int *>(user);
            return RETS_KEEP;
        },
        &asked);
    if (st != RETS_OK) return 2;

    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t n = 0; n < wrong.size(); ++n) {
        threads.emplace_back([r, n, &wrong] {
            const std::string key = "key:" + std::to_string(n);
            for (int i = 0; i < 1000; ++i) {
                std::vector<char> buf(16);
                std::size_t len = 0;
                if (rets_get(r, 0, key.data(), key.size(), buf.data(), buf.size(), &len) !=
                    RETS_NOT_READY)
                    ++wrong[n];
                if (rets_get(r, -1, key.data(), key.size(), buf.data(), buf.size(), &len) !=
                        RETS_INVALID ||
                    std::string(rets_last_error()) != "db is negative")
                    ++wrong[n];
            }
        });
    }
    for (auto &thread : threads)
        thread.join();
    for (int n : wrong)
        if (n != 0) return 3;
    rets_free(r);
    return asked;
}
