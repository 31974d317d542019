// SPDX-License-Identifier: MIT
//
// What the packet path does with a thread's memory and the table, without sockets: datagrams with their
// control messages as the kernel writes them, on a state of their own. Each step can be made by a thread that
// is told to, one after the other, so that nothing depends on timing.
#pragma once

#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"

#include "shim/base/control.hpp"
#include "shim/peers/shared_state.hpp"

#include "control_messages.hpp"

#include <condition_variable>
#include <doctest/doctest.h>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <thread>

namespace multihome::test {

// A thread that does what it is told, and whoever tells it waits until it is done.
class Worker {
public:
    Worker() : thread_([this] { run(); }) {}
    ~Worker() {
        stop_ = true;
        tell([] {});
        thread_.join();
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void tell(std::function<void()> work) {
        std::unique_lock lock{mutex_};
        work_ = std::move(work);
        changed_.notify_all();
        changed_.wait(lock, [this] { return !work_; });
    }

private:
    void run() {
        for (std::unique_lock lock{mutex_};;) {
            changed_.wait(lock, [this] { return static_cast<bool>(work_); });
            work_();
            work_ = nullptr;
            changed_.notify_all();
            if (stop_)
                return;
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> work_;
    bool stop_ = false;
    std::thread thread_;
};

inline Local local(unsigned number) {
    return {Address::from_ipv4({htonl(0xc0000200 + number)}), 0};
}
inline sockaddr_in name_of(unsigned number, uint16_t port = 4000) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(0xcb007100 + number);
    return name;
}
inline Peer peer(unsigned number, uint16_t port = 4000) {
    const sockaddr_in name = name_of(number, port);
    Peer result;
    read_peer(reinterpret_cast<const sockaddr*>(&name), sizeof name, result);
    return result;
}

constexpr Socket socket_on(uint16_t port, uint16_t made = 1) {
    return Socket{Socket::Kind::ours, 0}
        .with_port(static_cast<in_port_t>(port << 8 | port >> 8))
        .with_made(made);
}
constexpr Socket server = socket_on(53);
constexpr Socket sibling = socket_on(69, 2);
constexpr uint16_t first_sockets = 2; // are made before anything is heard
// A socket that is made now.
inline Socket make_socket(uint16_t port) {
    peers::Turn{}.made_socket();
    return socket_on(port, static_cast<uint16_t>(shared_state::count_socket()));
}

// A datagram of the peer `from` that reached us at `at`, or was sent to all and would be answered from there.
class Datagram {
public:
    Datagram(unsigned from, unsigned at, uint16_t port = 4000, bool to_all = false)
        : name_(name_of(from, port)), local_(to_all ? control::group_asked : local(at)) {
        control_.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0xc0000200 + at, 0xc0000200 + (to_all ? 255 : at), 3));
        message_.msg_name = &name_;
        message_.msg_namelen = sizeof name_;
        message_.msg_control = control_.data();
        message_.msg_controllen = control_.length();
    }
    Datagram(const Datagram&) = delete;
    Datagram& operator=(const Datagram&) = delete;

