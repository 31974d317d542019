// SPDX-License-Identifier: MIT
#include "tools/recipe_host.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <linux/rtnetlink.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>

#include "tools/host_network.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/run_command.hpp"
#include "tools/units.hpp"

namespace multihome::tools::recipes {
namespace {

using nlohmann::json;

json ip_json(const Command& words) {
    Command command{"ip", "-j"};
    command.insert(command.end(), words.begin(), words.end());
    const CommandResult result = run_command(command);
    // So says a kernel that was started without IPv6 (ipv6.disable=1) when it is asked for rules of it.
    if (!result.ok() && result.errors.find("Address family not supported") != std::string::npos)
        return json::array();
    if (!result.ok())
        throw Impossible(fmt::format("`{}`: {}", shell_command(command), result.errors));
    // `ip` prints nothing, or an empty object among others, where there is nothing.
    json answer = json::parse(result.output.empty() ? "[]" : result.output, nullptr, false);
    if (!answer.is_array())
        throw Impossible(
            fmt::format("`{}` did not answer with JSON: install a newer iproute2", shell_command(command)));
    return answer;
}

std::string text_of(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end())
        return {};
    return found->is_string() ? found->get<std::string>() : found->dump();
}

void read_addresses(Host& host) {
    for (const json& interface : ip_json({"address", "show"})) {
        const std::string name = text_of(interface, "ifname");
        if (name.empty() || name == "lo" || !interface.contains("addr_info"))
            continue;
        for (const json& one : interface["addr_info"]) {
            // Addresses that come and go, or that nobody is told of, are no server's.
            if (text_of(one, "scope") != "global" || one.contains("temporary") || one.contains("tentative") ||
                one.contains("dadfailed"))
                continue;
            const std::string family = text_of(one, "family");
            if (family == "inet" || family == "inet6")
                host.addresses.push_back({family == "inet" ? Family::ipv4 : Family::ipv6,
                                          text_of(one, "local"), one.value("prefixlen", 0U), name,
                                          one.contains("deprecated"), text_of(one, "address")});
        }
    }
}

/// The table's number, whatever rt_tables calls it, but "main".
std::string table_of(const json& object) {
    const std::string table = text_of(object, "table");
    return table == std::to_string(RT_TABLE_MAIN) ? "main" : table;
}

/// `which`: more words for `ip`.
void read_routes(Host& host, Family family, const Command& which = {}) {
    // Numeric, so that types are numbers too. No type is unicast, no table is main.
    Command show{"-N", family_option(family), "route", "show", "table", "all"};
    show.insert(show.end(), which.begin(), which.end());
    for (const json& route : ip_json(show)) {
        if (route.contains("type") && text_of(route, "type") != std::to_string(RTN_UNICAST))
            continue;
        const std::string table = route.contains("table") ? table_of(route) : "main";
        HostRoute one{family, text_of(route, "dst"),     text_of(route, "gateway"), text_of(route, "dev"),
                      table,  text_of(route, "prefsrc"), text_of(route, "metric")};
        if (one.destination.empty() || table == std::to_string(RT_TABLE_LOCAL))
            continue;
        if (!one.interface.empty())
            host.routes.push_back(one);
        if (!route.contains("nexthops"))
            continue;
        // Several routers of one link are one way: what leaves there has one source.
        const json& hops = route["nexthops"];
        one.is_split = std::any_of(hops.begin(), hops.end(), [&](const json& hop) {
            return text_of(hop, "dev") != text_of(hops.front(), "dev");
        });
        for (const json& hop : hops) {
            one.gateway = text_of(hop, "gateway");
            one.interface = text_of(hop, "dev");
            host.routes.push_back(one);
        }
    }
}

/// `ip` prints the length of a prefix as a field of its own, where it is not full.
std::string with_length(const json& object, const char* key, const char* length) {
    const std::string text = text_of(object, key);
    return object.contains(length) ? text + "/" + text_of(object, length) : text;
}

bool is_narrow(const json& rule) {
    const std::set<std::string> fields_of_all{"priority", "src", "srclen", "table", "protocol"};
    return std::any_of(rule.items().begin(), rule.items().end(), [&](const auto& field) {
        return !fields_of_all.contains(field.key()) && !(field.key() == "iif" && field.value() == "lo");
    });
}

/// `ip` prints rules as it takes them, but for remarks like [detached], and the table of VRFs. The preference
/// stands in front.
std::vector<Command> rules_in_words(Family family) {
    std::vector<Command> rules;
    std::istringstream lines{run_command({"ip", family_option(family), "rule", "show"}).output};
    for (std::string line; std::getline(lines, line);) {
        Command words = split_words(line);
        words.erase(words.begin());
        if (const auto table = std::find(words.begin(), words.end(), "[l3mdev-table]"); table != words.end())
            *std::prev(table) = "l3mdev";
        std::erase_if(words, [](const std::string& word) { return word.starts_with('['); });
        rules.push_back(words);
    }
    return rules;
}

void read_rules(Host& host, Family family) {
    const json rules = ip_json({"-N", family_option(family), "rule", "show"});
    const std::vector<Command> in_words = rules_in_words(family);
    if (in_words.size() != rules.size())
        throw Impossible("the routing rules are being changed: try again");
    for (std::size_t i = 0; i < rules.size(); ++i)
        host.rules.push_back({family, rules[i].value("priority", 0U), with_length(rules[i], "src", "srclen"),
                              text_of(rules[i], "fwmark"), table_of(rules[i]), is_narrow(rules[i]),
                              in_words[i]});
}

/// The kernel writes the address's 32-bit words in host byte order (net/ipv4/udp.c, udp4_format_sock()).
BoundSocket to_bound_socket(Family family, const std::string& local) {
    const size_t colon = local.find(':');
    in6_addr address{};
    for (size_t i = 0; i < colon / 8; ++i)
        address.s6_addr32[i] = static_cast<uint32_t>(std::stoul(local.substr(8 * i, 8), nullptr, 16));
    const uint32_t* words = address.s6_addr32;
    if (family == Family::ipv6 && IN6_IS_ADDR_V4MAPPED(&address)) { // it hears IPv4
        family = Family::ipv4;
        words += 3;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, words, text.data(), text.size());
    return {family, text.data(), static_cast<unsigned>(std::stoul(local.substr(colon + 1), nullptr, 16))};
}

void read_bound_sockets(Host& host, Family family) {
    std::ifstream file{family == Family::ipv4 ? "/proc/net/udp" : "/proc/net/udp6"};
    std::string line;
    std::getline(file, line);
    const size_t digits = family == Family::ipv4 ? 8 : 32;
    while (std::getline(file, line)) {
        std::istringstream words{line};
        std::string slot;
        std::string local;
        std::string remote;
        std::string state;
        words >> slot >> local >> remote >> state;
        constexpr const char* unconnected = "07";
        if (state != unconnected || local.size() != digits + 5)
            continue;
        const BoundSocket socket = to_bound_socket(family, local);
        const bool ours =
            std::any_of(host.addresses.begin(), host.addresses.end(), [&](const HostAddress& one) {
                return one.family == socket.family && one.address == socket.address;
            });
        const bool known = std::any_of(host.bound.begin(), host.bound.end(), [&](const BoundSocket& one) {
            return one.address == socket.address && one.port == socket.port;
        });
        if (ours && !known)
            host.bound.push_back(socket);
    }
}

/// Empty where nft is missing, or this user may not ask.
std::string read_firewall() {
    const std::string tables = run_command({"nft", "list", "tables"}).output;
    for (const char* name : {"firewalld", "fw4"})
        if (tables.find(fmt::format("table inet {}\n", name)) != std::string::npos)
            return name;
    return {};
}

using Bits = std::array<unsigned char, 16>;

size_t byte_count(Family family) {
    return family == Family::ipv4 ? 4 : 16;
}

Bits parse(Family family, const std::string& address) {
    Bits bits{};
    if (inet_pton(family == Family::ipv4 ? AF_INET : AF_INET6, address.c_str(), bits.data()) != 1)
        throw Impossible(
            fmt::format("'{}' is no {} address", address, family == Family::ipv4 ? "IPv4" : "IPv6"));
    return bits;
}

} // namespace

