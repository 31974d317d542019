// SPDX-License-Identifier: MIT
#include "tools/ask_exchange.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "tools/output.hpp"
#include "tools/program.hpp"

namespace multihome::tools {
namespace {

using Clock = std::chrono::steady_clock;

const sockaddr_in& ipv4(const Endpoint& endpoint) {
    return reinterpret_cast<const sockaddr_in&>(endpoint.storage);
}

const sockaddr_in6& ipv6(const Endpoint& endpoint) {
    return reinterpret_cast<const sockaddr_in6&>(endpoint.storage);
}

Endpoint wildcard(int family) {
    Endpoint any;
    any.storage.ss_family = static_cast<sa_family_t>(family);
    any.length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    return any;
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// A port of one family to ask from.
class Port {
public:
    explicit Port(int family) : socket_(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        if (!socket_.valid())
            fail("cannot open a UDP socket");
        const int on = 1;
        // ICMP errors with the address that they are about. Where that cannot be had, refused looks silent.
        if (family == AF_INET)
            setsockopt(socket_.number(), IPPROTO_IP, IP_RECVERR, &on, sizeof on);
        else
            setsockopt(socket_.number(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
        Endpoint local = wildcard(family);
        if (bind(socket_.number(), local.pointer(), local.length) != 0)
            fail("cannot bind a UDP socket");
        local.length = sizeof local.storage;
        if (getsockname(socket_.number(), local.pointer(), &local.length) != 0)
            fail("getsockname");
        number_ = local.port();
    }
    [[nodiscard]] int descriptor() const { return socket_.number(); }
    [[nodiscard]] uint16_t number() const { return number_; }

private:
    Descriptor socket_;
    uint16_t number_ = 0;
};

/// A question under way.
struct Pending {
    std::shared_ptr<Port> from;
    const Endpoint* target;
    Answer* answer;
    Datagram request;
    [[nodiscard]] bool open() const { return answer->outcome == Outcome::silent; }
};

struct Received {
    Endpoint source;
    Datagram bytes;
};

/// The questions that are under way at one time.
class Exchange {
public:
    Exchange(const Payload& payload, std::vector<Pending> pending)
        : payload_(payload), pending_(std::move(pending)) {
        for (Pending& one : pending_) {
            one.answer->outcome = Outcome::silent;
            one.request = payload_.request({one.target->address(), one.target->port(), one.from->number()});
        }
    }

    void run(const Patience& patience) {
        for (int attempt = 0; attempt < patience.tries && any_open(); ++attempt) {
            const Clock::time_point deadline = Clock::now() + patience.timeout;
            send_open();
            while (any_open() && wait(deadline))
                receive_all();
            give_leftovers();
        }
    }

private:
    [[nodiscard]] bool any_open() const {
        return std::any_of(pending_.begin(), pending_.end(), [](const Pending& one) { return one.open(); });
    }

    void send_open() {
        for (Pending& one : pending_) {
            if (!one.open())
                continue;
            // An ICMP error of an earlier question makes one call fail, which then has sent nothing.
            for (int attempt = 0; attempt < 2; ++attempt) {
                if (sendto(one.from->descriptor(), one.request.data(), one.request.size(), 0,
                           one.target->pointer(), one.target->length) >= 0)
                    break;
                if (attempt == 1 && errno != EAGAIN)
                    one.answer->outcome = Outcome::refused; // no route, for example
            }
        }
    }

    [[nodiscard]] bool wait(Clock::time_point deadline) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0)
            return false;
        std::vector<pollfd> descriptors;
        for (const Pending& one : pending_)
            if (one.open())
                descriptors.push_back({one.from->descriptor(), POLLIN, 0});
        return poll(descriptors.data(), descriptors.size(), static_cast<int>(left)) > 0;
    }

    void receive_all() {
        for (const Pending& one : pending_) {
            std::array<char, 65536> buffer;
            Endpoint source;
            iovec piece{buffer.data(), buffer.size()};
            msghdr message{};
            message.msg_name = &source.storage;
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            for (const int flags : {int{MSG_ERRQUEUE}, 0}) {
                message.msg_namelen = sizeof source.storage;
                const ssize_t size = recvmsg(one.from->descriptor(), &message, flags);
                if (size < 0)
                    continue;
                source.length = message.msg_namelen;
                if (flags == MSG_ERRQUEUE)
                    refuse(*one.from, source); // the name is where the datagram was sent to
                else
                    settle(*one.from, {source, Datagram(buffer.data(), static_cast<size_t>(size))});
            }
        }
    }

    void refuse(const Port& port, const Endpoint& target) {
        for (Pending& one : pending_)
            if (one.open() && one.from.get() == &port && one.target->same_address(target))
                one.answer->outcome = Outcome::refused;
    }

    [[nodiscard]] bool can_answer(const Pending& one, const Port& port, const Received& received) const {
        return one.open() && one.from.get() == &port && payload_.is_answer(one.request, received.bytes);
    }

    [[nodiscard]] bool is_right(const Pending& one, const Endpoint& source) const {
        return one.target->same_address(source) && (payload_.any_port || one.target->port() == source.port());
    }

    void take(Pending& one, const Endpoint& source) {
        one.answer->outcome = is_right(one, source) ? Outcome::right : Outcome::wrong;
        one.answer->source = source;
    }

    void settle(const Port& port, const Received& received) {
        // Several questions may fit: an answer need not repeat anything, or no more than one byte. It belongs
        // to the address that it came from, if that was asked. If not, the other answers come first.
        Pending* fitting = nullptr;
        bool is_certain = payload_.identified;
        for (Pending& one : pending_) {
            if (!can_answer(one, port, received))
                continue;
            if (is_right(one, received.source)) {
                take(one, received.source);
                return;
            }
            is_certain = is_certain && fitting == nullptr;
            fitting = &one;
        }
        if (fitting == nullptr)
            return;
        if (is_certain)
            take(*fitting, received.source);
        else
            leftovers_.emplace_back(&port, received);
    }

    /// What is left over was sent by somebody who was asked, and answered from a wrong address.
    void give_leftovers() {
        for (const auto& [port, received] : leftovers_)
            for (Pending& one : pending_)
                if (can_answer(one, *port, received)) {
                    take(one, received.source);
                    break;
                }
        leftovers_.clear();
    }

    const Payload& payload_;
    std::vector<Pending> pending_;
    std::vector<std::pair<const Port*, Received>> leftovers_;
};

} // namespace

uint16_t Endpoint::port() const {
    return ntohs(family() == AF_INET ? ipv4(*this).sin_port : ipv6(*this).sin6_port);
}

std::string Endpoint::address() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (family() == AF_INET) {
        inet_ntop(AF_INET, &ipv4(*this).sin_addr, text.data(), text.size());
        return text.data();
    }
    inet_ntop(AF_INET6, &ipv6(*this).sin6_addr, text.data(), text.size());
    std::string result = text.data();
    std::array<char, IF_NAMESIZE> interface {};
    if (ipv6(*this).sin6_scope_id != 0 &&
        if_indextoname(ipv6(*this).sin6_scope_id, interface.data()) != nullptr)
        result += fmt::format("%{}", interface.data());
    return result;
}

bool Endpoint::same_address(const Endpoint& other) const {
    if (family() != other.family())
        return false;
    if (family() == AF_INET)
        return ipv4(*this).sin_addr.s_addr == ipv4(other).sin_addr.s_addr;
    return std::memcmp(&ipv6(*this).sin6_addr, &ipv6(other).sin6_addr, sizeof(in6_addr)) == 0;
}

std::vector<Endpoint> resolve(const std::string& name, uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(name.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0)
        throw Impossible(fmt::format("{}: {}", name.empty() ? "''" : name, gai_strerror(error)));
    std::vector<Endpoint> endpoints;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        Endpoint endpoint;
        std::memcpy(&endpoint.storage, one->ai_addr, one->ai_addrlen);
        endpoint.length = one->ai_addrlen;
        endpoints.push_back(endpoint);
    }
    freeaddrinfo(found);
    return endpoints;
}

