// SPDX-License-Identifier: MIT
//
// From requests to the sources of their answers, with threads that take turns: each step is made by the
// thread that is named, one after the other, so that nothing depends on timing.

#include "shim/peers/peers.hpp"

#include "shim/peers/shared_state.hpp"

#include <condition_variable>
#include <doctest/doctest.h>
#include <functional>
#include <mutex>
#include <thread>

namespace multihome {

namespace {

constexpr int fd = -1; // no descriptor: what is stored for one does not matter here

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

// The first eight bytes of its sockaddr_in.
uint64_t name_of(const Peer& peer) {
    return Record::key_of_ipv4(peer) | AF_INET;
}

Local local(unsigned number) {
    return {Address::from_ipv4({htonl(0xc0000200 + number)}), 0};
}

Peer peer(unsigned number) {
    return {Address::from_ipv4({htonl(0xcb007100 + number)}), 0, htons(4000)};
}

// A socket and threads that use it, on a table of their own.
class Scene {
public:
    Scene() {
        SharedState* before = shared_state::detail::state.exchange(nullptr);
        REQUIRE(shared_state::create(64) != nullptr);
        before_ = before;
    }
    ~Scene() { shared_state::detail::state.store(before_); }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    void receive(Worker& worker, unsigned from, unsigned at) const {
        worker.tell([this, from, at] {
            const peers::Turn turn;
            peers::begin_receiving(turn, socket_, false);
            peers::heard(turn, socket_, fd, name_of(peer(from)), peer(from), local(at), {});
        });
    }

    // A receive call found nothing more.
    void drain(Worker& worker) const {
        worker.tell([this] { peers::drained(socket_); });
    }

    // Several in one call.
    void receive_batch(Worker& worker, unsigned from, std::initializer_list<unsigned> addresses) const {
        worker.tell([this, from, addresses] {
            const peers::Turn turn;
            peers::begin_receiving(turn, socket_, true);
            for (const unsigned at : addresses)
                peers::heard(turn, socket_, fd, name_of(peer(from)), peer(from), local(at), {});
        });
    }

    Local answer(Worker& worker, unsigned to) const {
        Local source;
        worker.tell(
            [this, to, &source] { source = peers::source_for(peers::Turn{}, socket_, fd, peer(to)); });
        return source;
    }

