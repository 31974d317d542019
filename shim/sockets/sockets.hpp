// SPDX-License-Identifier: MIT
//
// What we know of each descriptor: one atomic word, 0 while nothing is known, so that forgetting is a store.
//
// A descriptor is ours when it is an AF_INET or AF_INET6 UDP socket that is bound to the wildcard address. We
// learn that from bind(), or on first use of a descriptor that we did not see being made.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome {

// A descriptor's word, taken apart.
class Socket {
public:
    // One bit each, so that one instruction tells whether it is this one.
    enum class Kind : uint8_t {
        unknown = 0, // not looked at yet
        other = 1,   // none of our business
        unbound = 2, // UDP, neither bound nor used for sending yet
        ours = 4,    // UDP, bound to the wildcard address
    };
    // Who spoke first on this socket.
    enum class Role : uint8_t {
        fresh,  // nobody yet
        server, // a peer did
        client, // we did, to a peer that we had not heard
    };
    // Options that the program itself has switched on, so that it sees their messages, and those that we
    // have.
    enum Option : uint64_t {
        no_descriptors = 1U << 5,   // no UNIX socket: what it receives brings no descriptors
        has_copies = 1U << 6,       // not looked at or not bound yet, and others may be this socket too
        only_ipv4 = 1U << 7,        // AF_INET6, and its own address is an IPv4 one
        left_alone = 1U << 8,       // was unbound; where nothing came of its first call it still is
        asked_ipv4 = 1U << 9,       // IP_PKTINFO
        asked_ipv6 = 1U << 10,      // IPV6_RECVPKTINFO
        asked_ipv6_2292 = 1U << 11, // IPV6_2292PKTINFO
        all_asked = asked_ipv4 | asked_ipv6 | asked_ipv6_2292,
        marked = 1U << 12,                // we have put our mark on the socket, see options.cpp
        asked_port_at_connect = 1U << 13, // IP_BIND_ADDRESS_NO_PORT, which the mark hides
        ipv6 = 1U << 14,                  // the socket is AF_INET6
        dual_stack = 1U << 15,            // and takes IPv4 as well
        to_device = 1U << 16,             // the program has bound the socket to a device
    };

    constexpr Socket() = default;
    constexpr explicit Socket(uint64_t word) : word_(word) {}
    constexpr Socket(Kind kind, uint64_t options, uint32_t tag)
        : word_(static_cast<uint64_t>(kind) | options | uint64_t{tag} << tag_shift) {}

    constexpr uint64_t word() const { return word_; }
    constexpr Kind kind() const { return static_cast<Kind>(word_ & kind_mask); }
    // The same as kind() == wanted, for any but `unknown`.
    constexpr bool is(Kind wanted) const { return (word_ & static_cast<uint64_t>(wanted)) != 0; }
    constexpr Role role() const { return static_cast<Role>(word_ >> role_shift & 3); }
    constexpr bool has(Option option) const { return (word_ & option) != 0; }
    // The low bits of the socket's SO_COOKIE: the same for every descriptor of the socket, in every process.
    constexpr uint32_t tag() const { return static_cast<uint32_t>(word_ >> tag_shift) & tag_mask; }
    static constexpr uint32_t tag_of(uint64_t cookie) { return static_cast<uint32_t>(cookie & tag_mask); }
    // The local port that the socket is bound to (network byte order); 0 while it has none.
    constexpr in_port_t port() const { return static_cast<in_port_t>(word_ >> port_shift); }
    // The socket's number in the order in which sockets were made; 0 where that is not known.
    constexpr uint16_t made() const { return 0; }
    constexpr Socket with_port(in_port_t port) const {
        return Socket{(word_ & ~(uint64_t{0xffff} << port_shift)) | uint64_t{port} << port_shift};
    }

    // The interface index that the program chose with IP_MULTICAST_IF, which the kernel does not tell again;
    // 0 for none.
    static constexpr uint32_t multicast_interface_unknown = 0xffff; // one that does not fit in here
    constexpr uint32_t multicast_interface() const {
        return static_cast<uint32_t>(word_ >> interface_shift & 0xffff);
    }
    constexpr Socket with_multicast_interface(uint32_t index) const {
        const uint64_t kept = index < multicast_interface_unknown ? index : multicast_interface_unknown;
        return Socket{(word_ & ~(uint64_t{0xffff} << interface_shift)) | kept << interface_shift};
    }

