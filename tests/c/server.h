/* A connection to the primary of a live test, to fill it: plain commands, one line each. */
#ifndef SERVER_H
#define SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Connects to a url of the form redis://127.0.0.1:PORT; ends the program if it can't. */
static int server_connect(const char *url) {
    const char *colon = strrchr(url, ':');
    struct sockaddr_in at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short)(colon ? atoi(colon + 1) : 0));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        printf("can't reach the server at %s\n", url);
        exit(2);
    }
    return fd;
}

/* Sends one command and waits for its reply, which must not be an error nor have many lines. */
static void server_do(int fd, const char *command) {
    char reply[512];
    size_t have = 0;
    struct iovec line[2];
    /* In one piece: the second of two would wait for the first one's acknowledgement. */
    line[0].iov_base = (void *)(uintptr_t)command, line[0].iov_len = strlen(command);
    line[1].iov_base = (void *)(uintptr_t)"\r\n", line[1].iov_len = 2;
    if (writev(fd, line, 2) < 0) exit(2);
    while (have < sizeof reply - 1 && (have == 0 || reply[have - 1] != '\n')) {
        ssize_t got = read(fd, reply + have, sizeof reply - 1 - have);
        if (got <= 0) exit(2);
        have += (size_t)got;
    }
    reply[have] = 0;
    if (reply[0] == '-') {
        printf("%s: %s", command, reply);
        exit(2);
    }
}

/* Waits until the replica has everything that was written before: a marker key that changes. */
static void server_settle(int fd, const rets_t *r) {
    static int round;
    char command[64], value[16], buf[16];
    size_t len = 0;
    int tries;
    sprintf(value, "%d", ++round);
    sprintf(command, "SET test:marker %s", value);
    server_do(fd, command);
    for (tries = 0; tries < 6000; tries++) {
        if (rets_get(r, 0, "test:marker", 11, buf, sizeof buf, &len) == RETS_OK &&
            len == strlen(value) && memcmp(buf, value, len) == 0)
            return;
        usleep(5000);
    }
    printf("the replica does not follow: %s\n", rets_last_error());
    exit(2);
}

#endif
