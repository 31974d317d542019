// SPDX-License-Identifier: MIT
#include "tools/differential/surroundings.hpp"

#include "tools/differential/memory.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <sched.h>
#include <stdexcept>
#include <system_error>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace multihome::differential {

namespace {

template <typename Function>
void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(find_in_libc(name));
    if (function == nullptr)
        throw std::runtime_error(std::string{"libc has no "} + name);
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

bool write_file(const char* path, std::string_view text) {
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    libc().close(file);
    return written;
}

} // namespace

Libc::Libc() {
    find(socket, "socket");
    find(bind, "bind");
    find(connect, "connect");
    find(close, "close");
    find(close_range, "close_range");
    find(dup3, "dup3");
    find(fcntl, "fcntl");
    find(setsockopt, "setsockopt");
    find(getsockopt, "getsockopt");
    find(syscall, "syscall");
    find(recvmsg, "recvmsg");
    find(sendmsg, "sendmsg");
    find(sendto, "sendto");
}

const Libc& libc() {
    static const Libc functions;
    return functions;
}

bool isolate_network() {
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    const int control = libc().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strncpy(static_cast<char*>(request.ifr_name), "lo", sizeof request.ifr_name - 1);
    request.ifr_flags = IFF_UP;
    const bool up = control >= 0 && ioctl(control, SIOCSIFFLAGS, &request) == 0;
    if (control >= 0)
        libc().close(control);
    // Each of these takes a piece of chance out of the comparison, and none has to work.
    write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 60000");
    write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0"); // TIME_WAIT ends by the clock
    write_file("/proc/sys/net/ipv6/auto_flowlabels", "0");
    return up;
}

in_port_t find_free_ports() {
    for (int first = 20000; first < 30000; first += port_count) {
        bool free = true;
        for (int index = 0; free && index < port_count; ++index) {
            for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
                const int fd = libc().socket(AF_INET6, type | SOCK_CLOEXEC, 0);
                const int ipv4 = fd >= 0 ? -1 : libc().socket(AF_INET, type | SOCK_CLOEXEC, 0);
                sockaddr_in6 six{};
                six.sin6_family = AF_INET6;
                six.sin6_port = htons(static_cast<in_port_t>(first + index));
                sockaddr_in four{};
                four.sin_family = AF_INET;
                four.sin_port = six.sin6_port;
                free = free &&
                       (fd >= 0 ? libc().bind(fd, reinterpret_cast<sockaddr*>(&six), sizeof six)
                                : libc().bind(ipv4, reinterpret_cast<sockaddr*>(&four), sizeof four)) == 0;
                libc().close(fd >= 0 ? fd : ipv4);
            }
        }
        if (free)
            return static_cast<in_port_t>(first);
    }
    return 0;
}

void Surroundings::leave() {
    libc().close_range(first_own_descriptor, first_own_descriptor + own_descriptor_count - 1, 0);
}

