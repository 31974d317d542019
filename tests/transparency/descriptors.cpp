// SPDX-License-Identifier: MIT
//
// Point 3: the life of a descriptor inside one process: its copies, what looks like closing it, and high
// numbers.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/probe.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

using namespace probe;

namespace {

void dup_forms() {
    const int server = bound("0.0.0.0");
    int copies[] = {dup(server),
                    dup2(server, 200),
                    dup3(server, 201, O_CLOEXEC),
                    fcntl(server, F_DUPFD, 202),
                    fcntl(server, F_DUPFD_CLOEXEC, 210),
                    static_cast<int>(syscall(SYS_dup, server)),
                    static_cast<int>(kernel::call(SYS_dup, server))};
    for (const int copy : copies) {
        look("received on the original", server, copy);
        look("received on the copy", copy, server);
    }
    say("dup2 to itself", dup2(server, server) == server);
    say("dup3 to itself", dup3(server, server, 0));
    say("dup of nothing", dup(999));
    // The copies go on when the original is closed.
    close(server);
    for (const int copy : copies)
        look("without the original", copy, copies[0]);
    switch_on(copies[1], IPPROTO_IP, IP_PKTINFO);
    for (const int copy : copies)
        look("asked for", copy, copies[0]);
    // A copy that never was used before, onto the number of one that was.
    const int second = bound("0.0.0.0");
    say("dup2 onto the other server", dup2(second, 200));
    look("replaced", 200, second);
}

// Sends `fd` over a UNIX socket, with `by_many` through recvmmsg().
int pass(int fd, bool by_many) {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
    char data[1] = {'x'};
    iovec part{data, 1};
    mmsghdr message{};
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = control;
    message.msg_hdr.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message.msg_hdr);
    *header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(pair[0], &message.msg_hdr, 0) == 1, "sendmsg");
    close(fd);
    std::memset(control, 0, sizeof control);
    must((by_many ? recvmmsg(pair[1], &message, 1, 0, nullptr) : recvmsg(pair[1], &message.msg_hdr, 0)) == 1,
         "recvmsg");
    int received = -1;
    std::memcpy(&received, CMSG_DATA(header), sizeof received);
    close(pair[0]);
    close(pair[1]);
    return received;
}

void passed() {
    for (const bool by_many : {false, true}) {
        int server = server_in_use();
        server = pass(server, by_many);
        look("passed", server, server);
        switch_on(server, IPPROTO_IP, IP_PKTINFO);
        server = pass(server, by_many);
        look("passed, asked for", server, server);
        // Another kind of socket arrives where the server was.
        close(server);
        const int client = pass(bound("127.0.0.9"), by_many);
        say("the same number", client == server);
        switch_on(client, IPPROTO_IP, IP_PKTINFO);
        Client sender;
        sender.ask(client, "127.0.0.9");
        Message message(256);
        message.show(client);
        close(client);
    }
}

// Calls that look like closing and are not.
void not_closed() {
    const int server = server_in_use();
    say("close_range to close on exec",
        close_range(static_cast<unsigned>(server), ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
    look("close on exec", server, server);
    say("close_range of nothing", close_range(5000, 4000, 0));
    say("close of nothing", close(999));
    say("close of -1", close(-1));
    look("still there", server, server);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, server);
    posix_spawn_file_actions_addopen(&actions, server, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    pid_t child = 0;
    char program[] = "/bin/true";
    char* arguments[] = {program, nullptr};
    say("posix_spawn", posix_spawn(&child, program, &actions, nullptr, arguments, environ));
    int status = -1;
    waitpid(child, &status, 0);
    say("its status", status);
    look("after posix_spawn", server, server);
}

// A vfork child shares the parent's memory, but not its descriptors.
void vfork_child() {
    const int server = server_in_use();
    const int asking = bound("0.0.0.0");
    switch_on(asking, IPPROTO_IP, IP_PKTINFO);
    look("before, asking", asking, asking);
    for (int way = 0; way < 4; ++way) {
        // Everything in here happens between vfork() and _exit(), as Python's subprocess does it.
        // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork): what is tested
        const pid_t child = vfork();
        if (child == 0) {
            if (way == 0) {
                for (int fd = 3; fd < 300; ++fd)
                    close(fd);
            } else if (way == 1) {
                close_range(3, ~0U, 0);
            } else if (way == 2) {
                dup2(2, server);
                dup2(server, asking);
            } else {
                closefrom(3);
                socket(AF_INET, SOCK_STREAM, 0);
                socket(AF_UNIX, SOCK_STREAM, 0);
            }
            _exit(0);
        }
        // NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
        int status = -1;
        must(waitpid(child, &status, 0) == child && status == 0, "vfork");
        look("after vfork", server, server);
        look("after vfork, asking", asking, asking);
    }
}

// What has gone wrong before is still told.
void vfork_and_dlerror() {
    must(dlopen("/no/such/library", RTLD_NOW) == nullptr, "dlopen");
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0)
        _exit(0);
    const char* error = dlerror();
    std::printf("dlerror: %s\n", error != nullptr ? error : "nothing");
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "vfork");
    echo(bound("0.0.0.0"));
}

