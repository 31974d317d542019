// SPDX-License-Identifier: MIT
//
// The cost of being passed on: calls on descriptors that are none of the shim's business.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/programs.hpp"
#include "tools/bench/sockets.hpp"

#include <array>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <netinet/tcp.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

using Pair = std::array<Descriptor, 2>;

Pair tcp_pair() {
    const Descriptor listener = make_socket(AF_INET, SOCK_STREAM);
    bind_to(listener.get(), ipv4_address(INADDR_LOOPBACK));
    check(listen(listener.get(), 1), "listen");
    Descriptor client = make_socket(AF_INET, SOCK_STREAM);
    connect_to(client.get(), name_of(listener.get()));
    return {std::move(client), Descriptor{check(accept(listener.get(), nullptr, nullptr), "accept")}};
}

// Two UDP sockets that are bound to one address: the shim leaves such sockets alone.
Pair udp_pair() {
    Pair pair{make_socket(AF_INET, SOCK_DGRAM), make_socket(AF_INET, SOCK_DGRAM)};
    for (const Descriptor& fd : pair)
        bind_to(fd.get(), ipv4_address(INADDR_LOOPBACK));
    connect_to(pair[0].get(), name_of(pair[1].get()));
    connect_to(pair[1].get(), name_of(pair[0].get()));
    return pair;
}

Pair unix_pair() {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
}

Descriptor open_null() {
    return Descriptor{check(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null")};
}

Pair one_file() {
    return {open_null(), open_null()};
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

void echo_bytes(int near, int far, uint64_t count) {
    char byte = 'x';
    repeat(count, [&] {
        sendto(near, &byte, 1, 0, nullptr, 0);
        recvfrom(far, &byte, 1, 0, nullptr, nullptr);
    });
}

void echo_messages(int near, int far, uint64_t count) {
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

void echo_batches(int near, int far, uint64_t count) {
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

void ask_options(int fd, int /*far*/, uint64_t count) {
    const int on = 1;
    repeat(count, [&] {
        int value = 0;
        socklen_t length = sizeof value;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length);
    });
}

void read_and_write(int file, int /*far*/, uint64_t count) {
    char byte = 'x';
    repeat(count, [&] {
        if (write(file, &byte, 1) != 1 || read(file, &byte, 1) != 0)
            fail("/dev/null");
    });
}

void control_file(int file, int /*far*/, uint64_t count) {
    repeat(count, [&] {
        const int flags = fcntl(file, F_GETFL);
        fcntl(file, F_SETFL, flags);
    });
}

void duplicate_file(int file, int /*far*/, uint64_t count) {
    repeat(count, [&] { close(dup(file)); });
}

// close() is half of these two: openat() is none of ours.
void open_and_close(int /*near*/, int /*far*/, uint64_t count) {
    repeat(count, [] { close(open("/dev/null", O_RDONLY | O_CLOEXEC)); });
}

struct Kind {
    Pair (*make)();
    void (*run)(int near, int far, uint64_t count);
};
const std::map<std::string, Kind> kinds = {
    {"unix stream, sendto and recvfrom", {unix_pair, echo_bytes}},
    {"unix stream, sendmsg and recvmsg", {unix_pair, echo_messages}},
    {"tcp, sendto and recvfrom", {tcp_pair, echo_bytes}},
    {"tcp, sendmsg and recvmsg", {tcp_pair, echo_messages}},
    {"tcp, setsockopt and getsockopt", {tcp_pair, ask_options}},
    {"udp of one address, sendto and recvfrom", {udp_pair, echo_bytes}},
    {"udp of one address, sendmsg and recvmsg", {udp_pair, echo_messages}},
    {"udp of one address, sendmmsg and recvmmsg", {udp_pair, echo_batches}},
    {"file, read and write", {one_file, read_and_write}},
    {"file, fcntl twice", {one_file, control_file}},
    {"file, dup and close", {one_file, duplicate_file}},
    {"file, open and close", {one_file, open_and_close}}};

} // namespace

int run(const PassOn& settings) {
    if (settings.kind.empty()) {
        for (const auto& [name, each] : kinds)
            std::printf("%s\n", name.c_str());
        return 0;
    }
    const Kind& kind = kinds.at(settings.kind);
    const Pair pair = kind.make();
    kind.run(pair[0].get(), pair[1].get(), settings.count);
    return 0;
}

} // namespace multihome::bench
