// SPDX-License-Identifier: MIT
#include "client.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::stress {

void fail(const std::string& why) {
    std::fprintf(stderr, "FAIL: %s%s%s\n", why.c_str(), errno != 0 ? ": " : "",
                 errno != 0 ? std::strerror(errno) : "");
    std::exit(1); // NOLINT(concurrency-mt-unsafe): there are no threads
}

Server::Server(const std::string& program, const std::string& style, const std::string& preload) {
    int input[2];
    int output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        fail("pipe");
    child_ = fork();
    if (child_ < 0)
        fail("fork");
    if (child_ == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        // The server is the only process that is run with the shim.
        // NOLINTBEGIN(concurrency-mt-unsafe): there are no threads
        unsetenv("LD_PRELOAD");
        if (!preload.empty())
            setenv("LD_PRELOAD", preload.c_str(), 1);
        // NOLINTEND(concurrency-mt-unsafe)
        execl(program.c_str(), program.c_str(), style.c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    close(input[0]);
    close(output[1]);
    leash_ = input[1];
    char text[16] = {};
    for (size_t length = 0; length < sizeof text - 1 && std::strchr(text, '\n') == nullptr; ++length)
        if (read(output[0], text + length, 1) != 1)
            fail("the server " + program + " did not start");
    close(output[0]);
    port_ = htons(static_cast<uint16_t>(std::strtoul(text, nullptr, 10)));
}

Server::~Server() {
    close(leash_);
    waitpid(child_, nullptr, 0);
}

sockaddr_in server_name(unsigned address, in_port_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + address);
    name.sin_port = port;
    return name;
}

in_addr client_address() {
    // 127.64.0.0/10
    return {htonl(0x7f400000U | (static_cast<uint32_t>(getpid()) & 0x3fffff))};
}

int client_socket() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr = client_address();
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
        fail("a client socket");
    return fd;
}

unsigned raise_descriptor_limit(unsigned wanted) {
    constexpr rlim_t others = 64;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("getrlimit");
    rlimit raised{std::max(limit.rlim_cur, wanted + others), std::max(limit.rlim_max, wanted + others)};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0) {
        // Not privileged: as far as it goes.
        raised = {limit.rlim_max, limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &raised);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= others)
        fail("the limit of descriptors is too low");
    return static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur - others, wanted));
}

} // namespace multihome::stress
