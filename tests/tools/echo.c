/* SPDX-License-Identifier: MIT */
/* A UDP server as most are written: it answers each datagram with the same bytes, and knows nothing of
 * addresses. Usage: echo PORT [SOCKETS]: so many sockets on the ports from PORT on; it serves the first. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc < 2)
        return 2;
    const int port = atoi(argv[1]);
    const int count = argc > 2 ? atoi(argv[2]) : 1;
    int first = -1;
    for (int number = 0; number < count; ++number) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(port + number))};
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (struct sockaddr*)&name, sizeof name) != 0) {
            perror("bind");
            return 1;
        }
        if (number == 0)
            first = fd;
    }
    for (;;) {
        char data[2048];
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        const ssize_t size = recvfrom(first, data, sizeof data, 0, (struct sockaddr*)&peer, &length);
        if (size >= 0)
            sendto(first, data, (size_t)size, 0, (struct sockaddr*)&peer, length);
    }
}
