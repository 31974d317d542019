/* SPDX-License-Identifier: MIT
 *
 * A UDP echo server that knows nothing of the address it was asked at: echo PORT v4|v6|dual [HOW]. Built
 * several times: statically, with musl, with the set-user-ID bit. HOW it answers:
 *   same       from the socket that it was asked at
 *   transfer   from a new socket, as TFTP does
 *   connected  from a new socket that it connects to the client
 *   bound      from the socket that it was asked at, connected to the client for the answer
 *   batches    reads two datagrams and then answers them in order, if two are there
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct datagram {
    struct sockaddr_storage peer;
    socklen_t peer_size;
    ssize_t size;
    char bytes[65536];
};

static int open_server(int port, const char* family) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int is_four = strcmp(family, "v4") == 0, only = strcmp(family, "v6") == 0;
    int server = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    if (!is_four)
        setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(server, is_four ? (struct sockaddr*)&four : (struct sockaddr*)&six,
             is_four ? sizeof four : sizeof six)) {
        perror("bind");
        exit(1);
    }
    return server;
}

static void take(int server, struct datagram* datagram) {
    datagram->peer_size = sizeof datagram->peer;
    datagram->size = recvfrom(server, datagram->bytes, sizeof datagram->bytes, 0,
                              (struct sockaddr*)&datagram->peer, &datagram->peer_size);
}

static void answer(int server, const struct datagram* datagram) {
    if (datagram->size >= 0 && sendto(server, datagram->bytes, (size_t)datagram->size, 0,
                                      (const struct sockaddr*)&datagram->peer, datagram->peer_size) < 0)
        perror("sendto");
}

static void answer_anew(const struct datagram* datagram, int connected) {
    int fresh = socket(datagram->peer.ss_family, SOCK_DGRAM, 0);
    if (!connected)
        answer(fresh, datagram);
    else if (connect(fresh, (const struct sockaddr*)&datagram->peer, datagram->peer_size) ||
             send(fresh, datagram->bytes, (size_t)datagram->size, 0) < 0)
        perror("connect");
    close(fresh);
}

/* The address that connecting has chosen goes with the connection. */
static void answer_connected(int server, const struct datagram* datagram) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (connect(server, (const struct sockaddr*)&datagram->peer, datagram->peer_size) ||
        send(server, datagram->bytes, (size_t)datagram->size, 0) < 0)
        perror("connect");
    connect(server, &none, sizeof none);
}

int main(int argument_count, char** arguments) {
    static struct datagram first, second;
    const char* how = argument_count > 3 ? arguments[3] : "same";
    if (argument_count < 3)
        return 2;
    int server = open_server(atoi(arguments[1]), arguments[2]);
    for (;;) {
        struct pollfd more = {.fd = server, .events = POLLIN};
        take(server, &first);
        if (strcmp(how, "same") == 0) {
            answer(server, &first);
        } else if (strcmp(how, "bound") == 0) {
            answer_connected(server, &first);
        } else if (strcmp(how, "batches") == 0) {
            int two = poll(&more, 1, 50) == 1;
            if (two)
                take(server, &second);
            answer(server, &first);
            if (two)
                answer(server, &second);
        } else {
            answer_anew(&first, strcmp(how, "connected") == 0);
        }
    }
}
