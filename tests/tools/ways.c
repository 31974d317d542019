/* SPDX-License-Identifier: MIT */
/* The ways in which a server comes by an answer's source, one after the other: system_calls.py looks at what
 * the library calls in them. The network is one of its own, where fd00::2 is an address and 2001:db8:7::/64
 * is local by a route. Usage: ways [inherited FD]. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT 5399

static void must(int condition, const char* what) {
    if (condition)
        return;
    perror(what);
    exit(1);
}

struct name {
    struct sockaddr_storage storage;
    socklen_t length;
};

static struct name name_of(const char* address, unsigned short port) {
    struct name name = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in* ipv4 = (struct sockaddr_in*)&name.storage;
    struct sockaddr_in6* ipv6 = (struct sockaddr_in6*)&name.storage;
    if (strchr(address, ':') != NULL) {
        name.length = sizeof *ipv6;
        *ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        must(inet_pton(AF_INET6, address, &ipv6->sin6_addr) == 1, address);
    } else {
        *ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        must(inet_pton(AF_INET, address, &ipv4->sin_addr) == 1, address);
    }
    return name;
}

static int bound(const char* address, unsigned short port) {
    const struct name name = name_of(address, port);
    const int on = 1;
    const int fd = socket(name.storage.ss_family, SOCK_DGRAM, 0);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
    must(bind(fd, (const struct sockaddr*)&name.storage, name.length) == 0, "bind");
    return fd;
}

static void ask(int client, const char* address) {
    const struct name to = name_of(address, PORT);
    must(sendto(client, "question", 8, 0, (const struct sockaddr*)&to.storage, to.length) == 8, address);
}

static struct name heard(int server) {
    char data[16];
    struct name peer = {.length = sizeof peer.storage};
    must(recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&peer.storage, &peer.length) == 8,
         "recvfrom");
    return peer;
}

static void answer(int fd, struct name peer) {
    must(sendto(fd, "answer", 6, 0, (const struct sockaddr*)&peer.storage, peer.length) == 6, "sendto");
}

static void hear(int client) {
    char data[16];
    must(recvfrom(client, data, sizeof data, 0, NULL, NULL) == 6, "the client's recvfrom");
}

/* A socket for the client alone, as DTLS servers make it. */
static void connected(const char* server_at, int server, int client, const char* asked) {
    ask(client, asked);
    const struct name peer = heard(server);
    const int fd = bound(server_at, PORT);
    must(connect(fd, (const struct sockaddr*)&peer.storage, peer.length) == 0, "connect");
    must(send(fd, "answer", 6, 0) == 6, "send");
    hear(client);
    close(fd);
}

/* One on another port, as TFTP servers do. */
static void handed_over(int server, int client, const char* asked) {
    ask(client, asked);
    const struct name peer = heard(server);
    const int fd = socket(peer.storage.ss_family, SOCK_DGRAM, 0);
    answer(fd, peer);
    hear(client);
    close(fd);
}

static void forked(int server, int client, const char* asked) {
    ask(client, asked);
    const pid_t child = fork();
    if (child == 0) {
        answer(server, heard(server));
        _exit(0);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "the child");
    hear(client);
}

static void echo(int server, int client, const char* asked) {
    ask(client, asked);
    answer(server, heard(server));
    hear(client);
}

int main(int argc, char** argv) {
    const int client = bound("127.0.0.4", 0);
    if (argc > 2) {
        for (int time = 0; time < 3; ++time)
            echo(atoi(argv[2]), client, "127.0.0.2");
        return 0;
    }
    const int client6 = bound("::1", 0);
    const int server = bound("0.0.0.0", PORT);
    for (int time = 0; time < 3; ++time)
        echo(server, client, "127.0.0.2");
    connected("0.0.0.0", server, client, "127.0.0.3");
    handed_over(server, client, "127.0.0.2");
    forked(server, client, "127.0.0.2");
    const int server6 = bound("::", PORT);
    const char* const asked[] = {"fd00::2", "2001:db8:7::1"};
    for (int number = 0; number < 2; ++number) {
        echo(server6, client6, asked[number]);
        connected("::", server6, client6, asked[number]);
        handed_over(server6, client6, asked[number]);
        forked(server6, client6, asked[number]);
    }
    char number[16];
    snprintf(number, sizeof number, "%d", server);
    close(server6);
    execl("/proc/self/exe", argv[0], "inherited", number, NULL);
    perror("execl");
    return 1;
}
