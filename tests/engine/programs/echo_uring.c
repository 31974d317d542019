/* SPDX-License-Identifier: MIT
 *
 * A UDP echo server that receives and sends through io_uring, which no preloaded library sees: echo_uring
 * PORT v4|v6|dual
 */
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int run(struct io_uring* ring) {
    struct io_uring_cqe* done = NULL;
    int result = io_uring_submit_and_wait(ring, 1);
    if (result >= 0)
        result = io_uring_wait_cqe(ring, &done);
    if (result < 0)
        return result;
    result = done->res;
    io_uring_cqe_seen(ring, done);
    return result;
}

int main(int argument_count, char** arguments) {
    static char bytes[65536];
    struct io_uring ring;
    if (argument_count < 3)
        return 2;
    if (io_uring_queue_init(8, &ring, 0) < 0) {
        fputs("this kernel allows no io_uring\n", stderr);
        return 77;
    }
    unsigned short port = htons((unsigned short)atoi(arguments[1]));
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
    int is_four = strcmp(arguments[2], "v4") == 0, only = strcmp(arguments[2], "v6") == 0;
    int server = socket(is_four ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    if (!is_four)
        setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(server, is_four ? (struct sockaddr*)&four : (struct sockaddr*)&six,
             is_four ? sizeof four : sizeof six))
        return 1;
    for (;;) {
        struct sockaddr_storage peer;
        struct iovec vector = {.iov_base = bytes, .iov_len = sizeof bytes};
        struct msghdr message = {
            .msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &vector, .msg_iovlen = 1};
        io_uring_prep_recvmsg(io_uring_get_sqe(&ring), server, &message, 0);
        int size = run(&ring);
        if (size < 0)
            continue;
        vector.iov_len = (size_t)size;
        message.msg_flags = 0;
        io_uring_prep_sendmsg(io_uring_get_sqe(&ring), server, &message, 0);
        run(&ring);
    }
}
