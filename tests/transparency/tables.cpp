// SPDX-License-Identifier: MIT
//
// Point 3: descriptors and tables of them beyond dup(): what pidfd_getfd() brings, and a thread that takes a
// table of its own.
#include "tests/transparency/probe.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

using namespace probe;

namespace {

constexpr int high = 60; // out of the way of the numbers that are used again

using GetDescriptor = int (*)(int process, int number, unsigned flags);
GetDescriptor by_function = nullptr; // by syscall() where there is none

// A child with descriptors of its own to take from, which lives until its pipe is closed.
class Owner {
public:
    explicit Owner(int fd) {
        int ends[2];
        must(pipe(ends) == 0, "pipe");
        child_ = fork();
        if (child_ == 0) {
            dup2(fd, high);
            close(ends[1]);
            char byte = 0;
            _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
        }
        close(ends[0]);
        end_ = fcntl(ends[1], F_DUPFD, high);
        close(ends[1]);
        const auto opened = static_cast<int>(syscall(SYS_pidfd_open, child_, 0));
        if (opened < 0)
            skip("no pidfd_open() here");
        process_ = fcntl(opened, F_DUPFD, high);
        close(opened);
    }
    ~Owner() {
        close(process_);
        close(end_);
        int status = -1;
        waitpid(child_, &status, 0);
        say("the owner's end", status);
    }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;

    // Its descriptor, as soon as it has it.
    int take() const {
        for (int attempt = 0; attempt < 1000; ++attempt) {
            const int fd = by_function != nullptr
                               ? by_function(process_, high, 0)
                               : static_cast<int>(syscall(SYS_pidfd_getfd, process_, high, 0));
            if (fd >= 0)
                return fd;
            if (errno != EBADF)
                skip("may not use pidfd_getfd()");
            usleep(1000);
        }
        return -1;
    }

private:
    pid_t child_;
    int process_;
    int end_;
};

void taken() {
    const int server = server_in_use();
    {
        const Owner owner(server);
        const int copy = owner.take();
        look("a copy of our own", copy, server);
        close(copy);
    }
    switch_on(server, IPPROTO_IP, IP_PKTINFO);
    {
        const Owner owner(server);
        const int copy = owner.take();
        look("a copy of one that asks", copy, server);
        close(copy);
    }
    // Another kind of socket, at the number where a server was.
    const int other = bound("127.0.0.9");
    const int moved = fcntl(other, F_DUPFD, high);
    close(other);
    const Owner owner(moved);
    const int second = bound("0.0.0.0");
    look("at this number", second, second);
    close(second);
    const int brought = owner.take();
    say("the same number", brought == second);
    Client client;
    client.ask(brought, "127.0.0.9");
    switch_on(brought, IPPROTO_IP, IP_PKTINFO);
    Message message(256);
    message.show(brought);
}

// glibc has it since 2.36.
void taken_by_function() {
    by_function = reinterpret_cast<GetDescriptor>(dlsym(RTLD_DEFAULT, "pidfd_getfd"));
    if (by_function == nullptr)
        skip("this libc has no pidfd_getfd()");
    taken();
}

// Closes what there is in a table of its own.
void* close_elsewhere(void*) {
    say("close_range", close_range(3, ~0U, 2 /* CLOSE_RANGE_UNSHARE */));
    return nullptr;
}

void own_table() {
    const int server = server_in_use();
    const int asking = bound("0.0.0.0");
    switch_on(asking, IPPROTO_IP, IP_PKTINFO);
    look("before, asking", asking, asking);
    pthread_t thread{};
    must(pthread_create(&thread, nullptr, close_elsewhere, nullptr) == 0, "pthread_create");
    pthread_join(thread, nullptr);
    look("after", server, server);
    look("after, asking", asking, asking);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(
        arguments[1],
        {{"pidfd_getfd", taken}, {"pidfd_getfd_function", taken_by_function}, {"own_table", own_table}});
}
