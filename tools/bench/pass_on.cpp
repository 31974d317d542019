// SPDX-License-Identifier: MIT
//
// The cost of being passed on: calls on descriptors that are none of the shim's business.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

std::array<Descriptor, 2> tcp_pair() {
    Descriptor listener{check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    check(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), length), "bind");
    check(listen(listener.get(), 1), "listen");
    check(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    Descriptor client{check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    check(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), length), "connect");
    return {std::move(client), Descriptor{check(accept(listener.get(), nullptr, nullptr), "accept")}};
}

// Two UDP sockets that are bound to one address: the shim leaves such sockets alone.
std::array<Descriptor, 2> udp_pair() {
    std::array<Descriptor, 2> pair;
    std::array<sockaddr_in, 2> addresses{};
    socklen_t length = sizeof(sockaddr_in);
    for (size_t index = 0; index < 2; ++index) {
        pair[index] = Descriptor{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
        addresses[index].sin_family = AF_INET;
        addresses[index].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* address = reinterpret_cast<sockaddr*>(&addresses[index]);
        check(bind(pair[index].get(), address, length), "bind");
        check(getsockname(pair[index].get(), address, &length), "getsockname");
    }
    check(connect(pair[0].get(), reinterpret_cast<const sockaddr*>(&addresses[1]), length), "connect");
    check(connect(pair[1].get(), reinterpret_cast<const sockaddr*>(&addresses[0]), length), "connect");
    return pair;
}

std::array<Descriptor, 2> unix_pair() {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
}

// Two calls a turn, none of which can fail. The first turns are not counted.
template <typename Calls>
void repeat(uint64_t count, const Calls& calls) {
    for (int turn = 0; turn < 10; ++turn)
        calls();
    CALLGRIND_START_INSTRUMENTATION;
    for (uint64_t turn = 0; turn < count; ++turn)
        calls();
    CALLGRIND_DUMP_STATS;
}

void echo_bytes(const std::array<Descriptor, 2>& pair, uint64_t count) {
    const int near = pair[0].get();
    const int far = pair[1].get();
    char byte = 'x';
    repeat(count, [&] {
        sendto(near, &byte, 1, 0, nullptr, 0);
        recvfrom(far, &byte, 1, 0, nullptr, nullptr);
    });
}

void echo_messages(const std::array<Descriptor, 2>& pair, uint64_t count) {
    const int near = pair[0].get();
    const int far = pair[1].get();
    char byte = 'x';
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    repeat(count, [&] {
        static_cast<void>(sendmsg(near, &message, 0));
        static_cast<void>(recvmsg(far, &message, 0));
    });
}

void echo_batches(const std::array<Descriptor, 2>& pair, uint64_t count) {
    const int near = pair[0].get();
    const int far = pair[1].get();
    char byte = 'x';
    iovec data{&byte, 1};
    mmsghdr message{};
    message.msg_hdr.msg_iov = &data;
    message.msg_hdr.msg_iovlen = 1;
    repeat(count, [&] {
        sendmmsg(near, &message, 1, 0);
        recvmmsg(far, &message, 1, 0, nullptr);
    });
}

void ask_options(const std::array<Descriptor, 2>& pair, uint64_t count) {
    const int fd = pair[0].get();
    const int on = 1;
    repeat(count, [&] {
        int value = 0;
        socklen_t length = sizeof value;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length);
    });
}

Descriptor open_null() {
    return Descriptor{check(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null")};
}

void read_and_write(uint64_t count) {
    const Descriptor file = open_null();
    char byte = 'x';
    repeat(count, [&] {
        if (write(file.get(), &byte, 1) != 1 || read(file.get(), &byte, 1) != 0)
            fail("/dev/null");
    });
}

void control_file(uint64_t count) {
    const Descriptor file = open_null();
    repeat(count, [&] {
        const int flags = fcntl(file.get(), F_GETFL);
        fcntl(file.get(), F_SETFL, flags);
    });
}

void duplicate_file(uint64_t count) {
    const Descriptor file = open_null();
    repeat(count, [&] { close(dup(file.get())); });
}

// close() is half of these two: openat() is none of ours.
void open_and_close(uint64_t count) {
    repeat(count, [] { close(open("/dev/null", O_RDONLY | O_CLOEXEC)); });
}

} // namespace

const std::map<std::string, void (*)(uint64_t)>& pass_on_kinds() {
    static const std::map<std::string, void (*)(uint64_t)> kinds = {
        {"unix stream, sendto and recvfrom", [](uint64_t count) { echo_bytes(unix_pair(), count); }},
        {"unix stream, sendmsg and recvmsg", [](uint64_t count) { echo_messages(unix_pair(), count); }},
        {"tcp, sendto and recvfrom", [](uint64_t count) { echo_bytes(tcp_pair(), count); }},
        {"tcp, sendmsg and recvmsg", [](uint64_t count) { echo_messages(tcp_pair(), count); }},
        {"tcp, setsockopt and getsockopt", [](uint64_t count) { ask_options(tcp_pair(), count); }},
        {"udp of one address, sendto and recvfrom", [](uint64_t count) { echo_bytes(udp_pair(), count); }},
        {"udp of one address, sendmsg and recvmsg", [](uint64_t count) { echo_messages(udp_pair(), count); }},
        {"udp of one address, sendmmsg and recvmmsg",
         [](uint64_t count) { echo_batches(udp_pair(), count); }},
        {"file, read and write", read_and_write},
        {"file, fcntl twice", control_file},
        {"file, dup and close", duplicate_file},
        {"file, open and close", open_and_close}};
    return kinds;
}

int run_pass_on(const std::string& kind, uint64_t count) {
    pass_on_kinds().at(kind)(count);
    return 0;
}

} // namespace multihome::bench
