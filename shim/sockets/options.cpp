// SPDX-License-Identifier: MIT
#include "shim/sockets/options.hpp"

#include "shim/base/libc.hpp"

#include <cstring>
#include <netinet/in.h>

#ifndef IPV6_2292PKTINFO
#define IPV6_2292PKTINFO 2 // linux/in6.h, which cannot be included beside netinet/in.h
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62 // asm-generic/socket.h
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

namespace multihome::options {

namespace {

// The mark. A socket may be handed to another program (exec, a UNIX socket) that runs under the shim as well,
// which then finds the options on and must know whether a program had asked for them. IP_BIND_ADDRESS_NO_PORT
// says nothing any more once a socket is bound (ip(7)), is kept by the kernel with the socket, and exists for
// both families: set means that the packet information on this socket is ours alone. getsockopt() hides it.
constexpr int mark_level = IPPROTO_IP;
constexpr int mark_name = IP_BIND_ADDRESS_NO_PORT;

static_assert(IPPROTO_IP == 0 && IPPROTO_IPV6 == 41 && concerns(IPPROTO_IP, IP_PKTINFO) &&
              concerns(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) && concerns(IPPROTO_IPV6, IPV6_RECVPKTINFO) &&
              concerns(IPPROTO_IPV6, IPV6_2292PKTINFO));

struct PacketInfoOption {
    int level;
    int name;
    Socket::Option asked;
    bool on_ipv4; // exists on, and is needed by, an AF_INET socket
    bool needed;
};

constexpr PacketInfoOption packet_info_options[] = {
    {IPPROTO_IP, IP_PKTINFO, Socket::asked_ipv4, true, true},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, Socket::asked_ipv6, false, true},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, Socket::asked_ipv6_2292, false, false},
};

bool read_flag(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return libc::getsockopt(fd, level, name, &value, &length) == 0 && value != 0;
}

bool write_flag(int fd, int level, int name, int value) {
    return libc::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

const PacketInfoOption* find(int level, int name) {
    for (const PacketInfoOption& option : packet_info_options)
        if (option.level == level && option.name == name)
            return &option;
    return nullptr;
}

// What the kernel's answer to getsockopt() has to be changed to.
void overwrite(void* value, const socklen_t* length, bool asked) {
    // The kernel has just written here: an int, or one byte where the program gave room for less.
    const int flag = asked ? 1 : 0;
    if (*length >= sizeof flag)
        std::memcpy(value, &flag, sizeof flag);
    else if (*length > 0)
        *static_cast<unsigned char*>(value) = static_cast<unsigned char>(flag);
}

} // namespace

bool is_marked(int fd, bool ipv6) {
    return read_flag(fd, mark_level, mark_name) &&
           (ipv6 ? read_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) : read_flag(fd, IPPROTO_IP, IP_PKTINFO));
}

bool prepare(int fd, bool ipv6, bool seen_made, uint64_t& bits) {
    const bool flag = read_flag(fd, mark_level, mark_name);
    const bool was_marked = flag && !seen_made;
    bits = 0;
    for (const PacketInfoOption& option : packet_info_options) {
        if (!ipv6 && !option.on_ipv4)
            continue;
        const bool on = read_flag(fd, option.level, option.name);
        if (on && !was_marked)
            bits |= option.asked;
        if (on || !option.needed)
            continue;
        // IP_PKTINFO on an IPv6 socket only betters the answer to an IPv4 broadcast; a socket can do without.
        if (!write_flag(fd, option.level, option.name, 1) && (option.on_ipv4 != ipv6))
            return false;
    }
    // A program that asked for packet information itself is to find it on wherever it hands the socket to.
    if (bits == 0 && (flag || write_flag(fd, mark_level, mark_name, 1)))
        bits |= Socket::marked;
    if (flag && seen_made)
        bits |= Socket::asked_port_at_connect;
    return true;
}

