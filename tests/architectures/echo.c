// SPDX-License-Identifier: MIT
// A UDP server on the wildcard address: prints its port, and sends back what it gets. With an argument,
// "message" or "batch", by the calls of that name; with a second one, it looks first for what the kernel
// refuses, which qemu-user does not. Exit status 1: something is not as it is without the library.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int serve_plain(int fd) {
    char buffer[512];
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    const ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr*)&peer, &length);
    return got >= 0 && sendto(fd, buffer, (size_t)got, 0, (struct sockaddr*)&peer, length) == got;
}

static int serve_messages(int fd, int in_a_batch, int with_kernel) {
    char buffer[512];
    struct sockaddr_in peer;
    struct iovec data = {buffer, sizeof buffer};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &data, .msg_iovlen = 1}};
    if (!in_a_batch) {
        const ssize_t got = recvmsg(fd, &message.msg_hdr, 0);
        data.iov_len = (size_t)got;
        return got >= 0 && sendmsg(fd, &message.msg_hdr, 0) == got;
    }
    // More seconds than 32 bits hold, where a time has 64. The kernel says how many are left.
    struct timespec most = {(time_t)(sizeof(time_t) == 8 && with_kernel ? 1LL << 40 : 600), 999999999};
    struct timespec left = most;
    if (recvmmsg(fd, &message, 1, 0, &left) != 1)
        return 0;
    data.iov_len = message.msg_len;
    if (left.tv_sec > most.tv_sec || left.tv_sec < most.tv_sec - 120 || left.tv_nsec < 0 ||
        left.tv_nsec > 999999999)
        return 0;
    return sendmmsg(fd, &message, 1, 0) == 1 && message.msg_len == data.iov_len;
}

// What libc refuses, and what there is nothing to wait for, is told the program as ever.
static int has_usual_failures(int fd) {
    struct sockaddr_in peer;
    char buffer[16];
    struct iovec data = {buffer, sizeof buffer};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &data, .msg_iovlen = 1}};
    struct timespec wrong = {-1, 0};
    struct timespec none = {0, 0};
    if (recvmmsg(fd, &message, 1, 0, &wrong) != -1 || errno != EINVAL)
        return 0;
    wrong = (struct timespec){0, 1000000000};
    if (recvmmsg(fd, &message, 1, 0, &wrong) != -1 || errno != EINVAL)
        return 0;
    if (recvmmsg(fd, &message, 1, MSG_DONTWAIT, &none) != -1 || errno != EAGAIN)
        return 0;
    if (recvmsg(fd, &message.msg_hdr, MSG_DONTWAIT) != -1 || errno != EAGAIN)
        return 0;
    return 1;
}

static int has_usual_surroundings(int fd) {
    // The program has not asked for packet information, and does not see that it is switched on.
    int value = -1;
    socklen_t length = sizeof value;
    if (getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length) != 0 || value != 0)
        return 0;
    char name[16];
    if (prctl(PR_GET_NAME, name, 0, 0, 0) != 0)
        return 0;
    const pid_t child = vfork();
    if (child == 0)
        _exit(7);
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(int count, char** words) {
    const char* calls = count > 1 ? words[1] : "";
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    const int first = socket(AF_INET, SOCK_DGRAM, 0);
    const int one = 1;
    if (first < 0 || bind(first, (struct sockaddr*)&address, length) != 0 ||
        setsockopt(first, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) != 0 ||
        getsockname(first, (struct sockaddr*)&address, &length) != 0 || !has_usual_surroundings(first) ||
        (count > 2 && !has_usual_failures(first)))
        return 1;
    // A copy, of which the library learns by the call that makes it.
    const int fd = *calls != '\0' ? fcntl(first, F_DUPFD_CLOEXEC, 20) : first;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (*calls == '\0' ? serve_plain(fd) : serve_messages(fd, strcmp(calls, "batch") == 0, count > 2))
        ;
    return 1;
}
