/* What all contenders in looking things up have in common, so that they differ in nothing but the
 * lookup: the keys, the random order, the clock, and how `make bench` talks to them.
 *
 * A contender is a program. It gets hold of the data, says `ready`, and then does what it is told,
 * a line on stdin each, answering with a line on stdout:
 *
 *     get MODE SPAN THREADS MS   ->  ns per key in each thread, share of the time that counts
 *     tail MODE SPAN MS          ->  ns of single calls: p50 p99 p99.9 max, share that counts
 *     write 1 | write 0          ->  a writer of its own at full speed: `on`, or writes per second
 *
 * Time in which another program had the core does not count: the clock is read every few lookups,
 * and what was done between two readings is left out where the system took the core away. Time in
 * which the contender itself waits does count; and all of it, where it waits for another process,
 * to which the core may have gone.
 */

#ifndef CONTENDER_H
#define CONTENDER_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { KEY_LEN = 16, VALUE_LEN = 32, BATCH_MAX = 64, THREADS_MAX = 8, TAIL_CHUNK = 256 };
enum { TAIL_MAX = 1 << 22 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static inline void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

/* Numbers that look random and never repeat. */
ALWAYS_INLINE uint64_t mixed(uint64_t number) {
    uint64_t mixed = number + 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* The key of a number; a value begins with its key. */
struct key {
    uint64_t words[2];
};

ALWAYS_INLINE struct key key_of(uint64_t number) {
    struct key key;
    key.words[0] = mixed(number);
    key.words[1] = number;
    return key;
}

/* 0 if the value is the one of the key. */
ALWAYS_INLINE uint64_t differs(const struct key *key, const void *value) {
    uint64_t words[2];
    memcpy(words, value, sizeof words);
    return (words[0] ^ key->words[0]) | (words[1] ^ key->words[1]);
}

ALWAYS_INLINE int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* How often the system took the core away from this thread. */
static long taken_away(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* What one thread does in one turn. */
struct turn {
    const struct mode *mode;
    void *own;
    uint64_t span, random, at;
    int64_t until;
    /* What counts, and all. */
    int64_t ns, all_ns;
    uint64_t keys, all_keys;
    uint64_t wrong;
    pthread_barrier_t *start;
    uint32_t *samples;
    size_t sampled;
};

struct mode {
    const char *name;
    /* Another process has its part in it. */
    int waits;
    void *(*open)(uint64_t span);
    void (*refresh)(void *own);
    void (*close)(void *own);
    void (*get)(struct turn *turn);
    void (*tail)(struct turn *turn);
};

ALWAYS_INLINE uint64_t next(struct turn *turn, int walks) {
    if (walks) {
        turn->at = turn->at + 1 < turn->span ? turn->at + 1 : 0;
        return turn->at;
    }
    turn->random += 0x9e3779b97f4a7c15u;
    return (mixed(turn->random) >> 32) * turn->span >> 32;
}

/* Looks up the keys of so many numbers; 0 if all were right. */
typedef uint64_t (*step_fn)(void *own, const uint64_t *numbers);

/* One step after the other until the time is up. `chunk` keys lie between two readings of the
 * clock; `walks`: in the order of the numbers, which is no order in any table. */
ALWAYS_INLINE void get_for(struct turn *turn, step_fn step, unsigned batch, unsigned chunk,
                           int walks) {
    uint64_t numbers[BATCH_MAX];
    int64_t ended = 0;
    while (ended < turn->until) {
        unsigned done, n;
        long taken = taken_away();
        int64_t began;
        if (turn->mode->refresh)
            turn->mode->refresh(turn->own);
        began = now_ns();
        for (done = 0; done < chunk; done += batch) {
            for (n = 0; n < batch; n++)
                numbers[n] = next(turn, walks);
            turn->wrong |= step(turn->own, numbers);
        }
        ended = now_ns();
        turn->all_ns += ended - began;
        turn->all_keys += done;
        if (turn->mode->waits || taken_away() == taken) {
            turn->ns += ended - began;
            turn->keys += done;
        }
    }
}

/* The same with the clock read around each step. */
ALWAYS_INLINE void tail_for(struct turn *turn, step_fn step, unsigned batch, int walks) {
    uint64_t numbers[BATCH_MAX];
    int64_t ended = 0;
    while (ended < turn->until && turn->sampled + TAIL_CHUNK <= TAIL_MAX) {
        unsigned done, n;
        long taken = taken_away();
        size_t before = turn->sampled;
        if (turn->mode->refresh)
            turn->mode->refresh(turn->own);
        for (done = 0; done < TAIL_CHUNK; done++) {
            int64_t took, began;
            for (n = 0; n < batch; n++)
                numbers[n] = next(turn, walks);
            began = now_ns();
            turn->wrong |= step(turn->own, numbers);
            ended = now_ns();
            took = ended - began;
            turn->samples[turn->sampled++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
        }
        turn->all_keys += TAIL_CHUNK;
        if (!turn->mode->waits && taken_away() != taken)
            turn->sampled = before;
    }
}

/* Defines what a mode does out of its step. */
#define MODE_LOOPS(name, step, batch, chunk, walks)                                                \
    static void name##_get(struct turn *turn) { get_for(turn, step, batch, chunk, walks); }        \
    static void name##_tail(struct turn *turn) { tail_for(turn, step, batch, walks); }

static void *run_get(void *argument) {
    struct turn *turn = argument;
    turn->own = turn->mode->open ? turn->mode->open(turn->span) : NULL;
    pthread_barrier_wait(turn->start);
    turn->until += now_ns();
    turn->mode->get(turn);
    if (turn->mode->close)
        turn->mode->close(turn->own);
    return NULL;
}

static void get_turn(const struct mode *mode, uint64_t span, int threads, int ms) {
    static uint64_t seed;
    struct turn turns[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t start;
    int64_t ns = 0, all_ns = 0;
    uint64_t keys = 0, all_keys = 0;
    int n;
    if (threads < 1 || threads > THREADS_MAX)
        fail("get", "too many threads");
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    memset(turns, 0, sizeof turns);
    for (n = 0; n < threads; n++) {
        turns[n].mode = mode;
        turns[n].span = span;
        turns[n].random = mixed(++seed);
        turns[n].at = turns[n].random % span;
        turns[n].until = ms * INT64_C(1000000);
        turns[n].start = &start;
        pthread_create(&ids[n], NULL, run_get, &turns[n]);
    }
    for (n = 0; n < threads; n++) {
        pthread_join(ids[n], NULL);
        if (turns[n].wrong)
            fail(mode->name, "a value was not that of its key");
        ns += turns[n].ns;
        keys += turns[n].keys;
        all_ns += turns[n].all_ns;
        all_keys += turns[n].all_keys;
    }
    pthread_barrier_destroy(&start);
    if (keys == 0)
        printf("%.2f 0\n", (double)all_ns / (double)all_keys);
    else
        printf("%.2f %.3f\n", (double)ns / (double)keys, (double)keys / (double)all_keys);
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static void tail_turn(const struct mode *mode, uint64_t span, int ms) {
    static uint64_t seed = 1000;
    static uint32_t *samples;
    struct turn turn;
    size_t last;
    if (!samples)
        samples = calloc(TAIL_MAX, sizeof *samples);
    if (!samples)
        fail("tail", "no memory");
    memset(&turn, 0, sizeof turn);
    turn.mode = mode;
    turn.span = span;
    turn.random = mixed(++seed);
    turn.samples = samples;
    turn.own = mode->open ? mode->open(span) : NULL;
    turn.until = now_ns() + ms * INT64_C(1000000);
    mode->tail(&turn);
    if (mode->close)
        mode->close(turn.own);
    if (turn.wrong)
        fail(mode->name, "a value was not that of its key");
    if (turn.sampled == 0) {
        printf("nan nan nan nan 0\n");
        return;
    }
    qsort(samples, turn.sampled, sizeof *samples, by_size);
    last = turn.sampled - 1;
    printf("%u %u %u %u %.3f\n", samples[last / 2], samples[(size_t)((double)last * 0.99)],
           samples[(size_t)((double)last * 0.999)], samples[last],
           (double)turn.sampled / (double)turn.all_keys);
}

/* Does what stdin says until it ends. `write` is NULL where somebody else writes: it is called with
 * 1 and 0, and answers the second with the writes per second. */
ALWAYS_INLINE void contend(const struct mode *modes, double (*write)(int on)) {
    char line[256], name[64];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        const struct mode *mode = modes;
        unsigned long long span;
        int threads, ms, on;
        if (sscanf(line, "write %d", &on) == 1 && write) {
            double rate = write(on);
            if (on)
                printf("on\n");
            else
                printf("%.0f\n", rate);
        } else if (sscanf(line, "%*s %63s %llu", name, &span) == 2) {
            while (mode->name && strcmp(mode->name, name) != 0)
                mode++;
            if (!mode->name)
                fail("no such mode", name);
            if (sscanf(line, "get %*s %*s %d %d", &threads, &ms) == 2)
                get_turn(mode, span, threads, ms);
            else if (sscanf(line, "tail %*s %*s %d", &ms) == 1)
                tail_turn(mode, span, ms);
            else
                fail("not understood", line);
        } else {
            fail("not understood", line);
        }
        fflush(stdout);
    }
}

#endif
