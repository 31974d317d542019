// SPDX-License-Identifier: MIT
// This host's addresses and routes, as the recipes need them. Read with `ip -j`: the recipes are made of `ip`
// commands, so that it is there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/run_command.hpp"

namespace multihome::tools::recipes {

enum class Family { ipv4, ipv6 };

struct HostAddress {
    Family family = Family::ipv4;
    std::string address;
    unsigned prefix = 0;
    std::string interface;
    bool deprecated = false; ///< the kernel prefers others as sources
    std::string peer;        ///< the other end of a point-to-point link, to which `prefix` belongs then
};

struct HostRoute {
    Family family = Family::ipv4;
    std::string destination; ///< "default", or a prefix as `ip` prints it
    std::string gateway;     ///< empty: on the link
    std::string interface;
    std::string table;  ///< its number, or "main"
    std::string source; ///< the address that answers prefer; empty: the kernel chooses
    std::string metric;
    bool is_split = false; ///< one of several ways, among which the kernel chooses by the client
    [[nodiscard]] bool is_default() const { return destination == "default"; }
};

struct HostRule {
    Family family = Family::ipv4;
    unsigned preference = 0;
    std::string from;  ///< "all", an address or a prefix
    std::string mark;  ///< without its mask; empty: none
    std::string table; ///< as that of a route; empty: it leads to none
    /// Whether it asks for more than an address that packets are from, as `to`, `not` or a port do. That they
    /// are the host's own (iif lo) asks for no more: answers are.
    bool is_narrow = false;
    Command words; ///< what `ip rule add` takes, without its preference
};

/// A UDP socket that is bound to one of the host's addresses: it hears only what is sent to that one.
struct BoundSocket {
    Family family = Family::ipv4;
    std::string address;
    unsigned port = 0;
};

struct Host {
    /// Global ones that a server may be asked at, without those of lo; in the kernel's order.
    std::vector<HostAddress> addresses;
    std::vector<HostRoute> routes; ///< unicast routes of all tables
    std::vector<HostRule> rules;
    std::vector<BoundSocket> bound;
    /// "firewalld" or "fw4", where its table of nftables is there: its filter accepts what is translated.
    std::string firewall;
    std::set<std::string> ruled; ///< addresses that an applied recipe has rules for (see without())
    std::map<std::string, int>
        reverse_path_filters; ///< by interface, as they count (see reverse_path_filter())
};

/// Reads it all. Throws Impossible where `ip` cannot say.
Host read_host();

/// Of that, what shows the uplinks: the addresses and the default routes. Quick, however many routes there
/// are.
Host read_uplinks();

/// The address from which this host answers `destination` when the program leaves it to the routing table;
/// empty if it does not answer at all, or is that address itself.
std::string preferred_source(Family family, const std::string& destination);

/// The interface through which what goes to `destination` leaves, `from` an address, if words say so.
std::string leaves_by(Family family, const std::string& destination, const Command& from = {});

/// A default route, or a part of one in two or more, as VPN clients set it: 0.0.0.0/1 and 128.0.0.0/1,
/// 2000::/3.
bool is_part_of_everything(const HostRoute& route);

/// An address that no other route leads to. Nothing is sent there.
std::string distant_address(const Host& host, Family family);

/// "-4" or "-6".
const char* family_option(Family family);

/// Whether `address` lies in `prefix` ("192.0.2.0/24"; a plain address is a prefix of full length).
bool contains(Family family, const std::string& prefix, const std::string& address);

/// An address in `prefix`, `number` steps behind its first.
std::string address_in(Family family, const std::string& prefix, unsigned number);

/// The length of `prefix`.
unsigned prefix_length(Family family, const std::string& prefix);

} // namespace multihome::tools::recipes
