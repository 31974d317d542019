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

// What differs between the families. An IPv6 socket serves IPv4 clients as well, by their mapped addresses.
struct Ipv4 {
    using Address = sockaddr_in;
    static constexpr int level = IPPROTO_IP;
    static constexpr int option = IP_PKTINFO;
    static constexpr int message = IP_PKTINFO;
    using Information = in_pktinfo;
    static void forget_interface(Information& information) { information.ipi_ifindex = 0; }
    static Address wildcard(uint16_t port) {
        Address address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        return address;
    }
};
struct Ipv6 {
    using Address = sockaddr_in6;
    static constexpr int level = IPPROTO_IPV6;
    static constexpr int option = IPV6_RECVPKTINFO;
    static constexpr int message = IPV6_PKTINFO;
    using Information = in6_pktinfo;
    static void forget_interface(Information& information) { information.ipi6_ifindex = 0; }
    static Address wildcard(uint16_t port) {
        Address address{};
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(port);
        return address;
    }
};

template <typename Family>
constexpr size_t control_size = CMSG_SPACE(sizeof(typename Family::Information));

template <typename Family>
Descriptor bind_wildcard(const ServerSettings& settings) {
    const typename Family::Address address = Family::wildcard(settings.port);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    Descriptor fd{check(socket(name->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const int on = 1;
    if (settings.native)
        check(setsockopt(fd.get(), Family::level, Family::option, &on, sizeof on), "packet information");
    enlarge_buffers(fd.get());
    check(bind(fd.get(), name, sizeof address), "bind");
    return fd;
}

uint16_t port_of(int fd) {
    sockaddr_in6 address{}; // both families have their port in the same place
    socklen_t length = sizeof address;
    check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    return ntohs(address.sin6_port);
}

void wait_at_gate(bool gated) {
    char byte = 0;
    if (gated && read(STDIN_FILENO, &byte, 1) != 1)
        _exit(0);
}

// The natural loops, kept short: what they cost is subtracted from, or compared with, what the shim makes of
// them.

template <typename Family>
void echo_bare(int fd, uint64_t requests, bool gated) {
    char buffer[largest_datagram];
    for (uint64_t done = 0; done < requests; ++done) {
        wait_at_gate(gated);
        typename Family::Address peer;
        socklen_t length = sizeof peer;
        const ssize_t got =
            recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer), &length);
        if (got < 0)
            continue;
        sendto(fd, buffer, static_cast<size_t>(got), 0, reinterpret_cast<const sockaddr*>(&peer), length);
    }
}

// What came with the request goes back with the answer; only the interface is left to the routing table.
template <typename Family>
void turn_around(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == Family::level && header->cmsg_type == Family::message) {
            Family::forget_interface(*reinterpret_cast<typename Family::Information*>(CMSG_DATA(header)));
            return;
        }
}

// recvmsg() and sendmsg(), with packet information (native) or without any.
template <typename Family, bool native>
void echo_messages(int fd, uint64_t requests, bool gated) {
    char buffer[largest_datagram];
    alignas(cmsghdr) char control[control_size<Family>];
    typename Family::Address peer;
    iovec data{};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if constexpr (native)
        message.msg_control = control;
    for (uint64_t done = 0; done < requests; ++done) {
        wait_at_gate(gated);
        data = {buffer, sizeof buffer};
        message.msg_namelen = sizeof peer;
        if constexpr (native)
            message.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(fd, &message, 0);
        if (got < 0)
            continue;
        if constexpr (native)
            turn_around<Family>(message);
        data.iov_len = static_cast<size_t>(got);
        sendmsg(fd, &message, 0);
    }
}

template <typename Family>
struct Batch {
    std::array<std::array<char, largest_datagram>, batch_size> buffers;
    std::array<typename Family::Address, batch_size> peers;
    std::array<iovec, batch_size> data;
    std::array<std::array<uint64_t, control_size<Family> / sizeof(uint64_t)>, batch_size> control;
    std::array<mmsghdr, batch_size> messages;
    static_assert(control_size<Family> % sizeof(uint64_t) == 0);
};

template <typename Family>
void echo_batch(int fd, uint64_t requests, bool gated, bool native) {
    auto batch = std::make_unique<Batch<Family>>();
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
            message.msg_namelen = sizeof(typename Family::Address);
            message.msg_controllen = native ? control_size<Family> : 0;
        }
        const int got = recvmmsg(fd, batch->messages.data(), batch_size, MSG_WAITFORONE, nullptr);
        if (got <= 0)
            continue;
        for (int index = 0; index < got; ++index) {
            mmsghdr& message = batch->messages[static_cast<unsigned>(index)];
            batch->data[static_cast<unsigned>(index)].iov_len = message.msg_len;
            if (native)
                turn_around<Family>(message.msg_hdr);
        }
        for (int sent = 0; sent < got;) {
            const int more = sendmmsg(fd, &batch->messages[static_cast<unsigned>(sent)],
                                      static_cast<unsigned>(got - sent), 0);
            sent += more > 0 ? more : 1;
        }
        done += static_cast<unsigned>(got);
    }
}

template <typename Family>
void serve(int fd, const ServerSettings& settings) {
    const uint64_t requests =
        settings.requests != 0 ? settings.requests : std::numeric_limits<uint64_t>::max();
    if (settings.batch)
        echo_batch<Family>(fd, requests, settings.gated, settings.native);
    else if (settings.native)
        echo_messages<Family, true>(fd, requests, settings.gated);
    else if (settings.messages)
        echo_messages<Family, false>(fd, requests, settings.gated);
    else
        echo_bare<Family>(fd, requests, settings.gated);
}

template <typename Family>
int serve_in_threads(const ServerSettings& settings) {
    const Descriptor socket = bind_wildcard<Family>(settings);
    std::printf("%u\n", port_of(socket.get()));
    std::fflush(stdout);
    std::vector<std::jthread> threads;
    for (unsigned index = 1; index < settings.threads; ++index)
        threads.emplace_back(serve<Family>, socket.get(), settings);
    serve<Family>(socket.get(), settings);
    return 0;
}

} // namespace

int run_server(const ServerSettings& settings) {
    if (settings.place != Place::anywhere)
        move_to(settings.place);
    return settings.ipv6 ? serve_in_threads<Ipv6>(settings) : serve_in_threads<Ipv4>(settings);
}

} // namespace multihome::bench
