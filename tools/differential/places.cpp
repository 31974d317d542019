// SPDX-License-Identifier: MIT
// The socket addresses that steps name.
#include "tools/differential/surroundings.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

namespace multihome::differential {

namespace {

struct Described {
    int family;
    const char* address;
    bool leaves_the_host;
};

Described describe(Place place) {
    switch (place) {
    case Place::v4_loopback:
        return {AF_INET, "127.0.0.1", false};
    case Place::v4_other:
        return {AF_INET, "127.0.0.2", false};
    case Place::v4_any:
        return {AF_INET, "0.0.0.0", false};
    case Place::v4_nowhere:
        return {AF_INET, "192.0.2.77", true};
    case Place::v4_broadcast:
        return {AF_INET, "127.255.255.255", false};
    case Place::v4_group:
        return {AF_INET, "224.0.0.1", true};
    case Place::v4_limited:
        return {AF_INET, "255.255.255.255", true};
    case Place::v6_loopback:
    case Place::v6_short:
        return {AF_INET6, "::1", false};
    case Place::v6_any:
        return {AF_INET6, "::", false};
    case Place::v6_mapped_loopback:
        return {AF_INET6, "::ffff:127.0.0.1", false};
    case Place::v6_mapped_any:
        return {AF_INET6, "::ffff:0.0.0.0", false};
    case Place::v6_nowhere:
        return {AF_INET6, "2001:db8::77", true};
    case Place::v6_group:
        return {AF_INET6, "ff02::1", true};
    case Place::v6_link_local:
        return {AF_INET6, "fe80::1", true};
    case Place::local:
        return {AF_UNIX, "", false};
    case Place::other_family:
        return {77, "", false};
    default:
        return {AF_UNSPEC, "", false};
    }
}

} // namespace

void Surroundings::normalise_port(sockaddr_storage& name, bool by_lot) const {
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    if (name.ss_family != AF_INET && name.ss_family != AF_INET6)
        return;
    auto* const place = reinterpret_cast<unsigned char*>(&name) + offsetof(sockaddr_in, sin_port);
    in_port_t port = 0;
    std::memcpy(&port, place, sizeof port);
    const int number = ntohs(port);
    if (number == 0 || (!by_lot && number >= first_port_ && number < first_port_ + port_count))
        return;
    port = htons(0x8000);
    std::memcpy(place, &port, sizeof port);
}

socklen_t Surroundings::address(Place place, int port, sockaddr_storage& result) const {
    result = {};
    const Described described = describe(place);
    const auto number = htons(static_cast<in_port_t>(first_port_ + port));
    result.ss_family = static_cast<sa_family_t>(described.family);
    if (described.family == AF_INET) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = port < 0 ? 0 : number;
        const bool allowed = isolated_ || !described.leaves_the_host;
        inet_pton(AF_INET, allowed ? described.address : "127.0.0.1", &name.sin_addr);
        std::memcpy(&result, &name, sizeof name);
        return sizeof name;
    }
    if (described.family == AF_INET6) {
        sockaddr_in6 name{};
        name.sin6_family = AF_INET6;
        name.sin6_port = port < 0 ? 0 : number;
        const bool allowed = isolated_ || !described.leaves_the_host;
        inet_pton(AF_INET6, allowed ? described.address : "::1", &name.sin6_addr);
        name.sin6_scope_id = place == Place::v6_group || place == Place::v6_link_local ? 1 : 0;
        std::memcpy(&result, &name, sizeof name);
        return place == Place::v6_short ? 24 : sizeof name;
    }
    if (described.family == AF_UNIX) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        const int length =
            std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "multihome-%d", first_port_ + port);
        std::memcpy(&result, &name, sizeof name);
        return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
    }
    return sizeof(sockaddr_in);
}

} // namespace multihome::differential
