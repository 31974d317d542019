// SPDX-License-Identifier: MIT
#include "tools/udp_sockets.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>

#include "tools/ip_address.hpp"
#include "tools/netlink.hpp"
#include "tools/output.hpp"

namespace multihome::tools {
namespace {

void list_family(Netlink& netlink, std::uint8_t family, std::vector<UdpSocket>& sockets) {
    alignas(nlmsghdr) std::array<char, 256> buffer{};
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    auto* question =
        static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(request, sizeof(inet_diag_req_v2)));
    question->sdiag_family = family;
    question->sdiag_protocol = IPPROTO_UDP;
    question->idiag_states =
        1U << TCP_CLOSE; // what an unconnected UDP socket is in; one with a peer is ESTABLISHED
    const NetlinkReply reply = netlink.ask(request);
    if (reply.error == ENOENT || reply.error == EAFNOSUPPORT) {
        if (family == AF_INET6)
            return; // a kernel without IPv6
        throw Impossible("the kernel cannot list UDP sockets: load its module udp_diag (modprobe udp_diag)");
    }
    if (reply.error != 0)
        // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
        throw Impossible(fmt::format("the kernel does not list UDP sockets: {}", std::strerror(reply.error)));
    reply.for_each([&](const nlmsghdr* message) {
        if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg))
            return;
        const auto* found = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
        UdpSocket socket;
        socket.ipv6 = found->idiag_family == AF_INET6;
        socket.address = address_from(found->idiag_family, found->id.idiag_src);
        socket.port = ntohs(found->id.idiag_sport);
        socket.interface = found->id.idiag_if;
        socket.inode = found->idiag_inode;
        const Attributes attributes(message, sizeof(inet_diag_msg));
        if (const void* only = attributes.bytes(INET_DIAG_SKV6ONLY, 1))
            socket.ipv6_only = *static_cast<const std::uint8_t*>(only) != 0;
        if (const void* group = attributes.bytes(INET_DIAG_CGROUP_ID, sizeof socket.control_group))
            std::memcpy(&socket.control_group, group, sizeof socket.control_group);
        if (socket.port != 0)
            sockets.push_back(socket);
    });
}

} // namespace

std::vector<UdpSocket> list_unconnected_udp_sockets() {
    Netlink netlink(NETLINK_SOCK_DIAG);
    std::vector<UdpSocket> sockets;
    list_family(netlink, AF_INET, sockets);
    list_family(netlink, AF_INET6, sockets);
    return sockets;
}

} // namespace multihome::tools
