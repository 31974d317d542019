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

Descriptor client_socket(int timeout_ms) {
    Descriptor fd{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const timeval timeout{timeout_ms / 1000, timeout_ms % 1000 * 1000};
    check(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    return fd;
}

namespace {

constexpr int patience_ms = 10000; // a server inside callgrind on a busy machine is slow

bool ask_once(int fd, const sockaddr_in& server) {
    char byte = 'x';
    const auto* to = reinterpret_cast<const sockaddr*>(&server);
    if (sendto(fd, &byte, 1, 0, to, sizeof server) != 1)
        fail("sendto");
    sockaddr_in from{};
    socklen_t length = sizeof from;
    if (recvfrom(fd, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) != 1)
        fail("no answer");
    return from.sin_addr.s_addr == server.sin_addr.s_addr;
}

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

uint64_t ask_in_turn(uint16_t port, unsigned peers, uint64_t requests) {
    const sockaddr_in server = address_of(asked_address, port);
    std::vector<Descriptor> sockets;
    for (unsigned index = 0; index < peers; ++index)
        sockets.push_back(client_socket(patience_ms));
    uint64_t right = 0;
    for (uint64_t done = 0; done < requests; ++done)
        right +=
            ask_once(peers != 0 ? sockets[done % peers].get() : client_socket(patience_ms).get(), server);
    return right;
}

uint64_t ask_in_batches(uint16_t port, int gate, uint64_t batches) {
    const sockaddr_in server = address_of(asked_address, port);
    const Descriptor fd = client_socket(patience_ms);
    uint64_t right = 0;
    for (uint64_t batch = 0; batch < batches; ++batch) {
        char byte = 'x';
        for (unsigned index = 0; index < batch_size; ++index)
            if (sendto(fd.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 1)
                fail("sendto");
        if (write(gate, &byte, 1) != 1)
            fail("write");
        for (unsigned index = 0; index < batch_size; ++index) {
            sockaddr_in from{};
            socklen_t length = sizeof from;
            if (recvfrom(fd.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) != 1)
                fail("no answer");
            right += from.sin_addr.s_addr == server.sin_addr.s_addr;
        }
    }
    return right;
}

} // namespace multihome::bench