    const msghdr& message() const { return message_; }
    const Local& local_address() const { return local_; }

private:
    sockaddr_in name_;
    ControlBuffer control_;
    Local local_;
    msghdr message_{};
};

// How a datagram was heard, or an answer's source was found: by the quick look, without a store in the table,
// or in another way.
enum class Way : uint8_t { again, steady, full };

// As receive.cpp: a datagram that a call has brought, which is not alone or was only looked at.
inline void hear(peers::Turn& turn, Socket socket, const Datagram& datagram) {
    const msghdr& message = datagram.message();
    if (peers::Listening{turn, socket}.hear(message, message.msg_namelen) ||
        turn.hear(socket, message, datagram.local_address()))
        turn.count(socket, Counter::requests);
}

// Each socket has one descriptor, unless a test says otherwise.
inline int descriptor_of(Socket socket) {
    return ntohs(socket.port());
}

// One call that brought one datagram.
inline Way receive(unsigned from, unsigned at, Socket socket = server, uint16_t port = 4000,
                   bool to_all = false, std::optional<int> fd = {}) {
    using Heard = peers::Turn::Heard;
    const Datagram datagram{from, at, port, to_all};
    const msghdr& message = datagram.message();
    peers::Turn turn;
    turn.becomes_usual(socket);
    uint64_t hash = 0;
    ConversationTable::Entry found;
    const Heard heard = turn.hear_alone<Ipv4>(socket, message, false, hash, found);
    if (heard != Heard::not_yet)
        return heard == Heard::again ? Way::again : Way::steady;
    turn.begin_receiving(socket, fd.value_or(descriptor_of(socket)));
    if (hash != 0 && turn.hear_hashed<Ipv4>(socket, message, hash, found))
        turn.count(socket, Counter::requests);
    else
        hear(turn, socket, datagram);
    return Way::full;
}

inline Way receive_broadcast(unsigned from, unsigned at) {
    return receive(from, at, server, 4000, true);
}

// The same with MSG_PEEK.
inline void peek(unsigned from, unsigned at, Socket socket = server) {
    const Datagram datagram{from, at};
    peers::Turn turn;
    turn.begin_receiving(socket, descriptor_of(socket));
    turn.begin_peek();
    hear(turn, socket, datagram);
    turn.end_peek();
}

struct Request {
    unsigned from;
    unsigned at;
};
// One call that could bring several.
inline void receive_batch(std::initializer_list<Request> requests, Socket socket = server) {
    peers::Turn turn;
    if (requests.size() == 1) {
        const Datagram datagram{requests.begin()->from, requests.begin()->at};
        uint64_t hash = 0;
        ConversationTable::Entry found;
        turn.becomes_usual(socket);
        if (turn.hear_alone<Ipv4>(socket, datagram.message(), true, hash, found) !=
            peers::Turn::Heard::not_yet)
            return;
    }
    turn.begin_batch(requests.size() > 1);
    for (const Request& request : requests)
        hear(turn, socket, Datagram{request.from, request.at});
}

inline void drain(Socket socket = server, std::optional<int> fd = {}) {
    peers::Turn{}.drained(socket, fd.value_or(descriptor_of(socket)));
}

// As send.cpp: where a datagram to the peer leaves from.
inline Local answer(unsigned to, Socket socket = server, Way* way = nullptr, uint16_t port = 4000) {
    const sockaddr_in name = name_of(to, port);
    SourceRoom room;
    Source source;
    int errno_before = 0;
    peers::Turn turn;
    const bool again = turn.answer_again(socket, &name, sizeof name, source, errno_before);
    if (!again && (source = peers::Answering{turn, socket}.source_for(&name, sizeof name, room)))
        turn.count(socket, Counter::answered);
    if (way != nullptr)
        *way = again ? Way::again : Way::full;
    return source ? control::read_source(source.messages, source.length) : Local{};
}

// A state of their own for the tests of one case, which each thread of theirs begins anew.
class State {
public:
    explicit State(size_t peers = 64)
        : before_(shared_state::detail::state.exchange(nullptr)),
          mask_before_(shared_state::detail::bucket_mask.exchange(0)),
          lifetimes_before_(shared_state::detail::lifetimes) {
        REQUIRE(shared_state::create(peers) != nullptr);
        // Each local address has the same index in each state: their messages are kept for longer than it.
        shared_state::get()->locals.set_secret({});
        shared_state::get()->handover.sockets_made().store(first_sockets);
    }
    ~State() {
        shared_state::detail::state.store(before_);
        shared_state::detail::bucket_mask.store(mask_before_);
        shared_state::detail::lifetimes = lifetimes_before_;
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    SharedState& operator*() const { return *shared_state::get(); }
    SharedState* operator->() const { return shared_state::get(); }
    uint64_t count(Counter counter) const { return shared_state::get()->counters.sum(counter); }

private:
    SharedState* before_;
    uint64_t mask_before_;
    Lifetimes lifetimes_before_;
};

inline bool is_by_route(const Local& source) {
    return !source;
}

// One thread of its own and a state of its own: both begin with nothing.
class Scene {
public:
    template <typename Work>
    explicit Scene(Work work) {
        Worker worker;
        worker.tell(work);
    }

private:
    State state_;
};

inline Local answer_by(Worker& worker, unsigned to, Socket socket = server) {
    Local source;
    worker.tell([&] { source = answer(to, socket); });
    return source;
}
inline void receive_by(Worker& worker, unsigned from, unsigned at, Socket socket = server) {
    worker.tell([=] { receive(from, at, socket); });
}

// Time goes by. Else it stands still (clocks.cpp).
void pass_time(long milliseconds);

// Longer than any pause within one answer.
inline void pause_between_answers() {
    pass_time(1);
}

// Makes the peer known where it asks, by whole rounds of request and reply.
inline void settle(unsigned peer, unsigned at, Socket socket = server) {
    for (unsigned round = 0; round < 3; ++round) {
        receive(peer, at, socket);
        CHECK(answer(peer, socket) == local(at));
    }
}

} // namespace multihome::test
