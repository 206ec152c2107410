/* What the C test programs share: a check that says where it failed and goes on. */
#ifndef CHECK_H
#define CHECK_H

#include <rets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            check_failures++;                                                                      \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);                             \
        }                                                                                          \
    } while (0)

/* For calls that answer a status: shows what came instead, and why. */
#define EXPECT(call, wanted)                                                                       \
    do {                                                                                           \
        rets_status got_ = (call);                                                                 \
        if (got_ != (wanted)) {                                                                    \
            check_failures++;                                                                      \
            printf("%s:%d: %s: %s (%d), wanted %s\n", __FILE__, __LINE__, #call,                   \
                   rets_last_error(), (int)got_, #wanted);                                         \
        }                                                                                          \
    } while (0)

#endif