    constexpr Socket with_role(Role role) const {
        return Socket{(word_ & ~(uint64_t{3} << role_shift)) | uint64_t(role) << role_shift};
    }
    constexpr Socket with_options(uint64_t mask, uint64_t options) const {
        return Socket{(word_ & ~mask) | options};
    }

private:
    // From the low end: kind, role, options, interface, tag, port.
    static constexpr uint64_t kind_mask = 7;
    static constexpr unsigned role_shift = 3;
    static constexpr unsigned interface_shift = 17;
    static constexpr unsigned tag_shift = 33;
    static constexpr uint32_t tag_mask = 0x7fff;
    static constexpr unsigned port_shift = 48;

    uint64_t word_ = 0;
};

namespace sockets {

namespace detail {
// The words of the descriptors that nearly every process stays below; untouched pages cost nothing.
constexpr unsigned direct_count = 32768;
extern std::array<std::atomic<uint64_t>, direct_count> direct;
[[gnu::cold]] uint64_t load_high(unsigned fd);
} // namespace detail

// What is known of `fd` without looking at the socket. Async-signal-safe.
[[gnu::always_inline]] inline Socket peek(int fd) {
    const auto index = static_cast<unsigned>(fd);
    // Relaxed: the word is the whole truth; what it lets us use (shared_state) is published by its own
    // atomic.
    if (index >= detail::direct_count) [[unlikely]]
        return Socket{detail::load_high(index)};
    return Socket{detail::direct[index].load(std::memory_order_relaxed)};
}

// A descriptor whose word a quick look finds.
[[gnu::always_inline]] inline bool is_direct(int fd) {
    return static_cast<unsigned>(fd) < detail::direct_count;
}

// The same without a call, for a quick look; unknown for descriptors from direct_count on.
[[gnu::always_inline]] inline Socket peek_direct(int fd) {
    const auto index = static_cast<unsigned>(fd);
    if (index >= detail::direct_count) [[unlikely]]
        return Socket{};
    return Socket{detail::direct[index].load(std::memory_order_relaxed)};
}

// The same, but looks at the socket if nothing is known: at most once for each descriptor. Leaves errno
// alone.
[[gnu::cold]] Socket examine(int fd);
inline Socket get(int fd) {
    const Socket socket = peek(fd);
    return socket.kind() != Socket::Kind::unknown ? socket : examine(fd);
}
inline bool is_ours(int fd) {
    return peek(fd).is(Socket::Kind::ours);
}

// Called once, when the library is loaded.
void start();

// False where a system-call filter forbids what looking at a socket, or steering it, takes.
bool may_examine();

// A new descriptor came out of socket(): what the arguments say of it.
void created(int fd, int domain, int type, int protocol);

// bind() succeeded: looks at the socket anew. Leaves errno alone.
void bound(int fd);

// An unbound socket is about to answer for one of ours: makes it one. Returns what it is now. Leaves errno
// alone.
Socket take_over_unbound(int fd);

// A socket that we left alone is a client: it never becomes ours by sending. Leaves errno alone.
void left_alone(int fd, Socket seen);

// `copy` has become another descriptor of the socket behind `fd`.
void duplicated(int fd, int copy);

// Forgets what is known, because the descriptor is about to be closed or its number to be used anew.
void forget(int fd);
void forget_range(unsigned first, unsigned last);

// A descriptor has come from elsewhere (SCM_RIGHTS, pidfd_getfd): whatever was known of its number is void.
void arrived(int fd);

// Stores `wanted`, if the word still is what `seen` says. Async-signal-safe.
void update(int fd, Socket seen, Socket wanted);

// The program chose this interface with IP_MULTICAST_IF, on every descriptor of the socket behind `fd`.
void set_multicast_interface(int fd, uint32_t index);

// Changes the options of every descriptor of the socket behind `fd` (dup() and its kin make several).
void set_options(int fd, uint64_t mask, uint64_t options);

// From now on, makes no system call to look at sockets: what is not known yet is none of our business.
void take_over_no_more();

// Leaves every socket as it would be without us. What is used again after that is taken over again.
void give_all_back();

// From now on, nothing is our business, and no system call is made for anything.
void leave_all_alone();

// A datagram came without packet information, which we had asked for: if the descriptor is another socket by
// now, forgets it. Leaves errno alone.
[[gnu::cold]] void verify(int fd, Socket seen);

} // namespace sockets
} // namespace multihome
