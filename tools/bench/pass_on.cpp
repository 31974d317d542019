// SPDX-License-Identifier: MIT
//
// The cost of being passed on, in instructions: calls on descriptors that are none of the shim's business.
#include "tools/bench/programs.hpp"

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/tcp.h>

namespace multihome::bench {

namespace {

// Both ends of a connection, and a message of one byte.
struct Ends {
    int fds[2] = {-1, -1};
    char byte = 'x';
    iovec data = {&byte, 1};
    mmsghdr message = {{nullptr, 0, &data, 1, nullptr, 0, 0}, 0};

    void connect(int index, int other) {
        sockaddr_in name{};
        socklen_t length = sizeof name;
        getsockname(fds[other], reinterpret_cast<sockaddr*>(&name), &length);
        check(::connect(fds[index], reinterpret_cast<const sockaddr*>(&name), length), "connect");
    }
};

// Both are bound to one address: the shim leaves such UDP sockets alone.
template <int type>
void make_inet(Ends& ends) {
    const sockaddr_in name{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
    for (int& fd : ends.fds) {
        fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        check(bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), "bind");
    }
    if (type == SOCK_STREAM)
        listen(ends.fds[1], 1);
    ends.connect(0, 1);
    if (type == SOCK_STREAM)
        ends.fds[1] = accept(ends.fds[1], nullptr, nullptr);
    else
        ends.connect(1, 0);
}

void make_unix(Ends& ends) {
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fds);
}

void make_file(Ends& ends) {
    ends.fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

// Two calls each.
const auto bytes = [](Ends& ends) {
    sendto(ends.fds[0], &ends.byte, 1, 0, nullptr, 0);
    recvfrom(ends.fds[1], &ends.byte, 1, 0, nullptr, nullptr);
};
const auto messages = [](Ends& ends) {
    benchmark::DoNotOptimize(sendmsg(ends.fds[0], &ends.message.msg_hdr, 0));
    benchmark::DoNotOptimize(recvmsg(ends.fds[1], &ends.message.msg_hdr, 0));
};
// An iteration is a thousand turns. The first ten are not counted; they show whether all calls succeed.
template <typename Call>
void add(const std::string& name, void (*make)(Ends&), const Call& call) {
    benchmark::RegisterBenchmark(("not ours: " + name).c_str(), [=](benchmark::State& state) {
        Ends ends;
        errno = 0;
        make(ends);
        for (int turn = 0; turn < 10; ++turn)
            call(ends);
        if (errno != 0)
            state.SkipWithError("a call has failed");
        for (auto _ : state) {
            CALLGRIND_START_INSTRUMENTATION;
            for (int turn = 0; turn < 1000; ++turn)
                call(ends);
            CALLGRIND_DUMP_STATS;
        }
    })->Iterations(1);
}

} // namespace

void add_not_ours() {
#ifndef __clang_analyzer__ // as in inside.cpp
    add("file, dup and close", make_file, [](Ends& ends) { close(dup(ends.fds[0])); });
    add("file, fcntl twice", make_file,
        [](Ends& ends) { fcntl(ends.fds[0], F_SETFL, fcntl(ends.fds[0], F_GETFL)); });
    // close() is half of these two: openat() is none of ours.
    add("file, open and close", make_file, [](Ends&) { close(open("/dev/null", O_RDONLY | O_CLOEXEC)); });
    add("file, read and write", make_file, [](Ends& ends) {
        benchmark::DoNotOptimize(write(ends.fds[0], &ends.byte, 1));
        benchmark::DoNotOptimize(read(ends.fds[0], &ends.byte, 1));
    });
    add("tcp, sendmsg and recvmsg", make_inet<SOCK_STREAM>, messages);
    add("tcp, sendto and recvfrom", make_inet<SOCK_STREAM>, bytes);
    add("tcp, setsockopt and getsockopt", make_inet<SOCK_STREAM>, [](Ends& ends) {
        int value = 1;
        socklen_t length = sizeof value;
        setsockopt(ends.fds[0], IPPROTO_TCP, TCP_NODELAY, &value, length);
        getsockopt(ends.fds[0], IPPROTO_TCP, TCP_NODELAY, &value, &length);
    });
    add("udp of one address, sendmmsg and recvmmsg", make_inet<SOCK_DGRAM>, [](Ends& ends) {
        sendmmsg(ends.fds[0], &ends.message, 1, 0);
        recvmmsg(ends.fds[1], &ends.message, 1, 0, nullptr);
    });
    add("udp of one address, sendmsg and recvmsg", make_inet<SOCK_DGRAM>, messages);
    add("udp of one address, sendto and recvfrom", make_inet<SOCK_DGRAM>, bytes);
    add("unix stream, sendmsg and recvmsg", make_unix, messages);
    add("unix stream, sendto and recvfrom", make_unix, bytes);
#endif
}

} // namespace multihome::bench
