// SPDX-License-Identifier: MIT
//
// The host of a test: a network namespace with addresses and routes, see script.hpp.
#include "tests/conversations/script.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace multihome::conversations {

namespace {

constexpr rlim_t maximum_peers = 1500; // of a test

bool is_ipv6(const std::string& address) {
    return address.find(':') != std::string::npos;
}

// The kernel makes the route to a new IPv6 address by and by, and throws away what is sent to it before.
void await_route(const std::string& address) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    inet_pton(AF_INET6, address.c_str(), bytes.data());
    std::string wanted;
    for (const unsigned char byte : bytes)
        wanted += {"0123456789abcdef"[byte / 16], "0123456789abcdef"[byte % 16]};
    for (int tries = 0; tries < patience_milliseconds; ++tries, usleep(1000)) {
        std::ifstream routes{"/proc/self/net/ipv6_route"};
        for (std::string line; std::getline(routes, line);)
            if (line.starts_with(wanted) &&
                line.find(" 80200001 ") != std::string::npos) // RTF_LOCAL and others
                return;
    }
    fail("no route to this host at " + address);
}

void raise_descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, maximum_peers));
    setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

void ip(const std::string& arguments) {
    const std::string command = "ip " + arguments;
    if (std::system(command.c_str()) !=
        0) // NOLINT(concurrency-mt-unsafe,cert-env33-c): one thread, own words
        fail("this did not work: " + command);
}

void add_address(const std::string& address) {
    if (!is_ipv6(address))
        return ip("address replace " + address + "/32 dev lo");
    ip("-6 address replace " + address + "/128 dev lo nodad");
    await_route(address);
}

void remove_address(const std::string& address) {
    ip(is_ipv6(address) ? "-6 address delete " + address + "/128 dev lo"
                        : "address delete " + address + "/32 dev lo");
}

std::string lost_datagrams() {
    std::string lost;
    // Two lines a protocol in the first file, the second of which has the numbers; one line a counter in the
    // second.
    std::ifstream snmp{"/proc/self/net/snmp"};
    for (std::string names, numbers; std::getline(snmp, names) && std::getline(snmp, numbers);)
        if (names.starts_with("Udp:"))
            lost.append(names).append("\n").append(numbers).append("\n");
    std::ifstream snmp6{"/proc/self/net/snmp6"};
    for (std::string line; std::getline(snmp6, line);)
        if ((line.starts_with("Udp6") || line.find("Discards") != std::string::npos) &&
            !line.ends_with("\t0"))
            lost += line + "\n";
    return lost;
}

void become_a_host() {
    if (access("/proc/sys/net/ipv6", F_OK) != 0)
        throw Skip("this kernel has no IPv6");
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        throw Skip(with_errno("cannot make a network namespace"));
    if (std::system("command -v ip >/dev/null") != 0) // NOLINT(concurrency-mt-unsafe,cert-env33-c)
        throw Skip("ip is not installed");
    raise_descriptor_limit();
    ip("link set lo up");
    for (const Family family : {Family::v4, Family::v6})
        for (const std::string& address : addresses(family))
            add_address(address);
    ip("route add local 203.0.113.0/24 dev lo src " + addresses(Family::v4)[0]);
    ip("-6 route add local 2001:db8:ffff::/64 dev lo src " + addresses(Family::v6)[0]);
    ip("route add local 198.18.0.0/15 dev lo");
    ip("-6 route add local 2001:db8:7::/64 dev lo");
}

} // namespace multihome::conversations