int bind_again(int fd, Socket socket, const sockaddr* address, socklen_t length) {
    const bool in_the_way = socket.has(Socket::marked) && !socket.has(Socket::asked_port_at_connect);
    if (!in_the_way)
        return libc::bind(fd, address, length);
    {
        const libc::ErrnoGuard keep_errno;
        write_flag(fd, mark_level, mark_name, 0);
    }
    const int result = libc::bind(fd, address, length);
    const libc::ErrnoGuard keep_errno;
    write_flag(fd, mark_level, mark_name, 1);
    return result;
}

void give_back(int fd, Socket socket) {
    const libc::ErrnoGuard keep_errno;
    for (const PacketInfoOption& option : packet_info_options)
        if (option.needed && !socket.has(option.asked) && (socket.has(Socket::ipv6) || option.on_ipv4))
            write_flag(fd, option.level, option.name, 0);
    if (socket.has(Socket::marked))
        write_flag(fd, mark_level, mark_name, socket.has(Socket::asked_port_at_connect));
}

int set(int fd, Socket socket, int level, int name, const void* value, socklen_t length) {
    const int result = libc::setsockopt(fd, level, name, value, length);
    if (result != 0)
        return result;
    const libc::ErrnoGuard keep_errno;
    // Ask the kernel what it made of the value, rather than to repeat its rules for short and long ones.
    const bool now_on = read_flag(fd, level, name);
    if (level == mark_level && name == mark_name) {
        sockets::set_options(fd, Socket::asked_port_at_connect,
                             now_on ? uint64_t{Socket::asked_port_at_connect} : 0);
        if (socket.has(Socket::marked) && !now_on)
            write_flag(fd, mark_level, mark_name, 1);
        return 0;
    }
    const PacketInfoOption& option = *find(level, name);
    uint64_t bits = now_on ? uint64_t{option.asked} : 0;
    // Relies on nothing but the word: the other options as they were.
    const uint64_t asked = (socket.word() & Socket::all_asked & ~uint64_t{option.asked}) | bits;
    if (!now_on && option.needed)
        write_flag(fd, level, name, 1);
    const bool mark = asked == 0;
    if (write_flag(fd, mark_level, mark_name, mark || socket.has(Socket::asked_port_at_connect)))
        bits |= mark ? uint64_t{Socket::marked} : 0;
    sockets::set_options(fd, option.asked | Socket::marked, bits);
    return 0;
}

int get(int fd, Socket socket, int level, int name, void* value, socklen_t* length) {
    const int result = libc::getsockopt(fd, level, name, value, length);
    if (result != 0)
        return result;
    if (level == mark_level && name == mark_name) {
        if (socket.has(Socket::marked))
            overwrite(value, length, socket.has(Socket::asked_port_at_connect));
    } else {
        overwrite(value, length, socket.has(find(level, name)->asked));
    }
    return 0;
}

int set_device(int fd, int level, int name, const void* value, socklen_t length) {
    const int result = libc::setsockopt(fd, level, name, value, length);
    if (result != 0 || sockets::peek(fd).kind() != Socket::Kind::ours)
        return result;
    const libc::ErrnoGuard keep_errno;
    const bool bound = read_flag(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
    sockets::set_options(fd, Socket::to_device, bound ? uint64_t{Socket::to_device} : 0);
    return 0;
}

static_assert(is_multicast_interface(IPPROTO_IP, IP_MULTICAST_IF) && is_device(SOL_SOCKET, SO_BINDTODEVICE) &&
              is_device(SOL_SOCKET, SO_BINDTOIFINDEX));

int set_multicast_interface(int fd, int level, int name, const void* value, socklen_t length) {
    const int result = libc::setsockopt(fd, level, name, value, length);
    if (result != 0)
        return result;
    // The kernel has just read it: an address alone, or one with an index behind it.
    ip_mreqn chosen{};
    if (length >= sizeof chosen)
        std::memcpy(&chosen, value, sizeof chosen);
    sockets::set_multicast_interface(fd, static_cast<uint32_t>(chosen.imr_ifindex));
    return 0;
}

} // namespace multihome::options
