// SPDX-License-Identifier: MIT
#include "shim/sockets/taking_over.hpp"

#include "shim/base/log.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/sockets/options.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <atomic>
#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome::sockets::taking_over {

namespace {

using Kind = Socket::Kind;

// Relaxed throughout: a hint, for the thread that is about to hand descriptors over.
constinit std::atomic<int> unmarked_end{0};

void say_taken_over(int fd, Socket socket) {
    if (!log::wanted(LogLevel::info))
        return;
    const char* families = !socket.has(Socket::ipv6)                                ? "IPv4"
                           : socket_calls::read(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0 ? "IPv6"
                                                                                    : "IPv6 and IPv4";
    if (socket.port() != 0)
        log::write(LogLevel::info, FMT_COMPILE("took over UDP socket {}: {} port {}"), fd, families,
                   ntohs(socket.port()));
    else
        log::write(LogLevel::info, FMT_COMPILE("took over UDP socket {}: {}, answers for another socket"), fd,
                   families);
}

} // namespace

Socket other_socket(int domain) {
    return {Kind::other, domain == AF_UNIX ? 0 : uint64_t{Socket::no_descriptors}};
}

bool is_wanted(int fd, in_port_t port) {
    if (settings::get().wants_port(port))
        return true;
    log::write(LogLevel::info, FMT_COMPILE("left UDP socket {} alone: port {} is not in MULTIHOME_PORTS"), fd,
               ntohs(port));
    return false;
}

bool prepare(int fd, Socket& socket, in_port_t port, bool found) {
    const size_t peers = settings::get().peers;
    if (shared_state::create(peers) == nullptr) {
        log::write(LogLevel::warn,
                   FMT_COMPILE("no memory for {} peers: UDP socket {} (port {}) answers as without "
                               "multihome; raise the memory limit or lower MULTIHOME_PEERS"),
                   peers, fd, ntohs(port));
        return false;
    }
    if (found ? options::switch_on_found(fd, socket, port) : options::switch_on(fd, socket, port))
        return true;
    log::write(LogLevel::warn,
               FMT_COMPILE("this kernel refuses packet information ({}): UDP socket {} (port {}) answers as "
                           "without multihome"),
               errno, fd, ntohs(port));
    return false;
}

uint64_t address_options(Socket socket, const Address& own) {
    return (socket_calls::is_wildcard(own) ? 0 : uint64_t{Socket::has_address}) |
           (socket.has(Socket::ipv6) && own.is_ipv4() ? uint64_t{Socket::only_ipv4} : 0);
}

Socket now_ours(int fd, Socket socket, in_port_t port) {
    const Socket ours = socket.with_kind(Kind::ours).with_port(port);
    if (ours.has(Socket::unmarked)) {
        int end = unmarked_end.load(std::memory_order_relaxed);
        while (end <= fd && !unmarked_end.compare_exchange_weak(end, fd + 1, std::memory_order_relaxed)) {
        }
    }
    shared_state::get()->counters.line(port, 0).add(Counter::sockets);
    say_taken_over(fd, ours);
    return ours;
}

Socket take_over_bound(int fd, Socket socket, const std::optional<Peer>& own, bool found) {
    if (!own)
        return {};
    // What carries our mark came to us from where it was ours, connected or without a port as it may be now.
    const bool marked = found && options::is_marked(fd, socket.has(Socket::ipv6));
    if (!socket_calls::is_wildcard(own->address) && !marked)
        return other_socket(AF_INET);
    if (own->port == 0 && !marked)
        return socket.with_kind(Kind::unbound);
    if (!marked && !is_wanted(fd, own->port))
        return {Kind::other, 0};
    if (!prepare(fd, socket, own->port, found))
        return {Kind::other, 0};
    uint64_t bits = address_options(socket, own->address);
    // Whether the program chose the port itself nobody tells.
    if (found && ntohs(own->port) >= 32768)
        bits |= Socket::any_port;
    return now_ours(fd, socket.with_options(0, bits), own->port);
}

bool has_unmarked() {
    return unmarked_end.load(std::memory_order_relaxed) != 0;
}

int take_unmarked_end() {
    return unmarked_end.exchange(0, std::memory_order_relaxed);
}

} // namespace multihome::sockets::taking_over