Host read_host() {
    Host host;
    read_addresses(host);
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        read_routes(host, family);
        read_rules(host, family);
        read_bound_sockets(host, family);
    }
    host.firewall = read_firewall();
    for (const HostAddress& one : host.addresses)
        host.reverse_path_filters[one.interface] = reverse_path_filter(one.interface);
    return host;
}

Host read_uplinks() {
    Host host;
    read_addresses(host);
    for (const Family family : {Family::ipv4, Family::ipv6})
        read_routes(host, family, {"exact", "default"});
    return host;
}

std::string distant_address(const Host& host, Family family) {
    const char* const v4[] = {"203.0.113.254", "198.18.0.1", "192.88.99.1", "1.1.1.1"};
    const char* const v6[] = {"2001:db8:ffff:ffff::1", "2001:2::1", "2620:4f:8000::1", "2600::1"};
    for (const char* address : family == Family::ipv4 ? v4 : v6) {
        const bool special = std::any_of(host.routes.begin(), host.routes.end(), [&](const HostRoute& route) {
            return route.family == family && !is_part_of_everything(route) &&
                   contains(family, route.destination, address);
        });
        if (!special)
            return address;
    }
    throw Impossible("every address tried has a route of its own: no address stands for the rest of the "
                     "Internet");
}

