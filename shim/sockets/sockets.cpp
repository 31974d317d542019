// SPDX-License-Identifier: MIT
#include "shim/sockets/sockets.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/sockets/descriptor_words.hpp"
#include "shim/sockets/options.hpp"

#include <cstring>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62 // asm-generic/socket.h
#endif

namespace multihome::sockets {

namespace {

using Kind = Socket::Kind;
using words::find_word;
using words::for_each_word;
using words::Word;

// What system_call_filter has found out. Relaxed throughout: set by the thread that is about to be filtered.
constinit std::atomic<bool> no_new_sockets{false};
constinit std::atomic<bool> nothing_is_ours{false};

// A page that a forked child finds emptied (madvise(2), MADV_WIPEONFORK), while a vfork child, which shares
// our memory but not our descriptors, finds the parent's number in it. 64 KiB is the largest page there is.
struct alignas(65536) OwnerPage {
    std::atomic<int> pid;
};
constinit OwnerPage owner{};

int current_pid() {
    return static_cast<int>(libc::raw_syscall(SYS_getpid));
}

// Relaxed throughout: a process writes its own number only.
void become_owner() {
    owner.pid.store(current_pid(), std::memory_order_relaxed);
}

// True where a change of descriptors is no business of this memory: in a vfork child. One system call, on
// rare calls only. A process becomes the owner when it is loaded, and its children when they are forked; only
// one that was made by clone(2) itself finds the page empty here, and is taken for a forked one.
bool in_vfork_child() {
    // Then no word says anything that would have to be changed.
    if (nothing_is_ours.load(std::memory_order_relaxed))
        return true;
    const int known = owner.pid.load(std::memory_order_relaxed);
    if (known == 0) {
        become_owner();
        return false;
    }
    return known != current_pid();
}

Socket other_socket(int domain) {
    return {Kind::other, domain == AF_UNIX ? 0 : uint64_t{Socket::no_descriptors}, 0};
}

void store(int fd, Socket socket) {
    // Of what has no word nothing is known already.
    if (Word* word = find_word(fd, socket.word() != 0))
        word->store(socket.word(), std::memory_order_relaxed);
}

// One getsockopt() for an int; false on failure.
bool read_option(int fd, int level, int name, int& value) {
    socklen_t length = sizeof value;
    return libc::getsockopt(fd, level, name, &value, &length) == 0;
}

bool is_udp(int fd, int& domain) {
    int type = 0;
    int protocol = 0;
    return read_option(fd, SOL_SOCKET, SO_TYPE, type) && type == SOCK_DGRAM &&
           read_option(fd, SOL_SOCKET, SO_DOMAIN, domain) && (domain == AF_INET || domain == AF_INET6) &&
           read_option(fd, SOL_SOCKET, SO_PROTOCOL, protocol) && protocol == IPPROTO_UDP;
}

uint64_t cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return libc::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

// The socket is ours: switches on what we need.
Socket take_over(int fd, int domain, in_port_t port, bool seen_made) {
    const Settings& settings = settings::get();
    SharedState* state = shared_state::create(settings.peers);
    if (state == nullptr) {
        log::write(
            LogLevel::warn,
            "no memory for {} peers: UDP socket {} (port {}) answers as without multihome; raise the memory "
            "limit or lower MULTIHOME_PEERS",
            settings.peers, fd, ntohs(port));
        return {Kind::other, 0, 0};
    }
    uint64_t bits = 0;
    if (!options::prepare(fd, domain == AF_INET6, seen_made, bits)) {
        log::write(LogLevel::warn,
                   "this kernel refuses packet information ({}): UDP socket {} (port {}) answers as without "
                   "multihome",
                   errno, fd, ntohs(port));
        return {Kind::other, 0, 0};
    }
    int only_ipv6 = 0;
    if (domain == AF_INET6) {
        bits |= Socket::ipv6;
        if (read_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, only_ipv6) && only_ipv6 == 0)
            bits |= Socket::dual_stack;
    }
    int device = 0;
    if (read_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, device) && device != 0)
        bits |= Socket::to_device;
    state->counters.line(port, 0).add(Counter::sockets);
    const char* families = domain == AF_INET ? "IPv4" : only_ipv6 != 0 ? "IPv6" : "IPv6 and IPv4";
    if (port != 0)
        log::write(LogLevel::info, "took over UDP socket {}: {} port {}", fd, families, ntohs(port));
    else
        log::write(LogLevel::info, "took over UDP socket {}: {}, answers for another socket", fd, families);
    return Socket{Kind::ours, bits, Socket::tag_of(cookie_of(fd))}.with_port(port);
}

// The word of another descriptor of the socket behind `fd`, which is ours already; unknown where there is
// none.
Socket find_same(int fd) {
    const auto tag = Socket::tag_of(cookie_of(fd));
    Socket found;
    for_each_word([&](Word& word, unsigned) {
        const Socket socket{word.load(std::memory_order_relaxed)};
        if (socket.kind() == Kind::ours && socket.tag() == tag)
            found = socket;
    });
    return found;
}

