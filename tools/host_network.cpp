// SPDX-License-Identifier: MIT
#include "tools/host_network.hpp"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fmt/core.h>
#include <set>

#include "tools/ip_address.hpp"
#include "tools/netlink.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"

namespace multihome::tools {
namespace {

/// A root name server (a.root-servers.net), for an address beyond all links. Nothing is sent there: only the
/// routing table is asked.
const char* const far_address[] = {"198.41.0.4", "2001:503:ba3e::2:30"};

using Buffer = std::array<char, 512>;

template <typename Header>
nlmsghdr* request_for(Buffer& buffer, std::uint16_t type, std::uint16_t flags, Header*& header) {
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    request->nlmsg_type = type;
    request->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header = static_cast<Header*>(mnl_nlmsg_put_extra_header(request, sizeof(Header)));
    return request;
}

/// All objects of one kind, of both families: `take` gets the kernel's header and the attributes.
template <typename Header, typename Take>
void list(Netlink& netlink, std::uint16_t type, Take&& take) {
    alignas(nlmsghdr) Buffer buffer{};
    Header* question = nullptr;
    nlmsghdr* request = request_for(buffer, type, NLM_F_DUMP, question);
    const NetlinkReply reply = netlink.ask(request);
    if (reply.error != 0)
        // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
        throw Impossible(fmt::format("the kernel does not list its network: {}", std::strerror(reply.error)));
    reply.for_each([&](const nlmsghdr* message) {
        if (mnl_nlmsg_get_payload_len(message) >= sizeof(Header))
            take(*static_cast<const Header*>(mnl_nlmsg_get_payload(message)),
                 Attributes(message, sizeof(Header)));
    });
}

std::map<std::uint32_t, HostLink> list_links(Netlink& netlink) {
    std::map<std::uint32_t, HostLink> links;
    list<ifinfomsg>(netlink, RTM_GETLINK, [&](const ifinfomsg& header, const Attributes& attributes) {
        HostLink link;
        link.name = attributes.text(IFLA_IFNAME);
        link.up = (header.ifi_flags & IFF_UP) != 0;
        link.loopback = (header.ifi_flags & IFF_LOOPBACK) != 0;
        link.kind = Attributes(attributes.find(IFLA_LINKINFO)).text(IFLA_INFO_KIND);
        links[static_cast<std::uint32_t>(header.ifi_index)] = link;
    });
    return links;
}

std::vector<OwnAddress> list_addresses(Netlink& netlink, const std::map<std::uint32_t, HostLink>& links) {
    std::vector<OwnAddress> addresses;
    list<ifaddrmsg>(netlink, RTM_GETADDR, [&](const ifaddrmsg& header, const Attributes& attributes) {
        const std::size_t size = header.ifa_family == AF_INET ? 4 : 16;
        if (header.ifa_family != AF_INET && header.ifa_family != AF_INET6)
            return;
        // Of a point-to-point link, IFA_ADDRESS is the other end.
        const void* bytes = attributes.bytes(IFA_LOCAL, size);
        if (bytes == nullptr)
            bytes = attributes.bytes(IFA_ADDRESS, size);
        if (bytes == nullptr)
            return;
        const Address address = address_from(header.ifa_family, bytes);
        const auto link = links.find(header.ifa_index);
        const std::uint32_t flags = attributes.number(IFA_FLAGS, header.ifa_flags);
        if (link == links.end() || !link->second.up || is_loopback(address) || address.is_link_local() ||
            (flags & IFA_F_DADFAILED) != 0)
            return;
        addresses.push_back({address, header.ifa_prefixlen, header.ifa_index});
    });
    return addresses;
}

/// Which interfaces have a gateway, in whatever routing table.
std::map<std::uint32_t, bool> list_gateways(Netlink& netlink) {
    std::map<std::uint32_t, bool> has_gateway;
    list<rtmsg>(netlink, RTM_GETROUTE, [&](const rtmsg&, const Attributes& attributes) {
        if (attributes.find(RTA_GATEWAY) != nullptr || attributes.find(RTA_VIA) != nullptr)
            has_gateway[attributes.number(RTA_OIF)] = true;
    });
    return has_gateway;
}

void put_address(nlmsghdr* request, std::uint16_t type, const Address& address) {
    if (address.is_ipv4()) {
        mnl_attr_put_u32(request, type, address.ipv4().s_addr);
    } else {
        const in6_addr bytes = address.ipv6();
        mnl_attr_put(request, type, sizeof bytes, &bytes);
    }
}

/// What the kernel would do with a datagram to `destination`; nothing where it has no way there. `source`: of
/// a socket that is bound to it.
std::optional<RouteChoice> ask_route(Netlink& netlink, const Address& destination,
                                     const std::optional<Address>& source = std::nullopt) {
    alignas(nlmsghdr) Buffer buffer{};
    rtmsg* question = nullptr;
    nlmsghdr* request = request_for(buffer, RTM_GETROUTE, 0, question);
    const std::uint8_t bits = destination.is_ipv4() ? 32 : 128;
    question->rtm_family = destination.is_ipv4() ? AF_INET : AF_INET6;
    question->rtm_dst_len = bits;
    put_address(request, RTA_DST, destination);
    if (source) {
        question->rtm_src_len = bits;
        put_address(request, RTA_SRC, *source);
    }
    std::optional<RouteChoice> choice;
    const NetlinkReply reply = netlink.ask(request);
    if (reply.error != 0)
        return choice;
    reply.for_each([&](const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(rtmsg))
            return;
        const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
        const Attributes attributes(message, sizeof(rtmsg));
        if (header->rtm_type != RTN_UNICAST)
            return;
        choice = RouteChoice{attributes.number(RTA_OIF), {}};
        if (const void* bytes = attributes.bytes(RTA_PREFSRC, bits / 8))
            choice->source = address_from(header->rtm_family, bytes);
        else if (source)
            choice->source = *source;
    });
    return choice;
}

/// Interfaces that lead to guests, tunnels or nowhere, and not to a provider.
bool may_be_uplink(const HostLink& link) {
    static const std::set<std::string> inward{"bridge", "dummy", "tun", "wireguard", "vxlan", "ifb"};
    return link.up && !link.loopback && inward.count(link.kind) == 0;
}

} // namespace

