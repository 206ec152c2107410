/* A primary that isn't there: starting works, waiting ends in time, the reason can be asked for,
 * and stopping does not hang. argv[1] is a URL at which nobody listens. */
#include "check.h"

#include <unistd.h>

int main(int argc, char **argv) {
    rets_t *r = NULL;
    rets_info_t info;
    if (argc < 2) return 2;
    EXPECT(rets_new(argv[1], &r), RETS_OK);
    EXPECT(rets_start(r), RETS_OK);
    info.struct_size = sizeof info;
    alarm(60); /* what hangs is a failure */
    do {
        EXPECT(rets_wait_ready(r, 1), RETS_TIMEOUT);
        EXPECT(rets_info(r, &info), RETS_OK);
    } while (info.last_error == RETS_OK);
    EXPECT(rets_wait_ready(r, 0), RETS_TIMEOUT);
    EXPECT(rets_exists(r, 0, "k", 1), RETS_NOT_READY);
    CHECK(info.ready == 0 && info.last_error == RETS_IO && info.will_retry == 1);
    CHECK(info.last_error_text[0] != 0 && info.last_error_at_ms > 0);
    EXPECT(rets_stop(r, -1), RETS_OK);
    EXPECT(rets_wait_ready(r, -1), RETS_STOPPED);
    EXPECT(rets_start(r), RETS_STOPPED);
    rets_free(r);
    return check_failures != 0;
}
