// SPDX-License-Identifier: MIT
// From this host's addresses and routes to what is translated, and which uplinks need a table of their own.
#include "tools/recipe_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/output.hpp"

namespace multihome::tools::recipes {
namespace {

using Families = std::vector<Family>;
const Families both_families{Family::ipv4, Family::ipv6};

const HostRoute* default_route(const Host& host, Family family) {
    const auto found = std::find_if(host.routes.begin(), host.routes.end(), [&](const HostRoute& route) {
        return route.family == family && route.is_default() && route.table == "main";
    });
    return found == host.routes.end() ? nullptr : &*found;
}

std::vector<std::string> addresses_of(const Host& host, Family family, const std::string& interface) {
    std::vector<std::string> addresses;
    for (const HostAddress& one : host.addresses)
        if (one.family == family && one.interface == interface)
            addresses.push_back(one.address);
    return addresses;
}

std::vector<std::string> interfaces_of(const Host& host, Family family) {
    std::vector<std::string> names;
    for (const HostAddress& one : host.addresses)
        if (one.family == family && std::find(names.begin(), names.end(), one.interface) == names.end())
            names.push_back(one.interface);
    return names;
}

bool wanted(const RecipeOptions& options, const std::string& interface) {
    return options.interfaces.empty() || std::find(options.interfaces.begin(), options.interfaces.end(),
                                                   interface) != options.interfaces.end();
}

/// Link-local and multicast prefixes. A link-local client asks a link-local address, which is not translated.
bool is_no_client(const std::string& prefix) {
    return prefix.starts_with("fe80:") || prefix.starts_with("ff");
}

/// From where answers to clients behind the default route leave.
std::string default_source(const Host& host, Family family) {
    return preferred_source(family, distant_address(host, family));
}

/// From where answers to clients of `prefix` leave.
std::string source_for(Family family, const std::string& prefix) {
    for (const unsigned number : {1U, 2U, 3U, 4U, 5U, 0U}) // an address of this host says nothing
        if (std::string source = preferred_source(family, address_in(family, prefix, number));
            !source.empty())
            return source;
    return {};
}

/// Client prefixes whose answers leave from another address than everybody else's, the longest prefix first.
std::vector<Translation> special_clients(const Host& host, Family family, const std::string& everybody) {
    std::vector<Translation> special;
    std::set<std::string> seen;
    for (const HostRoute& route : host.routes) {
        if (route.family != family || route.table != "main" || route.is_default() ||
            is_no_client(route.destination) || !seen.insert(route.destination).second)
            continue;
        const std::string source = source_for(family, route.destination);
        if (!source.empty() && source != everybody)
            special.push_back({family, "", route.destination, source});
    }
    std::stable_sort(special.begin(), special.end(), [](const Translation& one, const Translation& other) {
        return prefix_length(one.family, one.clients) > prefix_length(other.family, other.clients);
    });
    return special;
}

void translate(Plan& plan, const Host& host, Family family, const std::string& interface) {
    if (const HostRoute* const first = default_route(host, family);
        first != nullptr && first->is_split && first->source.empty())
        throw Impossible(
            fmt::format("the default route leads through several interfaces at once (see `ip {} route show "
                        "default`), so that answers to some clients leave from another address than those to "
                        "others, and requests cannot be sent on to either: make it two routes with a metric "
                        "each, or use the recipe routing, with multihome in the program",
                        family_option(family)));
    const std::string everybody = default_source(host, family);
    for (Translation one : special_clients(host, family, everybody)) {
        one.interface = interface;
        plan.translations.push_back(one);
    }
    if (!everybody.empty())
        plan.translations.push_back({family, interface, "", everybody});
}

void leave_bound_sockets(Plan& plan, const Host& host) {
    for (const BoundSocket& socket : host.bound)
        if (plan.ports.empty() ||
            std::find(plan.ports.begin(), plan.ports.end(), socket.port) != plan.ports.end())
            plan.untouched.push_back(socket);
}

/// Numbers that no rule and no table of this host has.
class FreeNumbers {
public:
    explicit FreeNumbers(const Host& host) {
        for (const HostRule& rule : host.rules) {
            taken_.insert(std::to_string(rule.preference));
            taken_.insert(rule.table);
            if (!rule.mark.empty())
                taken_.insert(std::to_string(std::stoul(rule.mark, nullptr, 0)));
        }
        for (const HostRoute& route : host.routes)
            taken_.insert(route.table);
    }
    unsigned take() {
        while (taken_.contains(std::to_string(next_)))
            ++next_;
        return next_++;
    }

private:
    std::set<std::string> taken_;
    unsigned next_ = first_number;
};

bool is_link_local(const std::string& address) {
    return address.starts_with("fe80:");
}

/// A router that is asked for on the link of this address. A link-local one says which, as in fe80::1%eth1.
bool is_on_link(const HostAddress& one, const std::string& router) {
    if (const size_t percent = router.find('%'); percent != std::string::npos)
        return one.family == Family::ipv6 && one.interface == router.substr(percent + 1) &&
               contains(one.family, "fe80::/10", router.substr(0, percent));
    return contains(one.family, fmt::format("{}/{}", one.peer.empty() ? one.address : one.peer, one.prefix),
                    router);
}

Family family_of(const std::string& address) {
    return address.find(':') == std::string::npos ? Family::ipv4 : Family::ipv6;
}

/// The router of an uplink: named by the operator, or by some routing table.
std::string gateway_of(const RecipeOptions& options, const Host& host, Family family,
                       const std::string& interface) {
    for (const std::string& gateway : options.gateways) {
        if (family_of(gateway) != family)
            continue;
        for (const HostAddress& one : host.addresses)
            if (one.family == family && one.interface == interface && is_on_link(one, gateway))
                return gateway.substr(0, gateway.find('%'));
    }
    for (const HostRoute& route : host.routes)
        if (route.family == family && route.interface == interface && route.is_default() &&
            !route.gateway.empty())
            return route.gateway;
    return {};
}

/// Every address of it has a rule that leads to a table with a default route through it.
bool has_from_rules(const Host& host, const Uplink& uplink) {
    return std::all_of(uplink.addresses.begin(), uplink.addresses.end(), [&](const std::string& address) {
        return std::any_of(host.rules.begin(), host.rules.end(), [&](const HostRule& rule) {
            if (rule.family != uplink.family || rule.from == "all" || rule.from.empty() || rule.is_narrow)
                return false;
            return contains(rule.family, rule.from, address) &&
                   std::any_of(host.routes.begin(), host.routes.end(), [&](const HostRoute& route) {
                       return route.family == rule.family && route.table == rule.table &&
                              route.is_default() && route.interface == uplink.interface;
                   });
        });
    });
}

void add_new(std::vector<std::string>& prefixes, const std::string& prefix) {
    if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end())
        prefixes.push_back(prefix);
}

/// The prefixes that routes of main lead to through `interface` itself, without a router.
std::vector<std::string> links_of(const Host& host, Family family, const std::string& interface) {
    std::vector<std::string> links;
    for (const HostRoute& route : host.routes)
        if (route.family == family && route.interface == interface && route.table == "main" &&
            route.gateway.empty() && !route.is_default() && !is_no_client(route.destination))
            add_new(links, route.destination);
    return links;
}

/// As the routers of hosters that give single addresses are. A link-local one is on every link.
bool is_off(const std::vector<std::string>& links, const std::string& router) {
    const Family family = family_of(router);
    return !is_no_client(router) && std::none_of(links.begin(), links.end(), [&](const std::string& link) {
        return contains(family, link, router);
    });
}

/// The prefixes of links that are no uplinks. Not those of uplinks: who is on the first uplink's link asks
/// the second one's address through the Internet, and a strict reverse path filter looks there for the way
/// back. But those of a VPN that stands in front of the default route: who is there comes through it.
std::vector<std::string> other_links(const RecipeOptions& options, const Host& host, Family family,
                                     const std::string& first) {
    std::set<std::string> uplinks;
    for (const HostRoute& route : host.routes)
        if (route.family == family && is_part_of_everything(route))
            uplinks.insert(route.interface);
    for (const std::string& interface : interfaces_of(host, family))
        if (!gateway_of(options, host, family, interface).empty())
            uplinks.insert(interface);
    if (const HostRoute* const route = default_route(host, family);
        route != nullptr && route->interface != first && gateway_of(options, host, family, first).empty())
        uplinks.erase(first);
    std::vector<std::string> others;
    for (const HostRoute& route : host.routes)
        if (route.family == family && route.table == "main" && !is_part_of_everything(route) &&
            !uplinks.contains(route.interface) && !is_no_client(route.destination))
            add_new(others, route.destination);
    return others;
}

/// Through this interface the host answers the rest of the Internet: that of the default route, unless
/// another route or a rule leads elsewhere, as those of VPN clients do. Empty: there is none.
std::string first_uplink(const Host& host, Family family) {
    const HostRoute* const first = default_route(host, family);
    if (first != nullptr && first->is_split)
        return {};
    if (host.rules.empty()) // only what read_uplinks() has read: no address is known to be distant
        return first != nullptr ? first->interface : std::string {};
    std::string interface;
    try {
        interface = leaves_by(family, distant_address(host, family));
    } catch (const Impossible&) { // each address that was tried has a route of its own
    }
    const bool leaves = !interface.empty() && interface != "lo";
    return leaves ? interface : first != nullptr ? first->interface : std::string {};
}

/// Rules may lead what has a source elsewhere than what has none yet.
bool carries_its_own(const Host& host, Family family, const std::string& interface) {
    if (host.rules.empty())
        return true;
    std::string distant;
    try {
        distant = distant_address(host, family);
    } catch (const Impossible&) { // each address that was tried has a route of its own
        return true;
    }
    const std::vector<std::string> addresses = addresses_of(host, family, interface);
    return std::all_of(addresses.begin(), addresses.end(), [&](const std::string& address) {
        if (host.ruled.contains(address))
            return false;
        // What a rule of the operator's names is meant to go where that leads.
        if (std::any_of(host.rules.begin(), host.rules.end(), [&](const HostRule& rule) {
                return rule.family == family && !rule.is_narrow && !rule.from.empty() && rule.from != "all" &&
                       contains(family, rule.from, address);
            }))
            return true;
        const std::string through = leaves_by(family, distant, {"from", address});
        return through.empty() || through == interface; // empty: nothing leads there
    });
}

void add_uplinks(Plan& plan, const RecipeOptions& options, const Host& host) {
    FreeNumbers numbers{host};
    std::vector<std::string> without_gateway;
    for (const Family family : both_families) {
        const std::string first = first_uplink(host, family);
        for (const std::string& interface : interfaces_of(host, family)) {
            if (!wanted(options, interface) ||
                (interface == first && carries_its_own(host, family, interface)))
                continue;
            Uplink uplink{family,
                          interface,
                          gateway_of(options, host, family, interface),
                          addresses_of(host, family, interface),
                          links_of(host, family, interface),
                          {},
                          false,
                          0};
            if (uplink.gateway.empty()) {
                without_gateway.push_back(fmt::format("{} ({})", interface, uplink.addresses.front()));
                continue;
            }
            if (plan.kind == RecipeKind::routing && has_from_rules(host, uplink)) {
                plan.notes.push_back(fmt::format("{}: its addresses have their rules already", interface));
                continue;
            }
            uplink.is_off_links = is_off(uplink.links, uplink.gateway);
            if (plan.kind == RecipeKind::routing)
                uplink.others = other_links(options, host, family, first);
            uplink.number = numbers.take();
            plan.uplinks.push_back(uplink);
        }
    }
    for (const std::string& one : without_gateway)
        plan.notes.push_back(
            fmt::format("{}: no routing table has a default route through a router there, so "
                        "that it is taken for a plain link; if it is an uplink, name its "
                        "router, or the other end of the link, with --gateway",
                        one));
}

void check_interfaces(const RecipeOptions& options, const Host& host) {
    for (const std::string& name : options.interfaces)
        if (std::none_of(host.addresses.begin(), host.addresses.end(),
                         [&](const HostAddress& one) { return one.interface == name; }))
            throw Impossible(
                fmt::format("--interface: '{}' is no interface of this host that has an address", name));
    for (const std::string& gateway : options.gateways) {
        if (is_link_local(gateway) && gateway.find('%') == std::string::npos)
            throw Impossible(fmt::format(
                "--gateway: {0} may be on any link: name that one, too, as in {0}%eth1", gateway));
        if (std::none_of(host.addresses.begin(), host.addresses.end(), [&](const HostAddress& one) {
                return one.family == family_of(gateway) && is_on_link(one, gateway);
            }))
            throw Impossible(
                fmt::format("--gateway: {} is on no link of this host: see `ip address`", gateway));
        // The kernel takes it for the link itself, and looks for everybody there.
        if (std::any_of(host.addresses.begin(), host.addresses.end(), [&](const HostAddress& one) {
                return one.family == family_of(gateway) &&
                       contains(one.family, one.address, gateway.substr(0, gateway.find('%')));
            }))
            throw Impossible(
                fmt::format("--gateway: {} is an address of this host: name the router's", gateway));
    }
}

void plan_one_interface(Plan& plan, const RecipeOptions& options, const Host& host) {
    for (const Family family : both_families)
        for (const std::string& interface : interfaces_of(host, family))
            if (wanted(options, interface) && addresses_of(host, family, interface).size() > 1)
                translate(plan, host, family, interface);
    leave_bound_sockets(plan, host);
}

void plan_two_interfaces(Plan& plan, const RecipeOptions& options, const Host& host) {
    add_uplinks(plan, options, host);
    if (plan.uplinks.empty())
        throw Impossible(fmt::format("no second uplink is found: no interface but the one of the default "
                                     "route has a default route through a router in any "
                                     "table; name the second router with --gateway ADDRESS{}",
                                     options.interfaces.empty() ? "" : ", or leave --interface out"));
    for (const Family family : both_families) {
        for (const std::string& interface : interfaces_of(host, family)) {
            const bool uplink = std::any_of(plan.uplinks.begin(), plan.uplinks.end(), [&](const Uplink& one) {
                return one.family == family && one.interface == interface;
            });
            if (uplink || (wanted(options, interface) && addresses_of(host, family, interface).size() > 1))
                translate(plan, host, family, interface);
        }
    }
    for (const Uplink& uplink : plan.uplinks)
        if (uplink.family == Family::ipv4 && host.reverse_path_filters.at(uplink.interface) == 1)
            plan.loose.push_back(uplink.interface);
    leave_bound_sockets(plan, host);
}

} // namespace

