// SPDX-License-Identifier: MIT
// The control messages that sending steps carry, good and bad ones.
#include "tools/differential/prepare.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

namespace multihome::differential {

namespace {

constexpr int ipv6_2292_packet_info = 2; // linux/in6.h
constexpr int udp_segment = 103;         // linux/udp.h

class ControlWriter {
public:
    explicit ControlWriter(std::array<unsigned char, 1024>& target) : target_(target) {}

    void add(int level, int type, const void* data, std::size_t size) {
        add_header(CMSG_LEN(size), level, type);
        std::memcpy(target_.data() + length_ + CMSG_LEN(0), data, size);
        finish(CMSG_LEN(size));
    }
    template <typename Type>
    void add(int level, int type, const Type& value) {
        add(level, type, &value, sizeof value);
    }
    /// A header that need not tell the truth about its length.
    void add_bare(std::size_t claimed, int level, int type) {
        add_header(claimed, level, type);
        finish(sizeof(cmsghdr));
    }
    [[nodiscard]] std::size_t length() const { return length_; }
    [[nodiscard]] std::size_t unpadded() const { return unpadded_; }

private:
    void add_header(std::size_t claimed, int level, int type) {
        cmsghdr header{};
        header.cmsg_len = claimed;
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::memcpy(target_.data() + length_, &header, sizeof header);
    }
    void finish(std::size_t size) {
        unpadded_ = length_ + size;
        length_ += CMSG_ALIGN(size);
    }
    std::array<unsigned char, 1024>& target_;
    std::size_t length_ = 0;
    std::size_t unpadded_ = 0;
};

in6_addr mapped_loopback() {
    in6_addr address{};
    address.s6_addr[10] = 0xff;
    address.s6_addr[11] = 0xff;
    address.s6_addr[12] = 127;
    address.s6_addr[15] = 1;
    return address;
}

void add_sources(std::uint32_t contents, ControlWriter& writer) {
    if ((contents & content_packet_info) != 0) {
        in_pktinfo info{};
        info.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
        writer.add(IPPROTO_IP, IP_PKTINFO, info);
    }
    if ((contents & content_foreign_source) != 0) {
        in_pktinfo info{};
        info.ipi_spec_dst.s_addr = htonl(0xc0000263); // 192.0.2.99
        writer.add(IPPROTO_IP, IP_PKTINFO, info);
    }
    in6_pktinfo info6{};
    info6.ipi6_addr = in6addr_loopback;
    if ((contents & content_packet_info6) != 0)
        writer.add(IPPROTO_IPV6, IPV6_PKTINFO, info6);
    if ((contents & content_packet_info_2292) != 0)
        writer.add(IPPROTO_IPV6, ipv6_2292_packet_info, info6);
    if ((contents & content_mapped_source) != 0) {
        info6.ipi6_addr = mapped_loopback();
        writer.add(IPPROTO_IPV6, IPV6_PKTINFO, info6);
    }
}

} // namespace

std::size_t build_control(std::uint32_t contents, std::array<unsigned char, 1024>& target,
                          std::size_t& unpadded) {
    target.fill(0);
    ControlWriter writer{target};
    const auto has = [&](Content content) { return (contents & content) != 0; };
    if (has(content_zero))
        writer.add_bare(0, 0, 0);
    if (has(content_ttl))
        writer.add(IPPROTO_IP, IP_TTL, 7);
    if (has(content_tos))
        writer.add(IPPROTO_IP, IP_TOS, 8);
    add_sources(contents, writer);
    if (has(content_segment))
        writer.add(IPPROTO_UDP, udp_segment, std::uint16_t{40});
    if (has(content_transmit_time))
        writer.add(SOL_SOCKET, SO_TXTIME, std::uint64_t{1});
    if (has(content_hop_limit))
        writer.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 9);
    if (has(content_traffic_class))
        writer.add(IPPROTO_IPV6, IPV6_TCLASS, 16);
    if (has(content_mark))
        writer.add(SOL_SOCKET, SO_MARK, std::uint32_t{3});
    if (has(content_rights))
        writer.add(SOL_SOCKET, SCM_RIGHTS, 2);
    if (has(content_unknown))
        writer.add(99, 98, std::uint32_t{97});
    if (has(content_garbage)) {
        std::array<unsigned char, 40> garbage{};
        for (std::size_t index = 0; index < garbage.size(); ++index)
            garbage[index] = static_cast<unsigned char>(index * 53 + 11);
        writer.add_bare(sizeof(cmsghdr) + 3, 0, 8); // an IP_PKTINFO of three bytes
        writer.add(0x01020304, 0x05060708, garbage);
    }
    if (has(content_too_short))
        writer.add_bare(3, IPPROTO_IP, IP_TTL);
    if (has(content_too_long))
        writer.add_bare(4000, IPPROTO_IP, IP_TTL);
    unpadded = writer.unpadded();
    return writer.length();
}

long system_call_of(Symbol symbol) {
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
    switch (symbol) {
    case Symbol::socket:
        return SYS_socket;
    case Symbol::bind:
        return SYS_bind;
    case Symbol::connect:
        return SYS_connect;
    case Symbol::close:
        return SYS_close;
    case Symbol::close_range:
        return SYS_close_range;
    case Symbol::dup:
        return SYS_dup;
#ifdef SYS_dup2
    case Symbol::dup2:
        return SYS_dup2;
#endif
    case Symbol::dup3:
        return SYS_dup3;
    case Symbol::fcntl:
        return SYS_fcntl;
    case Symbol::pidfd_getfd:
        return SYS_pidfd_getfd;
    case Symbol::setsockopt:
        return SYS_setsockopt;
    case Symbol::getsockopt:
        return SYS_getsockopt;
    case Symbol::recvfrom:
        return SYS_recvfrom;
    case Symbol::recvmsg:
        return SYS_recvmsg;
    case Symbol::recvmmsg:
        return SYS_recvmmsg;
    case Symbol::sendto:
        return SYS_sendto;
    case Symbol::sendmsg:
        return SYS_sendmsg;
    case Symbol::sendmmsg:
        return SYS_sendmmsg;
    // These are no system calls. Not `default:`, so that the compiler names a function that has no case yet.
    case Symbol::closefrom:
    case Symbol::fcntl64:
    case Symbol::__recvfrom_chk:
    case Symbol::prctl:
    case Symbol::syscall:
    case Symbol::count:
#ifndef SYS_dup2
    case Symbol::dup2:
#endif
        return -1;
    }
#pragma GCC diagnostic pop
    return -1;
}

} // namespace multihome::differential