// To the kernel the owner of a descriptor is a negative number where it is a process group. glibc's fcntl()
// returns that, and syscall() takes it for an error. Process groups have small numbers in a namespace of
// their own.
void fcntl_by_number() {
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        skip("may not make a namespace of processes");
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        must(setpgid(0, 0) == 0 && fcntl(fd, F_SETOWN, -getpgrp()) == 0, "F_SETOWN");
        say_call("F_GETOWN", [&] { return fcntl(fd, F_GETOWN); });
        say_call("F_GETOWN by number", [&] { return syscall(SYS_fcntl, fd, F_GETOWN, 0); });
        const auto copy = static_cast<int>(syscall(SYS_fcntl, bound("0.0.0.0"), F_DUPFD, 100));
        look("copied by number", copy, copy);
        // To a number that was a TCP socket's. The kernel reads an int; above it a register may hold
        // anything.
        close(dup2(socket(AF_INET, SOCK_STREAM, 0), 150));
        constexpr long above = sizeof(long) > sizeof(int) ? ~0L << 31 << 1 : 0;
        const auto second =
            static_cast<int>(syscall(SYS_fcntl, bound("0.0.0.0"), above | long{F_DUPFD}, 150));
        look("copied by half a number", second, second);
        std::fflush(stdout);
        _exit(0);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "the child");
}

// Whether less is mapped than a byte for each descriptor of a billion.
void print_mapped() {
    FILE* file = std::fopen("/proc/self/statm", "r");
    long pages = 0;
    must(file != nullptr && std::fscanf(file, "%ld", &pages) == 1, "statm");
    std::fclose(file);
    std::printf("less than 1 GB mapped: %s\n", pages < 1'000'000'000 / sysconf(_SC_PAGESIZE) ? "yes" : "no");
}

void high_number(rlim_t limit, int number) {
    const rlimit wanted{limit, limit};
    // high_numbers.cpp does without.
    if (std::getenv("HIGH_NUMBERS") == nullptr && setrlimit(RLIMIT_NOFILE, &wanted) != 0)
        skip("may not raise RLIMIT_NOFILE");
    rlimit told{};
    must(getrlimit(RLIMIT_NOFILE, &told) == 0, "getrlimit");
    std::printf("at most %llu\n", static_cast<unsigned long long>(told.rlim_max));
    const int server = bound("0.0.0.0");
    must(dup2(server, number) == number, "dup2");
    look("a high number and a low one", number, server);
    look("a low number and a high one", server, number);
    close(server);
    look("alone", number, number);
    switch_on(number, IPPROTO_IP, IP_PKTINFO);
    look("asked for", number, number);
    say("closed", close(number));
    say_heard(number);
    const int other = bound("127.0.0.9");
    must(dup2(other, number) == number, "dup2");
    Client client;
    client.ask(number, "127.0.0.9");
    Message message(64);
    message.show(number);
    closefrom(3);
    say_heard(number);
    say_heard(number - 1); // never heard of
    echo(bound("0.0.0.0"));
    print_mapped();
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"dup", dup_forms},
                                    {"scm_rights", passed},
                                    {"not_closed", not_closed},
                                    {"vfork", vfork_child},
                                    {"vfork_and_dlerror", vfork_and_dlerror},
                                    {"fcntl_by_number", fcntl_by_number},
                                    {"number_900000", [] { high_number(900'100, 900'000); }},
                                    {"nofile_billion", [] { high_number(1'000'000'000, 40'000); }}});
}