    // The same by the message that is at hand for it; empty where it takes source_for().
    Local answer_by_message(Worker& worker, unsigned to) const {
        Local source;
        worker.tell([this, to, &source] {
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = peer(to).port;
            address.sin_addr = peer(to).address.ipv4();
            const auto* name = reinterpret_cast<const sockaddr*>(&address);
            const peers::Turn turn;
            if (const SourceMessage* message = peers::answer(turn, socket_, name, sizeof address))
                source = control::read_source(message->control(), message->length());
        });
        return source;
    }

private:
    SharedState* before_ = nullptr;
    Socket socket_ = Socket{Socket::Kind::ours, 0}.with_made(77).with_role(Socket::Role::server);
};

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("an answer leaves from where its peer asked") {
    const Scene scene;
    Worker a;
    scene.receive(a, 1, 2);
    CHECK(scene.answer(a, 1) == local(2));
    scene.receive(a, 1, 3);
    CHECK(scene.answer(a, 1) == local(3));
    scene.receive(a, 2, 4);
    CHECK(scene.answer(a, 1) == local(3));
    CHECK(scene.answer(a, 2) == local(4));
    CHECK_FALSE(static_cast<bool>(scene.answer(a, 3)));
}

TEST_CASE("another thread answers from there as well") {
    const Scene scene;
    Worker a;
    Worker b;
    scene.receive(a, 1, 2);
    CHECK(scene.answer(b, 1) == local(2));
    scene.receive(a, 1, 3);
    CHECK(scene.answer(b, 1) == local(3));
}

TEST_CASE("each thread answers what it has read, though the same peer asks another address through another "
          "thread") {
    const Scene scene;
    Worker a;
    Worker b;
    for (unsigned round = 0; round < 3; ++round) {
        scene.receive(a, 1, 2);
        scene.receive(b, 1, 3);
        CHECK(scene.answer(a, 1) == local(2));
        CHECK(scene.answer(b, 1) == local(3));
    }
}

TEST_CASE("a thread that answers what others have read does not think of what it once read itself") {
    const Scene scene;
    Worker a;
    Worker b;
    Worker c;
    scene.receive(a, 1, 2);
    CHECK(scene.answer(b, 1) == local(2)); // the program hands requests to other threads
    scene.receive(c, 1, 3);
    CHECK(scene.answer(a, 1) == local(3));
    scene.receive(b, 1, 4);
    CHECK(scene.answer(c, 1) == local(4));
    CHECK(scene.answer(a, 1) == local(4));
}

TEST_CASE("the same after batches") {
    const Scene scene;
    Worker a;
    Worker b;
    scene.receive_batch(a, 1, {2, 3});
    CHECK(scene.answer(b, 1) == local(3)); // the order is known to the reader only
    scene.receive(b, 1, 4);
    CHECK(scene.answer(a, 1) == local(4));
}

TEST_CASE("the same after a thread has drained the socket and others have answered") {
    const Scene scene;
    Worker a;
    Worker b;
    Worker c;
    scene.receive(a, 1, 2);
    CHECK(scene.answer(b, 1) == local(2));
    scene.receive(a, 1, 3);
    scene.drain(a);
    CHECK(scene.answer(b, 1) == local(3));
    scene.receive(c, 1, 3);
    CHECK(scene.answer(a, 1) == local(3));
}

TEST_CASE("a thread that drains the socket answers in order, whatever it has answered late before") {
    const Scene scene;
    Worker a;
    scene.receive(a, 2, 5);
    scene.receive(a, 3, 5);
    CHECK(scene.answer(a, 2) == local(5));
    CHECK(scene.answer(a, 3) == local(5));
    scene.receive(a, 1, 2);
    scene.receive(a, 1, 3);
    scene.drain(a);
    CHECK(scene.answer(a, 1) == local(2));
    CHECK(scene.answer(a, 1) == local(3));
}

TEST_CASE("a batch is answered in its order, whatever was handed over before") {
    const Scene scene;
    Worker a;
    Worker b;
    scene.receive(a, 2, 5);
    CHECK(scene.answer(b, 2) == local(5));
    scene.receive_batch(a, 1, {2, 3, 2});
    CHECK(scene.answer(a, 1) == local(2));
    CHECK(scene.answer(a, 1) == local(3));
    CHECK(scene.answer(a, 1) == local(2));
}

TEST_CASE("a thread that hears a peer again tells the others, whoever heard it in between") {
    const Scene scene;
    Worker a;
    Worker b;
    Worker c;
    scene.receive(a, 1, 2);
    scene.receive(b, 1, 3);
    CHECK(scene.answer(b, 1) == local(3));
    scene.answer(a, 1);
    scene.receive(a, 1, 2);
    CHECK(scene.answer(c, 1) == local(2));
}

TEST_CASE("a peer that others have pushed out is in the table again when it is heard again") {
    const Scene scene;
    Worker a;
    Worker b;
    scene.receive(a, 1, 2);
    CHECK(scene.answer(a, 1) == local(2));
    scene.receive(a, 1, 2);
    for (unsigned number = 1000; number < 5000; ++number) {
        scene.receive(b, number, 3);
        scene.answer(b, number);
    }
    CHECK(scene.answer(a, 1) == local(2));
    scene.receive(a, 1, 2);
    CHECK(scene.answer(b, 1) == local(2));
}

TEST_CASE("what was refused is not tried again until the peer is heard again") {
    const Scene scene;
    Worker a;
    Worker b;
    const Socket socket = Socket{Socket::Kind::ours, 0}.with_made(77);
    scene.receive(a, 1, 2);
    CHECK(scene.answer(a, 1) == local(2));
    a.tell([&] { peers::refused(socket, peer(1), local(2)); });
    CHECK_FALSE(static_cast<bool>(scene.answer(a, 1)));
    CHECK_FALSE(static_cast<bool>(scene.answer(b, 1)));
    scene.receive(a, 1, 3);
    CHECK(scene.answer(a, 1) == local(3));
    CHECK(scene.answer(b, 1) == local(3));
}

TEST_CASE("a batch is answered by messages at hand once its peer was answered, even one of one") {
    const Scene scene;
    Worker a;
    scene.receive_batch(a, 1, {2});
    CHECK_FALSE(static_cast<bool>(scene.answer_by_message(a, 1))); // the table has to learn of it
    CHECK(scene.answer(a, 1) == local(2));
    scene.receive_batch(a, 1, {2});
    CHECK(scene.answer_by_message(a, 1) == local(2));
    CHECK_FALSE(static_cast<bool>(scene.answer_by_message(a, 1))); // used
    CHECK(scene.answer(a, 1) == local(2));
    scene.receive_batch(a, 1, {2, 3, 2});
    CHECK(scene.answer_by_message(a, 1) == local(2));
    CHECK(scene.answer(a, 1) == local(3)); // another address: the table has to learn of it
    CHECK(scene.answer(a, 1) == local(2));
}

TEST_CASE("where threads answer for each other, a batch of one goes by the table") {
    const Scene scene;
    Worker a;
    Worker b;
    scene.receive_batch(a, 1, {2});
    CHECK(scene.answer(b, 1) == local(2)); // the program hands requests to other threads
    scene.receive(b, 1, 2);
    scene.receive_batch(a, 1, {2});
    scene.receive(b, 1, 3);
    CHECK_FALSE(static_cast<bool>(scene.answer_by_message(a, 1)));
    CHECK(scene.answer(a, 1) == local(3));
}

TEST_SUITE_END();

} // namespace multihome