const char* name_of(RecipeKind kind) {
    switch (kind) {
    case RecipeKind::one_interface:
        return "one-interface";
    case RecipeKind::two_interfaces:
        return "two-interfaces";
    case RecipeKind::routing:
        return "routing";
    }
    return "";
}

Plan make_plan(const RecipeOptions& options, const Host& host) {
    check_interfaces(options, host);
    Plan plan;
    plan.kind = options.kind;
    plan.format = options.format;
    plan.ports = options.ports;
    plan.firewall = host.firewall;
    switch (options.kind) {
    case RecipeKind::one_interface:
        plan_one_interface(plan, options, host);
        break;
    case RecipeKind::two_interfaces:
        plan_two_interfaces(plan, options, host);
        break;
    case RecipeKind::routing:
        add_uplinks(plan, options, host);
        break;
    }
    add_steps(plan);
    if (plan.kind != RecipeKind::routing)
        for (const HostAddress& one : host.addresses)
            plan.forget.push_back({"conntrack", "-D", "-f", one.family == Family::ipv4 ? "ipv4" : "ipv6",
                                   "-p", "udp", "--orig-dst", one.address});
    return plan;
}

bool has_second_uplink() {
    Plan plan;
    plan.kind = RecipeKind::two_interfaces;
    add_uplinks(plan, {}, read_uplinks());
    return !plan.uplinks.empty();
}

} // namespace multihome::tools::recipes
