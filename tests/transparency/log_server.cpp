// SPDX-License-Identifier: MIT
//
// What log.py runs under the shim: a server that has something to log. It exits 0 when all has gone well.
#include "tests/transparency/filters.hpp"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <new>
#include <string_view>
#include <sys/resource.h>

using namespace probe;

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
}

namespace {

std::atomic<bool> memory_is_forbidden{false};

void* unless_forbidden(void* memory) {
    if (memory_is_forbidden)
        std::abort();
    return memory;
}

int server = -1;

// A question and its answer without a byte from the allocator.
void serve() {
    const int client = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    socklen_t length = sizeof to;
    getsockname(server, reinterpret_cast<sockaddr*>(&to), &length);
    inet_pton(AF_INET, asked_address, &to.sin_addr);
    sendto(client, "question", 8, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    char data[16];
    sockaddr_in peer{};
    length = sizeof peer;
    recvfrom(server, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &length);
    sendto(server, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&peer), length);
    sockaddr_in from{};
    length = sizeof from;
    recvfrom(client, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &length);
    close(client);
    if (from.sin_addr.s_addr != to.sin_addr.s_addr)
        _exit(2);
}

void open_server() {
    server = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    must(bind(server, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0, "bind");
}

bool is_waiting(int signal) {
    sigset_t waiting;
    sigpending(&waiting);
    return sigismember(&waiting, signal) == 1;
}

} // namespace

extern "C" {
void* malloc(size_t size) {
    return unless_forbidden(__libc_malloc(size));
}
void* calloc(size_t count, size_t size) {
    return unless_forbidden(__libc_calloc(count, size));
}
void* realloc(void* memory, size_t size) {
    return unless_forbidden(__libc_realloc(memory, size));
}
}

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    if (topic == "plain") {
        open_server();
        serve();
        serve();
    } else if (topic == "in_handler") {
        // The first line of all, and many more, where nothing may be allocated.
        std::signal(SIGUSR1, [](int) {
            open_server();
            serve();
        });
        memory_is_forbidden = true;
        raise(SIGUSR1);
        for (int turn = 0; turn < 10; ++turn)
            serve();
        memory_is_forbidden = false;
    } else if (topic == "blocked_signals") {
        // What the program holds back stays as it is: nothing that waits, and something that does.
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigprocmask(SIG_BLOCK, &pipe, nullptr);
        open_server();
        serve();
        must(!is_waiting(SIGPIPE), "a SIGPIPE has come");
        raise(SIGPIPE);
        serve();
        must(is_waiting(SIGPIPE), "the program's SIGPIPE is gone");
    } else if (topic == "file_size") {
        const rlimit little{100, 100};
        setrlimit(RLIMIT_FSIZE, &little);
        open_server();
        serve();
        serve();
    } else if (topic == "chroot") {
        open_server();
        serve();
        must(chroot(arguments[2]) == 0 && chdir("/") == 0, "chroot");
        serve();
        serve();
    } else if (topic == "chdir") {
        open_server();
        serve();
        must(chdir(arguments[2]) == 0, "chdir");
        serve();
    } else if (topic == "replaced") {
        open_server();
        serve();
        const int other = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(other, STDERR_FILENO);
        serve();
        serve();
    } else if (topic == "filtered") {
        // Before it has a socket, and what the filter forbids, standard error needs as well.
        refuse({SYS_getsockopt, SYS_rt_sigpending}, SECCOMP_RET_KILL_PROCESS, false);
        open_server();
    } else {
        return 2;
    }
    return 0;
}