bool is_of_one_host(const Endpoint& target) {
    if (target.family() == AF_INET6) {
        const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(&target.storage)->sin6_addr;
        return !IN6_IS_ADDR_UNSPECIFIED(&address) && !IN6_IS_ADDR_MULTICAST(&address);
    }
    const in_addr_t address = ntohl(reinterpret_cast<const sockaddr_in*>(&target.storage)->sin_addr.s_addr);
    return address != INADDR_ANY && address != INADDR_BROADCAST && !IN_MULTICAST(address);
}

bool is_local(const Endpoint& target) {
    const Descriptor probe{socket(target.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    Endpoint local = target;
    if (local.family() == AF_INET)
        reinterpret_cast<sockaddr_in&>(local.storage).sin_port = 0;
    else
        reinterpret_cast<sockaddr_in6&>(local.storage).sin6_port = 0;
    return probe.valid() && bind(probe.number(), local.pointer(), local.length) == 0;
}

Outcome Asked::worst() const {
    for (const Outcome outcome : {Outcome::wrong, Outcome::refused, Outcome::silent})
        for (const Answer* answer : {&own_port, &one_port, &at_once})
            if (answer->outcome == outcome)
                return outcome;
    return Outcome::right;
}

std::vector<Asked> ask_all(const std::vector<Endpoint>& targets, const Payload& payload,
                           const Patience& patience) {
    std::vector<Asked> rows;
    rows.reserve(targets.size()); // the questions point into it
    for (const Endpoint& target : targets)
        rows.push_back({target, {}, {}, {}});

    std::vector<Pending> own;
    own.reserve(rows.size());
    for (Asked& row : rows)
        own.push_back({std::make_shared<Port>(row.target.family()), &row.target, &row.own_port, {}});
    Exchange{payload, own}.run(patience);

    for (const int family : {AF_INET, AF_INET6}) {
        // Who has said nothing so far is not waited for twice more.
        std::vector<Asked*> answering;
        for (Asked& row : rows)
            if (row.target.family() == family &&
                (row.own_port.outcome == Outcome::right || row.own_port.outcome == Outcome::wrong))
                answering.push_back(&row);
        if (answering.size() < 2)
            continue;
        const auto one_port = std::make_shared<Port>(family);
        for (Asked* row : answering)
            Exchange{payload, {{one_port, &row->target, &row->one_port, {}}}}.run(patience);
        const auto at_once = std::make_shared<Port>(family);
        std::vector<Pending> all;
        all.reserve(answering.size());
        for (Asked* row : answering)
            all.push_back({at_once, &row->target, &row->at_once, {}});
        Exchange{payload, all}.run(patience);
    }
    return rows;
}

} // namespace multihome::tools
