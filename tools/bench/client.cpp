// SPDX-License-Identifier: MIT
#include "tools/bench/client.hpp"

#include "tools/bench/server.hpp"

#include <cstring>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace multihome::bench {

sockaddr_in address_of(in_addr_t host_order, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host_order);
    address.sin_port = htons(port);
    return address;
}

Descriptor client_socket(int timeout_ms, int family) {
    Descriptor fd{check(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const timeval timeout{timeout_ms / 1000, suseconds_t{timeout_ms % 1000} * 1000};
    check(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    return fd;
}

namespace {

constexpr int patience_ms = 10000; // a server inside callgrind on a busy machine is slow

// A server's address of either family.
class Server {
public:
    Server(uint16_t port, bool ipv6) {
        if (ipv6) {
            auto* six = reinterpret_cast<sockaddr_in6*>(&address_);
            six->sin6_family = AF_INET6;
            six->sin6_addr = in6addr_loopback;
            six->sin6_port = htons(port);
            length_ = sizeof *six;
        } else {
            *reinterpret_cast<sockaddr_in*>(&address_) = address_of(asked_address, port);
            length_ = sizeof(sockaddr_in);
        }
    }

    Descriptor client() const { return client_socket(patience_ms, address_.ss_family); }

    void ask(int fd) const {
        const char byte = 'x';
        if (sendto(fd, &byte, 1, 0, reinterpret_cast<const sockaddr*>(&address_), length_) != 1)
            fail("sendto");
    }

    // True where the answer came from here. Addresses are compared whole, port and all.
    bool take_answer(int fd) const {
        char byte = 0;
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        if (recvfrom(fd, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) != 1)
            fail("no answer");
        return length == length_ && std::memcmp(&from, &address_, length) == 0;
    }

private:
    sockaddr_storage address_{};
    socklen_t length_ = 0;
};

} // namespace

void prepare_source(msghdr& message, SourceControl& control) {
    control = {};
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
}

void set_source(SourceControl& control, in_addr_t source) {
    in_pktinfo information{};
    information.ipi_spec_dst.s_addr = htonl(source);
    std::memcpy(control.bytes + CMSG_LEN(0), &information, sizeof information);
}

uint64_t ask_in_turn(uint16_t port, unsigned peers, uint64_t requests, bool ipv6) {
    const Server server(port, ipv6);
    std::vector<Descriptor> sockets;
    for (unsigned index = 0; index < peers; ++index)
        sockets.push_back(server.client());
    uint64_t right = 0;
    for (uint64_t done = 0; done < requests; ++done) {
        Descriptor fresh;
        if (peers == 0)
            fresh = server.client();
        const int fd = peers != 0 ? sockets[done % peers].get() : fresh.get();
        server.ask(fd);
        right += server.take_answer(fd);
    }
    return right;
}

uint64_t ask_in_batches(uint16_t port, int gate, uint64_t batches, bool ipv6) {
    const Server server(port, ipv6);
    const Descriptor fd = server.client();
    uint64_t right = 0;
    for (uint64_t batch = 0; batch < batches; ++batch) {
        const char byte = 'x';
        for (unsigned index = 0; index < batch_size; ++index)
            server.ask(fd.get());
        if (write(gate, &byte, 1) != 1)
            fail("write");
        for (unsigned index = 0; index < batch_size; ++index)
            right += server.take_answer(fd.get());
    }
    return right;
}

} // namespace multihome::bench