// Documentation/networking/ip-sysctl.rst. The directory is that of the namespace of the thread that opens it.
int reverse_path_filter(const std::string& interface) {
    int highest = 0;
    for (const std::string& name : {std::string{"all"}, interface})
        highest = std::max(
            highest, std::atoi(read_whole("/proc/sys/net/ipv4/conf/" + name + "/rp_filter", 16).c_str()));
    return highest;
}

HostNetwork HostNetwork::read() {
    HostNetwork network;
    Netlink netlink(NETLINK_ROUTE);
    network.links_ = list_links(netlink);
    network.addresses_ = list_addresses(netlink, network.links_);
    const auto has_gateway = list_gateways(netlink);
    for (const bool ipv4 : {true, false}) {
        const auto choice = ask_route(netlink, *parse_address(far_address[ipv4 ? 0 : 1]));
        if (choice && !is_wildcard(choice->source))
            network.far_source_[ipv4 ? 0 : 1] = choice->source;
    }
    std::array<std::set<std::uint32_t>, 2> interfaces;
    for (const OwnAddress& own : network.addresses_)
        interfaces[own.address.is_ipv4() ? 0 : 1].insert(own.interface);
    for (const OwnAddress& own : network.addresses_) {
        const bool ipv4 = own.address.is_ipv4();
        const auto& far = network.far_source(ipv4);
        bool wrong = far && *far != own.address;
        const unsigned neighbours_from = ipv4 ? 31 : 127;
        if (!far && own.prefix < neighbours_from) {
            const auto near = ask_route(netlink, neighbour_of(own.address));
            wrong = near && near->source != own.address;
        }
        // Without a default route, a client on one link may ask at the other link's address.
        network.wrong_.push_back(wrong || (!far && interfaces[ipv4 ? 0 : 1].size() > 1));
    }
    network.look_at_routing(has_gateway, netlink);
    return network;
}

void HostNetwork::look_at_routing(const std::map<std::uint32_t, bool>& has_gateway, Netlink& netlink) {
    for (const OwnAddress& own : addresses_) {
        const bool ipv4 = own.address.is_ipv4();
        const auto& far = far_source(ipv4);
        const auto link = links_.find(own.interface);
        // A host's inner network has private addresses where its uplink has public ones.
        if (!far || link == links_.end() || !may_be_uplink(link->second) ||
            is_private(own.address) != is_private(*far))
            continue;
        const auto choice = ask_route(netlink, *parse_address(far_address[ipv4 ? 0 : 1]), own.address);
        if (!choice || choice->interface == own.interface)
            continue;
        RoutingFault fault;
        fault.address = own.address;
        fault.interface = own.interface;
        fault.leaves_by = choice->interface;
        fault.is_dropped = ipv4 && reverse_path_filter(link->second.name) == 1;
        fault.is_certain = has_gateway.count(own.interface) != 0;
        routing_faults_.push_back(fault);
    }
}

std::string HostNetwork::link_name(std::uint32_t interface) const {
    const auto found = links_.find(interface);
    return found != links_.end() ? found->second.name : fmt::format("interface {}", interface);
}

bool HostNetwork::goes_wrong_at(const OwnAddress& address) const {
    for (std::size_t index = 0; index < addresses_.size(); ++index)
        if (addresses_[index].address == address.address && addresses_[index].interface == address.interface)
            return wrong_[index];
    return false;
}

} // namespace multihome::tools
