// SPDX-License-Identifier: MIT
// A UDP server on the wildcard address: prints its port, and sends back what it gets.
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr*)&address, length) != 0 ||
        getsockname(fd, (struct sockaddr*)&address, &length) != 0)
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        char buffer[512];
        struct sockaddr_in peer;
        length = sizeof peer;
        const ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr*)&peer, &length);
        if (got < 0 || sendto(fd, buffer, (size_t)got, 0, (struct sockaddr*)&peer, length) != got)
            return 1;
    }
}