std::string preferred_source(Family family, const std::string& destination) {
    const CommandResult result =
        run_command({"ip", "-j", family_option(family), "route", "get", destination});
    const json answer = json::parse(result.ok() ? result.output : "", nullptr, false);
    if (!answer.is_array() || answer.empty() || text_of(answer[0], "type") == "local" ||
        text_of(answer[0], "dev") == "lo")
        return {};
    return text_of(answer[0], "prefsrc");
}

std::string leaves_by(Family family, const std::string& destination, const Command& from) {
    Command command{"ip", "-o", family_option(family), "route", "get", destination};
    command.insert(command.end(), from.begin(), from.end());
    const Command words = split_words(run_command(command).output);
    const auto device = std::find(words.begin(), words.end(), "dev");
    return device == words.end() || std::next(device) == words.end() ? "" : *std::next(device);
}

bool is_part_of_everything(const HostRoute& route) {
    return route.is_default() || prefix_length(route.family, route.destination) < 4;
}

const char* family_option(Family family) {
    return family == Family::ipv4 ? "-4" : "-6";
}

unsigned prefix_length(Family family, const std::string& prefix) {
    const size_t slash = prefix.find('/');
    return slash == std::string::npos ? static_cast<unsigned>(8 * byte_count(family))
                                      : static_cast<unsigned>(std::stoul(prefix.substr(slash + 1)));
}

bool contains(Family family, const std::string& prefix, const std::string& address) {
    const Bits one = parse(family, prefix.substr(0, prefix.find('/')));
    const Bits other = parse(family, address);
    for (unsigned bit = 0; bit < prefix_length(family, prefix); ++bit) {
        const unsigned mask = 0x80U >> (bit % 8);
        if (((one[bit / 8] ^ other[bit / 8]) & mask) != 0)
            return false;
    }
    return true;
}

std::string address_in(Family family, const std::string& prefix, unsigned number) {
    Bits bits = parse(family, prefix.substr(0, prefix.find('/')));
    for (size_t byte = byte_count(family); byte-- > 0 && number != 0; number >>= 8) {
        number += bits[byte];
        bits[byte] = static_cast<unsigned char>(number);
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, bits.data(), text.data(), text.size());
    return text.data();
}

} // namespace multihome::tools::recipes
