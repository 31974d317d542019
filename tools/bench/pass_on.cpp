// SPDX-License-Identifier: MIT
//
// The cost of being passed on: calls on descriptors that are none of the shim's business.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/programs.hpp"
#include "tools/bench/sockets.hpp"

#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <map>
#include <netinet/tcp.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

// Both ends of a connection, and a message of one byte.
struct Ends {
    int fds[2] = {-1, -1};
    char byte = 'x';
    iovec data = {&byte, 1};
    mmsghdr message = {};
};

void make_tcp(Ends& ends) {
    const int listener = make_socket(AF_INET, SOCK_STREAM);
    check(listen(listener, 1), "listen");
    ends.fds[0] = make_socket(AF_INET, SOCK_STREAM);
    connect_to(ends.fds[0], name_of(listener));
    ends.fds[1] = check(accept(listener, nullptr, nullptr), "accept");
}

// Two UDP sockets that are bound to one address: the shim leaves such sockets alone.
void make_udp(Ends& ends) {
    for (int& fd : ends.fds) {
        fd = make_socket(AF_INET, SOCK_DGRAM);
        bind_to(fd, sockaddr_in{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}});
    }
    connect_to(ends.fds[0], name_of(ends.fds[1]));
    connect_to(ends.fds[1], name_of(ends.fds[0]));
}

void make_unix(Ends& ends) {
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fds), "socketpair");
}

void make_file(Ends& ends) {
    ends.fds[0] = check(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
}

// Two calls each, none of which can fail.
const auto bytes = [](Ends& ends) {
    sendto(ends.fds[0], &ends.byte, 1, 0, nullptr, 0);
    recvfrom(ends.fds[1], &ends.byte, 1, 0, nullptr, nullptr);
};
const auto messages = [](Ends& ends) {
    static_cast<void>(sendmsg(ends.fds[0], &ends.message.msg_hdr, 0));
    static_cast<void>(recvmsg(ends.fds[1], &ends.message.msg_hdr, 0));
};
const auto batches = [](Ends& ends) {
    sendmmsg(ends.fds[0], &ends.message, 1, 0);
    recvmmsg(ends.fds[1], &ends.message, 1, 0, nullptr);
};
const auto options = [](Ends& ends) {
    int value = 1;
    socklen_t length = sizeof value;
    setsockopt(ends.fds[0], IPPROTO_TCP, TCP_NODELAY, &value, length);
    getsockopt(ends.fds[0], IPPROTO_TCP, TCP_NODELAY, &value, &length);
};
const auto write_and_read = [](Ends& ends) {
    if (write(ends.fds[0], &ends.byte, 1) != 1 || read(ends.fds[0], &ends.byte, 1) != 0)
        fail("/dev/null");
};
const auto control = [](Ends& ends) { fcntl(ends.fds[0], F_SETFL, fcntl(ends.fds[0], F_GETFL)); };
const auto duplicate = [](Ends& ends) { close(dup(ends.fds[0])); };
// close() is half of these two: openat() is none of ours.
const auto open_and_close = [](Ends& /*ends*/) { close(open("/dev/null", O_RDONLY | O_CLOEXEC)); };

// The first turns are not counted.
template <typename Call>
auto repeat(void (*make)(Ends&), const Call& call) {
    return [make, call](uint64_t count) {
        Ends ends;
        ends.message.msg_hdr.msg_iov = &ends.data;
        ends.message.msg_hdr.msg_iovlen = 1;
        make(ends);
        for (int turn = 0; turn < 10; ++turn)
            call(ends);
        CALLGRIND_START_INSTRUMENTATION;
        for (uint64_t turn = 0; turn < count; ++turn)
            call(ends);
        CALLGRIND_DUMP_STATS;
    };
}

const std::map<std::string, std::function<void(uint64_t)>> kinds = {
    {"unix stream, sendto and recvfrom", repeat(make_unix, bytes)},
    {"unix stream, sendmsg and recvmsg", repeat(make_unix, messages)},
    {"tcp, sendto and recvfrom", repeat(make_tcp, bytes)},
    {"tcp, sendmsg and recvmsg", repeat(make_tcp, messages)},
    {"tcp, setsockopt and getsockopt", repeat(make_tcp, options)},
    {"udp of one address, sendto and recvfrom", repeat(make_udp, bytes)},
    {"udp of one address, sendmsg and recvmsg", repeat(make_udp, messages)},
    {"udp of one address, sendmmsg and recvmmsg", repeat(make_udp, batches)},
    {"file, read and write", repeat(make_file, write_and_read)},
    {"file, fcntl twice", repeat(make_file, control)},
    {"file, dup and close", repeat(make_file, duplicate)},
    {"file, open and close", repeat(make_file, open_and_close)}};

} // namespace

int run(const PassOn& settings) {
    if (!settings.kind.empty())
        kinds.at(settings.kind)(settings.count);
    else
        for (const auto& [name, repeat_it] : kinds)
            std::printf("%s\n", name.c_str());
    return 0;
}

} // namespace multihome::bench
