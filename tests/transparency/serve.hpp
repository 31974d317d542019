// SPDX-License-Identifier: MIT
//
// A question and its answer, in one function that needs nothing but libc: for libraries, which do not link
// the probes' common part.
#pragma once

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

// Prints what a server sees, through write(2), because the standard streams may not be there yet or any more.
// `existing`: a server's descriptor, instead of one that is made here. `word`: "answer" where compare.sh is
// to expect the address that was asked.
inline void serve(const char* where, int existing = -1, const char* word = "answer") {
    const auto bound_to = [](const char* address) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        inet_pton(AF_INET, address, &name.sin_addr);
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        return bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 ? fd : -1;
    };
    const int server = existing >= 0 ? existing : bound_to("0.0.0.0");
    const int client = bound_to("127.0.0.4");
    sockaddr_in name{};
    socklen_t length = sizeof name;
    getsockname(server, reinterpret_cast<sockaddr*>(&name), &length);
    inet_pton(AF_INET, "127.0.0.2", &name.sin_addr);
    char data[16] = "";
    char from[INET_ADDRSTRLEN] = "nobody";
    ssize_t received = -1;
    if (sendto(client, "question", 8, 0, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 8) {
        length = sizeof name;
        received =
            recvfrom(server, data, sizeof data, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&name), &length);
        sendto(server, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&name), length);
        length = sizeof name;
        if (recvfrom(client, data, sizeof data, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&name), &length) ==
            6)
            inet_ntop(AF_INET, &name.sin_addr, from, sizeof from);
    }
    char line[200];
    const int size = std::snprintf(line, sizeof line, "%s: received %zd\n%s asked=127.0.0.2 from=%s\n", where,
                                   received, word, from);
    if (write(STDOUT_FILENO, line, static_cast<size_t>(size)) != size)
        abort();
    if (existing < 0)
        close(server);
    close(client);
}