void Surroundings::open_udp(int number, int family, int port) {
    const int fd = libc().socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        if (family == AF_INET6)
            return; // a host without IPv6: the steps fail alike on both sides
        fail("socket");
    }
    if (fd != number && (libc().dup3(fd, number, O_CLOEXEC) < 0 || libc().close(fd) != 0))
        fail("dup3");
    sockaddr_storage name{};
    const socklen_t length = address(family == AF_INET ? Place::v4_loopback : Place::v6_loopback, port, name);
    if (libc().bind(number, reinterpret_cast<sockaddr*>(&name), length) != 0 && family == AF_INET)
        fail("bind");
    const int on = 1;
    libc().setsockopt(number, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    // Room for all that one call can send: what a full queue drops is not the same each time.
    const int room = 4 << 20;
    libc().setsockopt(number, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    libc().setsockopt(number, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    libc().setsockopt(number, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    libc().setsockopt(number, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    libc().setsockopt(number, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
}

void Surroundings::repair() {
    if (libc().fcntl(marker(), F_GETFD) >= 0)
        return;
    open_udp(marker(), AF_INET, port_count - 1);
    sockaddr_storage own{};
    const socklen_t length = address(Place::v4_loopback, port_count - 1, own);
    const timeval patience{1, 0};
    if (libc().connect(marker(), reinterpret_cast<sockaddr*>(&own), length) != 0 ||
        libc().setsockopt(marker(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        fail("connect");
    // While any socket of the host asks for times, every datagram gets one when it arrives; else only those
    // do that arrive after their socket has asked. So that this does not depend on the rest of the host:
    const int on = 1;
    libc().setsockopt(marker(), SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
    open_udp(client_fd(0), AF_INET, 12);
    open_udp(client_fd(1), AF_INET6, 12);
    open_udp(client_fd(2), AF_INET, 13);
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair.data()) != 0 ||
        libc().dup3(pair[0], pass_from(), O_CLOEXEC) < 0 || libc().dup3(pair[1], pass_to(), O_CLOEXEC) < 0)
        fail("socketpair");
    libc().close(pair[0]);
    libc().close(pair[1]);
    const auto pidfd = static_cast<int>(libc().syscall(SYS_pidfd_open, getpid(), 0));
    if (pidfd >= 0 && (libc().dup3(pidfd, own_pidfd(), O_CLOEXEC) < 0 || libc().close(pidfd) != 0))
        fail("pidfd_open");
}

void Surroundings::settle() {
    // Twice: what a packet causes (an ICMP error, the next part of a handshake) queues up behind the first
    // marker.
    for (int round = 0; round < 2; ++round) {
        char byte = 0;
        iovec data{&byte, 1};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        do
            libc().sendto(marker(), "", 1, MSG_DONTWAIT, nullptr, 0);
        while (libc().recvmsg(marker(), &message, 0) < 0 && (errno == EAGAIN || errno == EINTR));
    }
}

void Surroundings::client_send(int client, Place to, int port, std::size_t length, int times,
                               bool segmented) {
    static constexpr std::size_t longest = 65000;
    static const std::array<unsigned char, longest> data = [] {
        std::array<unsigned char, longest> bytes{};
        for (std::size_t index = 0; index < bytes.size(); ++index)
            bytes[index] = static_cast<unsigned char>(index * 7 + index / 251);
        return bytes;
    }();
    sockaddr_storage name{};
    const socklen_t name_length = address(to, port, name);
    const int fd = client_fd(client);
    const int segment = segmented ? 100 : 0;
    libc().setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    for (int index = 0; index < times; ++index) {
        libc().sendto(fd, data.data() + index % 64, std::min(length, longest - 64), MSG_DONTWAIT,
                      reinterpret_cast<sockaddr*>(&name), name_length);
        if (index % 100 == 99)
            settle(); // the queue between the two ends is not endless
    }
    settle();
}

bool Surroundings::client_receive(int client, std::uint64_t& digest, std::string* note) {
    static std::array<unsigned char, 65536> data;
    sockaddr_storage name{};
    alignas(cmsghdr) std::array<unsigned char, 256> control{};
    iovec vector{data.data(), data.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t length = libc().recvmsg(client_fd(client), &message, MSG_DONTWAIT);
    if (length < 0)
        return false;
    normalise_address(reinterpret_cast<unsigned char*>(&name), message.msg_namelen);
    if (note != nullptr) {
        *note +=
            " client " + std::to_string(client) + ": " + std::to_string(length) + " bytes, name and control";
        const auto append = [note](const void* bytes, std::size_t size) {
            for (std::size_t index = 0; index < size; ++index)
                *note += " " + std::to_string(static_cast<const unsigned char*>(bytes)[index]);
            *note += ";";
        };
        append(&name, message.msg_namelen);
        append(control.data(), message.msg_controllen);
    }
    digest = hash_bytes(data.data(), static_cast<std::size_t>(length));
    digest = hash_bytes(&name, message.msg_namelen, digest);
    digest = hash_bytes(control.data(), message.msg_controllen, digest);
    return true;
}

in_addr_t Surroundings::client_source(int client) {
    sockaddr_in name{};
    char byte = 0;
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    return libc().recvmsg(client_fd(client), &message, MSG_DONTWAIT) >= 0 ? ntohl(name.sin_addr.s_addr) : 0;
}

void normalise_address(unsigned char* address, std::size_t length) {
    if (length < 3 || address[2] < 0x80)
        return;
    address[2] = 0x80;
    if (length > 3)
        address[3] = 0;
}

namespace {

// A datagram that came before the program switched on IP_PKTINFO has neither interface nor address to reply
// from; with the shim, which has it on all the time, it has both. Here they can only be the loopback's.
void normalise_packet_info(unsigned char* data, std::size_t length) {
    in_pktinfo info{};
    info.ipi_ifindex = 1;
    info.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
    constexpr std::size_t masked = offsetof(in_pktinfo, ipi_addr);
    const std::size_t present = std::min(length, masked);
    if (std::memcmp(data, &info, present) == 0)
        std::memset(data, 0, present);
}

// The same of IPV6_PKTINFO, which has only the interface to add.
void normalise_packet_info6(unsigned char* data, std::size_t length) {
    constexpr std::size_t offset = offsetof(in6_pktinfo, ipi6_ifindex);
    if (length > offset && data[offset] == 1)
        data[offset] = 0;
}

} // namespace

void normalise_control(unsigned char* control, std::size_t length) {
    constexpr int ipv6_flow_info = 11;
    constexpr int credentials = 2;
    constexpr std::array<int, 6> times{29, 35, 37, 63, 64, 65}; // SO_TIMESTAMP and its kin, old and new
    while (length >= sizeof(cmsghdr)) {
        cmsghdr header{};
        std::memcpy(&header, control, sizeof header);
        if (header.cmsg_len < sizeof header)
            return;
        const std::size_t present = std::min<std::size_t>(header.cmsg_len, length);
        const bool by_clock = header.cmsg_level == SOL_SOCKET &&
                              std::find(times.begin(), times.end(), header.cmsg_type) != times.end();
        const bool by_process = header.cmsg_level == SOL_SOCKET && header.cmsg_type == credentials;
        const bool by_lot = header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == ipv6_flow_info;
        if (by_clock || by_process || by_lot)
            std::memset(control + sizeof header, 0, present - sizeof header);
        if (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_PKTINFO)
            normalise_packet_info(control + sizeof header, present - sizeof header);
        if (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_PKTINFO)
            normalise_packet_info6(control + sizeof header, present - sizeof header);
        // IP_ORIGDSTADDR and IPV6_ORIGDSTADDR are socket addresses.
        if ((header.cmsg_level == IPPROTO_IP && header.cmsg_type == 20) ||
            (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == 74))
            normalise_address(control + sizeof header, present - sizeof header);
        const std::size_t space = std::min<std::size_t>(CMSG_ALIGN(header.cmsg_len), length);
        control += space;
        length -= space;
    }
}

} // namespace multihome::differential
