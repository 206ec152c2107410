/* Stopping while a callback runs, against a primary of its own: whoever stops waits for that one
   call and no other, hangs nobody, and what is stopped stays so. */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A snapshot without a checksum, with the keys a to z. */
#define HEAD "REDIS0001\xfe"
#define KEYS 26

static int listener;
static rets_t *handle;
static volatile int calls, released;

static void nap(long ms) {
    struct timespec time;
    time.tv_sec = 0;
    time.tv_nsec = ms * 1000000;
    nanosleep(&time, NULL);
}

static void *primary(void *unused) {
    static const char hello[] = "+PONG\r\n+OK\r\n+OK\r\n";
    static const char full[] =
        "+FULLRESYNC aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\n$142\r\n" HEAD;
    char request[4096], answer[sizeof full + 1 + 5 * KEYS + 1], *end = answer, letter;
    int fd = accept(listener, NULL, NULL);
    ssize_t sent = 0;
    (void)unused;
    memcpy(end, full, sizeof full); /* its last byte, a zero, is the number of the database */
    end += sizeof full;
    for (letter = 'a'; letter < 'a' + KEYS; letter++) {
        const char key[5] = {0, 1, letter, 1, 'v'};
        memcpy(end, key, sizeof key);
        end += sizeof key;
    }
    *end++ = '\xff';
    /* Each answer comes when it is due: the client sends nothing before it has the last one. The
       snapshot is written at once: it may stop at its first key, and then nobody listens. */
    if (read(fd, request, sizeof request) > 0) sent += write(fd, hello, 7);
    if (read(fd, request, sizeof request) > 0) sent += write(fd, hello + 7, 10);
    if (read(fd, request, sizeof request) > 0) sent += write(fd, answer, (size_t)(end - answer));
    while (sent > 0 && read(fd, request, sizeof request) > 0) continue;
    close(fd);
    return NULL;
}

static int slow(void *user, const rets_event *event) {
    char value[32];
    size_t len;
    (void)user;
    (void)event;
    calls++;
    while (!released) nap(1);
    EXPECT(rets_option(handle, "max-memory", value, sizeof value, &len), RETS_OK);
    return RETS_KEEP;
}

static void *stop_for_ever(void *unused) {
    (void)unused;
    EXPECT(rets_stop(handle, -1), RETS_OK);
    return NULL;
}

int main(void) {
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    pthread_t server, stopper;
    char url[64], buf[8];
    size_t len;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0 ||
        pthread_create(&server, NULL, primary, NULL) != 0)
        return 2;
    sprintf(url, "redis://127.0.0.1:%d", ntohs(at.sin_port));

    alarm(60); /* what hangs is a failure */
    EXPECT(rets_new(url, &handle), RETS_OK);
    EXPECT(rets_set_callback(handle, slow, NULL), RETS_OK);
    EXPECT(rets_start(handle), RETS_OK);
    while (calls == 0) nap(1);
    if (pthread_create(&stopper, NULL, stop_for_ever, NULL) != 0) return 2;
    nap(50);
    EXPECT(rets_stop(handle, 10), RETS_TIMEOUT);
    EXPECT(rets_get(handle, 0, "a", 1, buf, sizeof buf, &len), RETS_STOPPED);
    released = 1;
    pthread_join(stopper, NULL);
    CHECK(calls == 1);
    EXPECT(rets_get(handle, 0, "a", 1, buf, sizeof buf, &len), RETS_STOPPED);
    EXPECT(rets_stop(handle, 0), RETS_OK);
    rets_free(handle);
    pthread_join(server, NULL);
    close(listener);
    return check_failures != 0;
}
