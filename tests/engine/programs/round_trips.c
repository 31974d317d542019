/* SPDX-License-Identifier: MIT
 *
 * What a request and its answer cost, both ends in one thread, so that nobody is woken up and nothing depends
 * on what runs where: round_trips SERVER-NAMESPACE CLIENT-NAMESPACE CLIENT-GROUP BOUND-TO ASKED HOW
 * MILLISECONDS REST. 1,000 clients, each with a connected socket of its own, ask ASKED in turn. Prints
 * nanoseconds of processor time, the median over the tenths of a millisecond or so that 32 requests take, and
 * how many were answered. Its own control group is the one in which the server's sockets are made; for the
 * clients' it moves to CLIENT-GROUP, a file cgroup.procs. Once all clients are known it waits for REST
 * milliseconds.
 *
 *   wildcard   one socket on the wildcard address; BOUND-TO is not used
 *   native     the same, and the server asks for packet information and names the source itself
 *   bound      1,000 sockets that are bound to BOUND-TO, one for each client
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 1000, TOGETHER = 32, FIRST_PORT = 20000, MOST_SAMPLES = 100000, REQUEST = 64 };

static int servers[CLIENTS], clients[CLIENTS], server_count, native;
static double samples[MOST_SAMPLES];

static double nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void enter(const char* name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || setns(namespace, CLONE_NEWNET))
        err(2, "%s", path);
    close(namespace);
}

static void join(const char* file) {
    int group = open(file, O_WRONLY | O_CLOEXEC);
    if (group < 0 || write(group, "0", 1) != 1)
        err(2, "%s", file);
    close(group);
}

static struct sockaddr_in address_of(const char* text, int number) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)(FIRST_PORT + number))};
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        errx(2, "%s is no address", text);
    return address;
}

static int open_socket(void) {
    const int room = 1 << 20;
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        err(2, "socket");
    setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    return made;
}

static void open_servers(const char* address) {
    const int on = 1;
    for (int each = 0; each < server_count; each++) {
        const struct sockaddr_in name = address_of(address, each);
        servers[each] = open_socket();
        if (native && setsockopt(servers[each], IPPROTO_IP, IP_PKTINFO, &on, sizeof on))
            err(2, "IP_PKTINFO");
        if (bind(servers[each], (const struct sockaddr*)&name, sizeof name))
            err(2, "bind");
    }
}

static void open_clients(const char* address) {
    for (int each = 0; each < CLIENTS; each++) {
        const struct sockaddr_in asked = address_of(address, each % server_count);
        clients[each] = open_socket();
        if (connect(clients[each], (const struct sockaddr*)&asked, sizeof asked))
            err(2, "connect");
    }
}

static void answer(int server) {
    char bytes[2048], control[CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    ssize_t got;
    if (!native) {
        got = recvfrom(server, bytes, sizeof bytes, 0, (struct sockaddr*)&peer, &size);
        if (got < 0 || sendto(server, bytes, (size_t)got, 0, (struct sockaddr*)&peer, size) != got)
            err(1, "answer");
        return;
    }
    struct iovec data = {bytes, sizeof bytes};
    struct msghdr message = {.msg_name = &peer,
                             .msg_namelen = size,
                             .msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    got = recvmsg(server, &message, 0);
    if (got < 0)
        err(1, "answer");
    data.iov_len = (size_t)got;
    struct in_pktinfo* information = (void*)CMSG_DATA(CMSG_FIRSTHDR(&message));
    information->ipi_ifindex = 0;
    if (sendmsg(server, &message, 0) != got)
        err(1, "answer");
}

/* Returns how many were answered. */
static int ask_some(unsigned long first) {
    char bytes[REQUEST] = {0};
    int answered = 0;
    for (unsigned each = 0; each < TOGETHER; each++)
        if (send(clients[(first + each) % CLIENTS], bytes, sizeof bytes, 0) != REQUEST)
            err(1, "send");
    for (unsigned each = 0; each < TOGETHER; each++)
        answer(servers[(first + each) % CLIENTS % (unsigned)server_count]);
    for (unsigned each = 0; each < TOGETHER; each++)
        answered += recv(clients[(first + each) % CLIENTS], bytes, sizeof bytes, 0) == REQUEST;
    return answered;
}

static int compare(const void* one, const void* other) {
    const double difference = *(const double*)one - *(const double*)other;
    return difference < 0 ? -1 : difference > 0;
}

static void stay_on_one_processor(void) {
    cpu_set_t usable, one;
    int last = 0;
    if (sched_getaffinity(0, sizeof usable, &usable))
        err(2, "sched_getaffinity");
    for (int each = 0; each < CPU_SETSIZE; each++)
        if (CPU_ISSET(each, &usable))
            last = each;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argument_count, char** arguments) {
    if (argument_count != 9)
        return 2;
    const int bound = strcmp(arguments[6], "bound") == 0;
    const struct rlimit descriptors = {2 * CLIENTS + 100, 2 * CLIENTS + 100};
    native = strcmp(arguments[6], "native") == 0;
    server_count = bound ? CLIENTS : 1;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    stay_on_one_processor();
    enter(arguments[1]);
    open_servers(bound ? arguments[4] : "0.0.0.0");
    join(arguments[3]);
    enter(arguments[2]);
    open_clients(arguments[5]);

    unsigned long asked = 0, answered = 0;
    for (; asked < 3 * CLIENTS; asked += TOGETHER)
        answered += (unsigned)ask_some(asked);
    usleep((unsigned)atoi(arguments[8]) * 1000);
    const double end = nanoseconds(CLOCK_MONOTONIC) + atof(arguments[7]) * 1e6;
    size_t count = 0;
    while (count < MOST_SAMPLES && nanoseconds(CLOCK_MONOTONIC) < end) {
        const double start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        answered += (unsigned)ask_some(asked);
        samples[count++] = (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start) / TOGETHER;
        asked += TOGETHER;
    }
    qsort(samples, count, sizeof *samples, compare);
    if (count == 0)
        errx(1, "no time");
    printf("%.0f %lu %lu\n", samples[count / 2], asked, answered);
    return 0;
}