// It is settled now what the socket behind `fd` is. Those of its descriptors that it was not settled for
// become the same: of the words that may be such a descriptor's, the socket's cookie tells which are.
void settle_copies(int fd, Socket settled) {
    const uint64_t cookie = cookie_of(fd);
    for_each_word([&](Word& word, unsigned other) {
        const Socket socket{word.load(std::memory_order_relaxed)};
        if (socket.kind() != Kind::ours && socket.has(Socket::has_copies) && cookie != 0 &&
            cookie_of(static_cast<int>(other)) == cookie)
            word.store(settled.word(), std::memory_order_relaxed);
    });
}

// Looks at the socket. Unknown where `fd` is none (so that nothing is stored for it). `seen_made`: it came
// out of a socket() call of this process.
Socket classify(int fd, bool seen_made) {
    if (settings::get().disabled || no_new_sockets.load(std::memory_order_relaxed))
        return {Kind::other, 0, 0};
    int type = 0;
    if (!read_option(fd, SOL_SOCKET, SO_TYPE, type))
        return {};
    int domain = 0;
    if (!is_udp(fd, domain))
        return read_option(fd, SOL_SOCKET, SO_DOMAIN, domain) ? other_socket(domain)
                                                              : Socket{Kind::other, 0, 0};
    // What the program has asked for on another descriptor of this socket only that one's word can tell.
    if (!seen_made)
        if (const Socket same = find_same(fd); same.kind() == Kind::ours)
            return same;
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0)
        return {};
    bool wildcard = false;
    bool mapped = false;
    in_port_t port = 0;
    if (name.ss_family == AF_INET) {
        sockaddr_in ipv4;
        std::memcpy(&ipv4, &name, sizeof ipv4);
        wildcard = ipv4.sin_addr.s_addr == htonl(INADDR_ANY);
        port = ipv4.sin_port;
    } else if (name.ss_family == AF_INET6) {
        sockaddr_in6 ipv6;
        std::memcpy(&ipv6, &name, sizeof ipv6);
        // ::ffff:0.0.0.0 is the wildcard of a dual-stack socket that takes IPv4 only.
        mapped = IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr);
        wildcard = IN6_IS_ADDR_UNSPECIFIED(&ipv6.sin6_addr) || (mapped && ipv6.sin6_addr.s6_addr32[3] == 0);
        port = ipv6.sin6_port;
    }
    // What carries our mark came to us from where it was ours, connected or without a port as it may be now.
    const bool marked = !seen_made && options::is_marked(fd, domain == AF_INET6);
    if (!wildcard && !marked)
        return other_socket(domain);
    if (port == 0 && !marked)
        return {Kind::unbound, seen_made ? 0 : uint64_t{Socket::has_copies}, 0};
    if (!marked && !settings::get().wants_port(port)) {
        log::write(LogLevel::info, "left UDP socket {} alone: port {} is not in MULTIHOME_PORTS", fd,
                   ntohs(port));
        return {Kind::other, 0, 0};
    }
    Socket socket = take_over(fd, domain, port, seen_made);
    if (mapped && socket.kind() == Kind::ours)
        socket = socket.with_options(0, Socket::only_ipv4);
    return socket;
}

} // namespace

void start() {
    const libc::ErrnoGuard keep_errno;
    // Where the kernel cannot do it, a child made by clone(2) itself is taken for a vfork child: it then
    // forgets nothing, and what it no longer should know is found out by verify().
    madvise(&owner, sizeof owner, MADV_WIPEONFORK);
    become_owner();
    pthread_atfork(nullptr, nullptr, become_owner);
}

bool may_examine() {
    return !no_new_sockets.load(std::memory_order_relaxed);
}

Socket examine(int fd) {
    const libc::ErrnoGuard keep_errno;
    if (in_vfork_child())
        return {Kind::other, 0, 0};
    const Socket socket = classify(fd, false);
    if (socket.kind() == Kind::ours)
        settle_copies(fd, socket);
    if (socket.kind() != Kind::unknown)
        store(fd, socket);
    return socket.kind() != Kind::unknown ? socket : Socket{Kind::other, 0, 0};
}

