// SPDX-License-Identifier: MIT
#include "tools/bench/server.hpp"

#include "tools/bench/process.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace multihome::bench {

namespace {

constexpr size_t control_size = CMSG_SPACE(sizeof(in_pktinfo));

Descriptor bind_wildcard(const ServerSettings& settings) {
    Descriptor fd{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const int on = 1;
    if (settings.native)
        check(setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on), "IP_PKTINFO");
    // Both for a saturating load; the kernel gives as much as it allows.
    const int size = 4 << 20;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(settings.port);
    check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    return fd;
}

uint16_t port_of(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    return ntohs(address.sin_port);
}

void wait_at_gate(bool gated) {
    char byte = 0;
    if (gated && read(STDIN_FILENO, &byte, 1) != 1)
        _exit(0);
}

// The natural loops, kept short: what they cost is subtracted from, or compared with, what the shim makes of
// them.

void echo_bare(int fd, uint64_t requests, bool gated) {
    char buffer[largest_datagram];
    for (uint64_t done = 0; done < requests; ++done) {
        wait_at_gate(gated);
        sockaddr_in peer;
        socklen_t length = sizeof peer;
        const ssize_t got =
            recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &length);
        if (got < 0)
            continue;
        sendto(fd, buffer, static_cast<size_t>(got), 0, reinterpret_cast<const sockaddr*>(&peer), length);
    }
}

// What came with the request goes back with the answer; only the interface is left to the routing table.
void turn_around(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            reinterpret_cast<in_pktinfo*>(CMSG_DATA(header))->ipi_ifindex = 0;
            return;
        }
}

void echo_native(int fd, uint64_t requests, bool gated) {
    char buffer[largest_datagram];
    alignas(cmsghdr) char control[control_size];
    sockaddr_in peer;
    iovec data{};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    for (uint64_t done = 0; done < requests; ++done) {
        wait_at_gate(gated);
        data = {buffer, sizeof buffer};
        message.msg_namelen = sizeof peer;
        message.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(fd, &message, 0);
        if (got < 0)
            continue;
        turn_around(message);
        data.iov_len = static_cast<size_t>(got);
        sendmsg(fd, &message, 0);
    }
}

struct Batch {
    std::array<std::array<char, largest_datagram>, batch_size> buffers;
    std::array<sockaddr_in, batch_size> peers;
    std::array<iovec, batch_size> data;
    std::array<std::array<uint64_t, control_size / sizeof(uint64_t)>, batch_size> control;
    std::array<mmsghdr, batch_size> messages;
};
static_assert(control_size % sizeof(uint64_t) == 0);

void echo_batch(int fd, uint64_t requests, bool gated, bool native) {
    auto batch = std::make_unique<Batch>();
    for (unsigned index = 0; index < batch_size; ++index) {
        msghdr& message = batch->messages[index].msg_hdr;
        message = {};
        message.msg_name = &batch->peers[index];
        message.msg_iov = &batch->data[index];
        message.msg_iovlen = 1;
        message.msg_control = native ? batch->control[index].data() : nullptr;
    }
    for (uint64_t done = 0; done < requests;) {
        wait_at_gate(gated);
        for (unsigned index = 0; index < batch_size; ++index) {
            msghdr& message = batch->messages[index].msg_hdr;
            batch->data[index] = {batch->buffers[index].data(), largest_datagram};
            message.msg_namelen = sizeof(sockaddr_in);
            message.msg_controllen = native ? control_size : 0;
        }
        const int got = recvmmsg(fd, batch->messages.data(), batch_size, MSG_WAITFORONE, nullptr);
        if (got <= 0)
            continue;
        for (int index = 0; index < got; ++index) {
            mmsghdr& message = batch->messages[static_cast<unsigned>(index)];
            batch->data[static_cast<unsigned>(index)].iov_len = message.msg_len;
            if (native)
                turn_around(message.msg_hdr);
        }
        for (int sent = 0; sent < got;) {
            const int more = sendmmsg(fd, &batch->messages[static_cast<unsigned>(sent)],
                                      static_cast<unsigned>(got - sent), 0);
            sent += more > 0 ? more : 1;
        }
        done += static_cast<unsigned>(got);
    }
}

void serve(int fd, const ServerSettings& settings) {
    const uint64_t requests =
        settings.requests != 0 ? settings.requests : std::numeric_limits<uint64_t>::max();
    if (settings.batch)
        echo_batch(fd, requests, settings.gated, settings.native);
    else if (settings.native)
        echo_native(fd, requests, settings.gated);
    else
        echo_bare(fd, requests, settings.gated);
}

} // namespace

int run_server(const ServerSettings& settings) {
    const Descriptor socket = bind_wildcard(settings);
    std::printf("%u\n", port_of(socket.get()));
    std::fflush(stdout);
    std::vector<std::jthread> threads;
    for (unsigned index = 1; index < settings.threads; ++index)
        threads.emplace_back(serve, socket.get(), settings);
    serve(socket.get(), settings);
    return 0;
}

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

std::array<Descriptor, 2> make_pair(PassOnSettings::Family family) {
    if (family == PassOnSettings::Family::tcp)
        return tcp_pair();
    if (family == PassOnSettings::Family::udp)
        return udp_pair();
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
}

} // namespace

int run_pass_on(const PassOnSettings& settings) {
    const std::array<Descriptor, 2> pair = make_pair(settings.family);
    const int near = pair[0].get();
    const int far = pair[1].get();
    char byte = 'x';
    if (!settings.messages) {
        for (uint64_t done = 0; done < settings.count; ++done) {
            sendto(near, &byte, 1, 0, nullptr, 0);
            recvfrom(far, &byte, 1, 0, nullptr, nullptr);
        }
        return 0;
    }
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    for (uint64_t done = 0; done < settings.count; ++done) {
        sendmsg(near, &message, 0);
        recvmsg(far, &message, 0);
    }
    return 0;
}

} // namespace multihome::bench
