// SPDX-License-Identifier: MIT
// The addresses, links and routes of a network namespace, and what they mean for a server on the wildcard
// address.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shim/base/address.hpp"

namespace multihome::tools {

struct HostLink {
    std::string name;
    std::string kind; ///< "bridge", "veth", empty for hardware
    bool up = false;
    bool loopback = false;
};

/// An address at which somebody else can ask this host.
struct OwnAddress {
    Address address;
    unsigned prefix = 0; ///< of the address's own family
    std::uint32_t interface = 0;
};

/// Where the kernel would send something.
struct RouteChoice {
    std::uint32_t interface = 0;
    Address source;
};

/// An address of a second uplink whose answers leave by another one.
struct RoutingFault {
    Address address;
    std::uint32_t interface = 0; ///< that has the address
    std::uint32_t leaves_by = 0;
    bool is_dropped = false; ///< rp_filter is strict there: requests from beyond do not even reach a program
    bool is_certain = false; ///< there is a gateway on that interface; else it may be no uplink at all
};

class HostNetwork {
public:
    /// Of the namespace of this thread. Throws Impossible.
    static HostNetwork read();

    /// In the kernel's order, without loopback and link-local ones, and those of links that are down.
    [[nodiscard]] const std::vector<OwnAddress>& addresses() const { return addresses_; }
    [[nodiscard]] std::string link_name(std::uint32_t interface) const;
    /// The source that the routing table gives to what leaves for beyond the links; empty without a default
    /// route.
    [[nodiscard]] const std::optional<Address>& far_source(bool ipv4) const {
        return far_source_[ipv4 ? 0 : 1];
    }
    /// Whether answers of a socket on the wildcard address leave from another address if `address` was asked.
    [[nodiscard]] bool goes_wrong_at(const OwnAddress& address) const;
    [[nodiscard]] const std::vector<RoutingFault>& routing_faults() const { return routing_faults_; }

private:
    void look_at_routing(const std::map<std::uint32_t, bool>& has_gateway, class Netlink& netlink);

    std::map<std::uint32_t, HostLink> links_;
    std::vector<OwnAddress> addresses_;
    std::vector<bool> wrong_; // beside addresses_
    std::array<std::optional<Address>, 2> far_source_;
    std::vector<RoutingFault> routing_faults_;
};

/// net.ipv4.conf.INTERFACE.rp_filter as it counts: the larger of the interface's value and that of "all".
int reverse_path_filter(const std::string& interface);

} // namespace multihome::tools