void created(int fd, int domain, int type, int protocol) {
    const libc::ErrnoGuard keep_errno;
    const bool udp = (domain == AF_INET || domain == AF_INET6) &&
                     (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_DGRAM &&
                     (protocol == 0 || protocol == IPPROTO_UDP) && !settings::get().disabled;
    const Socket known = udp ? Socket{Kind::unbound, 0, 0} : other_socket(domain);
    if (peek(fd).word() != known.word() && !in_vfork_child())
        store(fd, known);
}

void bound(int fd) {
    const libc::ErrnoGuard keep_errno;
    if (in_vfork_child())
        return;
    const Socket before = peek(fd);
    const Socket settled =
        classify(fd, before.kind() == Kind::unbound).with_multicast_interface(before.multicast_interface());
    store(fd, settled);
    // One that we did not see being made may have copies that we did not see either.
    if (before.kind() == Kind::unknown || before.has(Socket::has_copies))
        settle_copies(fd, settled);
}

Socket take_over_unbound(int fd) {
    const libc::ErrnoGuard keep_errno;
    const Socket before = peek(fd);
    int domain = 0;
    if (before.kind() != Kind::unbound || no_new_sockets.load(std::memory_order_relaxed) ||
        in_vfork_child() || !is_udp(fd, domain))
        return before;
    const Socket socket =
        take_over(fd, domain, 0, true).with_multicast_interface(before.multicast_interface());
    store(fd, socket);
    if (before.has(Socket::has_copies))
        settle_copies(fd, socket);
    return socket;
}

void left_alone(int fd, Socket seen) {
    if (!in_vfork_child())
        update(fd, seen, Socket{Kind::other, (seen.word() & Socket::has_copies) | Socket::left_alone, 0});
}

void duplicated(int fd, int copy) {
    Socket socket = peek(fd);
    const bool may_be_bound = socket.kind() == Kind::unbound || socket.has(Socket::left_alone);
    if (may_be_bound && fd != copy && !in_vfork_child()) {
        socket = socket.with_options(0, Socket::has_copies);
        store(fd, socket);
    }
    if (fd != copy && peek(copy).word() != socket.word() && !in_vfork_child())
        store(copy, socket);
}

void forget(int fd) {
    // "None of our business" may stay: what else the number can come to stand for is told to us (created(),
    // bound(), duplicated(), arrived()) or is still none of our business. It saves a system call for each TCP
    // connection.
    const Socket socket = peek(fd);
    if (socket.has(Socket::no_descriptors))
        store(fd, Socket{Kind::other, 0, 0});
    else if (socket.word() != 0 && socket.kind() != Kind::other && !in_vfork_child())
        store(fd, Socket{});
}

void arrived(int fd) {
    // What is done to one of its copies before anybody looks at this one is then noted for this one as well.
    const Socket unknown{Kind::unknown, Socket::has_copies, 0};
    if (peek(fd).word() != unknown.word() && !in_vfork_child())
        store(fd, unknown);
}

void update(int fd, Socket seen, Socket wanted) {
    uint64_t expected = seen.word();
    if (Word* word = find_word(fd, false))
        // Losing means that somebody else knows better by now.
        word->compare_exchange_strong(expected, wanted.word(), std::memory_order_relaxed);
}

namespace {

// Changes the words of all descriptors of the socket behind `fd`.
template <typename Change>
void change_all(int fd, Change change) {
    const Socket socket = peek(fd);
    if (socket.kind() != Kind::ours)
        return;
    for_each_word([&](Word& word, unsigned) {
        uint64_t seen = word.load(std::memory_order_relaxed);
        const Socket other{seen};
        if (other.kind() == Kind::ours && other.tag() == socket.tag())
            word.compare_exchange_strong(seen, change(other).word(), std::memory_order_relaxed);
    });
}

} // namespace

void forget_range(unsigned first, unsigned last) {
    if (first > last || in_vfork_child())
        return;
    for_each_word([&](Word& word, unsigned fd) {
        // Look before storing: an untouched page stays untouched.
        if (fd >= first && fd <= last && word.load(std::memory_order_relaxed) != 0)
            word.store(0, std::memory_order_relaxed);
    });
}

void take_over_no_more() {
    no_new_sockets.store(true, std::memory_order_relaxed);
}

void give_all_back() {
    for_each_word([](Word& word, unsigned fd) {
        const Socket socket{word.load(std::memory_order_relaxed)};
        if (socket.kind() != Kind::ours)
            return;
        options::give_back(static_cast<int>(fd), socket);
        word.store(0, std::memory_order_relaxed);
    });
}

void leave_all_alone() {
    for_each_word([](Word& word, unsigned) {
        if (word.load(std::memory_order_relaxed) != 0)
            word.store(Socket{Kind::other, 0, 0}.word(), std::memory_order_relaxed);
    });
    nothing_is_ours.store(true, std::memory_order_relaxed);
}

void set_options(int fd, uint64_t mask, uint64_t options) {
    change_all(fd, [&](Socket socket) { return socket.with_options(mask, options); });
}

void set_multicast_interface(int fd, uint32_t index) {
    const Socket socket = peek(fd);
    if (socket.kind() == Kind::unbound)
        update(fd, socket, socket.with_multicast_interface(index));
    else
        change_all(fd, [&](Socket other) { return other.with_multicast_interface(index); });
}

void verify(int fd, Socket seen) {
    const libc::ErrnoGuard keep_errno;
    if (may_examine() && Socket::tag_of(cookie_of(fd)) != seen.tag())
        update(fd, seen, Socket{});
}

} // namespace multihome::sockets
