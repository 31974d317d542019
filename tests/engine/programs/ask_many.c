/* SPDX-License-Identifier: MIT
 *
 * Many requests from many ports: ask_many PORT REQUESTS ADDRESS... Each client port asks one of the
 * addresses, again and again. Prints how many requests were answered, and how many of these answers came from
 * the address asked. What is lost is asked again, a few times.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLIENTS = 1500, TOGETHER = 50, TRIES = 5 };

struct client {
    int socket;
    struct sockaddr_storage asked;
    socklen_t size;
    uint64_t number; /* of the request that is under way */
};

static int same_address(const struct sockaddr_storage* one, const struct sockaddr_storage* other) {
    if (one->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const void*)one, *b = (const void*)other;
        return b->sin_family == AF_INET && a->sin_addr.s_addr == b->sin_addr.s_addr &&
               a->sin_port == b->sin_port;
    }
    const struct sockaddr_in6 *a = (const void*)one, *b = (const void*)other;
    return b->sin6_family == AF_INET6 && !memcmp(&a->sin6_addr, &b->sin6_addr, 16) &&
           a->sin6_port == b->sin6_port;
}

static void open_client(struct client* client, const char* address, int port) {
    struct sockaddr_in* four = (void*)&client->asked;
    struct sockaddr_in6* six = (void*)&client->asked;
    const struct timeval patience = {.tv_sec = 1};
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        client->size = sizeof *four;
    } else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        client->size = sizeof *six;
    } else {
        fprintf(stderr, "ask_many: %s is no address\n", address);
        exit(2);
    }
    client->socket = socket(client->asked.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0 ||
        setsockopt(client->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) {
        perror("ask_many");
        exit(2);
    }
}

static void ask(struct client* client) {
    if (sendto(client->socket, &client->number, sizeof client->number, 0,
               (const struct sockaddr*)&client->asked, client->size) < 0)
        perror("ask_many: sendto");
}

/* 1: right, 0: from another address, -1: none. */
static int take(struct client* client) {
    for (int tries = 0; tries < TRIES;) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        uint64_t number = 0;
        memset(&from, 0, sizeof from);
        ssize_t got = recvfrom(client->socket, &number, sizeof number, 0, (struct sockaddr*)&from, &size);
        if (got == sizeof number && number == client->number)
            return same_address(&client->asked, &from);
        if (got < 0 && ++tries < TRIES)
            ask(client);
    }
    return -1;
}

int main(int argument_count, char** arguments) {
    static struct client clients[CLIENTS];
    const struct rlimit descriptors = {CLIENTS + 100, CLIENTS + 100};
    if (argument_count < 4)
        return 2;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    for (int each = 0; each < CLIENTS; each++)
        open_client(&clients[each], arguments[3 + each % (argument_count - 3)], atoi(arguments[1]));
    const uint64_t requests = strtoull(arguments[2], NULL, 10);
    uint64_t answered = 0, right = 0;
    for (uint64_t done = 0; done < requests;) {
        const uint64_t together = requests - done < TOGETHER ? requests - done : TOGETHER;
        for (uint64_t each = 0; each < together; each++) {
            struct client* client = &clients[(done + each) % CLIENTS];
            client->number = done + each;
            ask(client);
        }
        for (uint64_t each = 0; each < together; each++) {
            const int result = take(&clients[(done + each) % CLIENTS]);
            answered += result >= 0;
            right += result == 1;
        }
        done += together;
    }
    printf("%llu %llu\n", (unsigned long long)answered, (unsigned long long)right);
    return 0;
}
