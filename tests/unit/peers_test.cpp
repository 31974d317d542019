// SPDX-License-Identifier: MIT
//
// From requests to the sources of their answers, with threads that take turns.

#include "shim/peers/peers.hpp"

#include "table_memory.hpp"
#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::peers_test {

namespace {

using test::answer;
using test::answer_by;
using test::is_by_route;
using test::local;
using test::receive;
using test::receive_by;
using test::Scene;
using test::server;
using test::settle;
using test::sibling;
using test::State;
using test::Way;
using test::Worker;

// Receives from the peer what reached us at no address of ours, as a group does.
bool receive_nowhere(unsigned from) {
    const test::Datagram datagram{from, 2};
    peers::Turn turn;
    turn.begin_receiving(server, test::descriptor_of(server));
    return turn.hear(server, datagram.message(), Local{});
}

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("an answer leaves from where its peer asked, and a stranger's by route") {
    Scene([] {
        receive(1, 2);
        CHECK(answer(1) == local(2));
        receive(1, 3);
        CHECK(answer(1) == local(3));
        receive(2, 4);
        CHECK(answer(2) == local(4));
        CHECK(is_by_route(answer(3)));
    });
}

TEST_CASE("a peer that asks two ports has two conversations") {
    Scene([] {
        receive(1, 2, server);
        receive(1, 3, sibling);
        CHECK(answer(1, server) == local(2));
        CHECK(answer(1, sibling) == local(3));
        CHECK(is_by_route(answer(1, test::socket_on(5000))));
    });
}

TEST_CASE("answers after many requests go where each conversation asked last") {
    Scene([] {
        for (unsigned peer = 1; peer <= 20; ++peer)
            receive(peer, 1 + peer % 3);
        for (unsigned peer = 20; peer >= 1; --peer)
            CHECK(answer(peer) == local(1 + peer % 3));
    });
}

TEST_CASE("nobody moves a known peer by a datagram in its name") {
    Scene([] {
        settle(1, 2);
        for (unsigned at = 3; at < 60; ++at) {
            receive(1, at);
            // What this thread has just heard is answered from there; what another one sends is not.
            Worker other;
            CHECK(answer_by(other, 1) == local(2));
        }
        receive(1, 2);
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("a thread that has read a stranger's datagram sends there once") {
    Scene([] {
        settle(1, 2);
        receive(1, 3); // the stranger's
        CHECK(answer(1) == local(3));
        test::pause_between_answers();
        CHECK(answer(1) == local(2));
        // The peer itself is heard by another thread.
        Worker other;
        receive_by(other, 1, 2);
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("where the program spoke first it stays with the routing table") {
    Scene([] {
        CHECK(is_by_route(answer(1)));
        receive(1, 2);
        CHECK(is_by_route(answer(1)));
        test::receive_batch({{1, 2}, {1, 3}});
        CHECK(is_by_route(answer(1)));
        CHECK(is_by_route(answer(1)));
    });
}

TEST_CASE(
    "a peer that answers from a server's port a socket with a port of the kernel's choice asks nothing") {
    Scene([] {
        const Socket client = test::socket_on(40000);
        for (const uint16_t port : {uint16_t{53}, uint16_t{5353}}) {
            CAPTURE(port);
            receive(1, 2, client, port);
            CHECK(is_by_route(answer(1, client, nullptr, port)));
            receive(2, 2, server, port);
            CHECK(answer(2, server, nullptr, port) == local(2));
        }
        receive(1, 2, client, 4000);
        CHECK(answer(1, client) == local(2));
    });
}

TEST_CASE("a socket that is about to be connected to its peer has its address where that asked") {
    Scene([] {
        receive(1, 2);
        CHECK(peers::Turn{}.source_for_connection(server, test::peer(1)) == local(2));
        CHECK(peers::Turn{}.source_for_connection(server, test::peer(2)) == Local{});
    });
}

TEST_CASE("what was refused is not tried again until the peer is heard again") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] {
        settle(1, 2);
        peers::Turn{}.refused(server, test::peer(1), local(2));
        CHECK(is_by_route(answer(1)));
    });
    CHECK(state.count(Counter::refused) == 1);
    // Which is no first word: the peer has asked.
    CHECK(is_by_route(answer_by(b, 1)));
    CHECK(is_by_route(answer_by(b, 1)));
    receive_by(a, 1, 3);
    CHECK(answer_by(a, 1) == local(3));
    CHECK(answer_by(b, 1) == local(3));
}

TEST_CASE("a peer that was heard at no address of ours has asked all the same") {
    Scene([] {
        CHECK(receive_nowhere(1));
        CHECK(is_by_route(answer(1)));
        receive(1, 3);
        CHECK(answer(1) == local(3));
        settle(1, 3);
        receive_nowhere(1); // which changes nothing
        Worker other;
        CHECK(answer_by(other, 1) == local(3));
    });
}

TEST_CASE("who asks a group is answered from where the routing table says") {
    Scene([] {
        for (const unsigned known_at : {2U, 3U}) {
            CAPTURE(known_at);
            settle(1, known_at);
            for (unsigned round = 0; round < 2; ++round) {
                CHECK(test::receive_broadcast(1, 2) == test::Way::full);
                CHECK(is_by_route(answer(1)));
                CHECK(is_by_route(answer(1))); // the same answer goes on
                test::pause_between_answers();
                CHECK(answer(1) == local(known_at));
            }
            // It has changed nothing.
            CHECK(receive(1, known_at) == test::Way::steady);
            CHECK(answer(1) == local(known_at));
            // In order with others.
            for (unsigned round = 0; round < 2; ++round) {
                test::receive_broadcast(1, 2);
                receive(1, known_at);
                test::drain();
                CHECK(is_by_route(answer(1)));
                CHECK(answer(1) == local(known_at));
            }
        }
        // It is no first word.
        test::receive_broadcast(2, 2);
        CHECK(is_by_route(answer(2)));
        receive(2, 3);
        CHECK(answer(2) == local(3));
    });
}

TEST_CASE("a long answer ends with a pause, and by and by") {
    peers::ThreadMemory memory;
    constexpr uint64_t millisecond = 1'000'000;
    uint64_t now = 5'000 * millisecond;
    CHECK(memory.answers_at(now, false));
    CHECK(memory.answers_at(now += millisecond / 2, true));
    CHECK_FALSE(memory.answers_at(now += millisecond / 2 + 1, true));
    CHECK(memory.answers_at(now, false));
    unsigned datagrams = 0;
    while (memory.answers_at(now += millisecond / 4, true))
        ++datagrams;
    CHECK(datagrams == 400);
}

TEST_CASE("an answer by another thread may be several datagrams") {
    const State state;
    Worker reader;
    Worker answerer;
    receive_by(reader, 1, 2);
    CHECK(answer_by(answerer, 1) == local(2));
    for (unsigned peer = 2; peer < 12; ++peer) {
        reader.tell([=] { settle(peer, 2); });
        receive_by(reader, peer, 3);
        answerer.tell([&] {
            CHECK(answer(peer) == local(3));
            CHECK(answer(peer) == local(3));
            test::pause_between_answers();
            CHECK(answer(peer) == local(2));
        });
    }
}

TEST_CASE("answers by another thread to several peers take turns") {
    const State state;
    Worker reader;
    Worker answerer;
    receive_by(reader, 1, 2);
    CHECK(answer_by(answerer, 1) == local(2));
    for (unsigned peer = 2; peer < 6; ++peer) {
        reader.tell([=] { settle(peer, 2); });
        receive_by(reader, peer, 3);
    }
    answerer.tell([] {
        for (unsigned part = 0; part < 3; ++part)
            for (unsigned peer = 2; peer < 6; ++peer)
                CHECK(answer(peer) == local(3));
        test::pause_between_answers();
        for (unsigned peer = 2; peer < 6; ++peer)
            CHECK(answer(peer) == local(2));
    });
}

TEST_CASE("what was refused leaves what is known of another address") {
    Scene([] {
        settle(1, 2);
        receive(1, 3);
        peers::Turn{}.refused(server, test::peer(1), local(3));
        answer(1);
        Worker other;
        CHECK(answer_by(other, 1) == local(2));
    });
}

TEST_CASE("a question lives from when it was heard last, though it was another kind before an address was "
          "refused") {
    Scene([] {
        settle(1, 2);
        receive(1, 3);
        test::pass_time(20'000);
        peers::Turn{}.refused(server, test::peer(1), local(2));
        receive(1, 3); // in the same quarter of a second
        test::pass_time(20'000);
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("each datagram is counted once, whichever way it takes") {
    const State state;
    Worker worker;
    worker.tell([] {
        for (unsigned round = 0; round < 10; ++round) {
            receive(1, 2);
            answer(1);
        }
        test::receive_batch({{1, 2}, {2, 3}});
        answer(1);
        answer(2);
        answer(9); // speaks first
        receive(9, 2);
        answer(9);
    });
    CHECK(state.count(Counter::requests) == 13);
    CHECK(state.count(Counter::answered) == 12);
    CHECK(state.count(Counter::not_heard) == 1);
    CHECK(state.count(Counter::spoke_first) == 1);
    CHECK(state.count(Counter::clients) == 2);
    CHECK(state->counters.sum_at(0, Counter::answered) == 12);
}

TEST_CASE("who sends to a group speaks to nobody") {
    Scene([] {
        sockaddr_in group{};
        group.sin_family = AF_INET;
        group.sin_port = htons(5353);
        group.sin_addr.s_addr = htonl(0xe00000fb);
        SourceRoom room;
        CHECK_FALSE((peers::Answering{peers::Turn{}, server}.source_for(&group, sizeof group, room)));
        Peer peer;
        REQUIRE(read_peer(reinterpret_cast<const sockaddr*>(&group), sizeof group, peer));
        SharedState& state = *shared_state::get();
        CHECK_FALSE(static_cast<bool>(state.table().find(state.hash_of(peer, server.port()))));
        CHECK_FALSE((peers::Answering{peers::Turn{}, server}.source_for(&group, 4, room))); // too short
    });
}

TEST_CASE("nothing is sent from the address that has taken the number of the one that was asked") {
    const State state;
    const auto ask_at_all = [&](uint32_t first) {
        for (uint32_t number = first; number < first + 10'000; ++number)
            state->locals.index_of(local(number));
    };
    Worker a;
    a.tell([&] {
        const auto is_right = [](const Local& source, unsigned asked) {
            return is_by_route(source) || source == local(asked);
        };
        for (unsigned round = 0; round < 20; ++round) {
            // New, known, and in a batch.
            receive(100 + round, 2);
            ask_at_all(10'000);
            CHECK(is_right(answer(100 + round), 2));
            settle(1, 3);
            ask_at_all(20'000);
            CHECK(is_right(answer(1), 3));
            test::receive_batch({{200 + round, 4}, {1, 3}});
            ask_at_all(30'000);
            CHECK(is_right(answer(200 + round), 4));
            CHECK(is_right(answer(1), 3));
            test::peek(300 + round, 5);
            ask_at_all(40'000);
            CHECK(is_right(answer(300 + round), 5));
        }
    });
}

TEST_CASE("one answer keeps an address, at once or late") {
    const State state;
    Worker reader;
    Worker other;
    receive_by(reader, 1, 2);
    CHECK(answer_by(reader, 1) == local(2));
    receive_by(reader, 2, 3);
    CHECK(answer_by(other, 2) == local(3));
    receive_by(reader, 3, 4); // nobody answers
    const auto index_of = [&](unsigned at) { return state->locals.index_of(local(at)).index; };
    const LocalIndex answered = index_of(2);
    const LocalIndex answered_late = index_of(3);
    const LocalIndex asked = index_of(4);
    for (uint32_t number = 1'000'000; number < 1'100'000; ++number)
        state->locals.index_of(test::local_address(number));
    CHECK(state->locals.at(answered) == local(2));
    CHECK(state->locals.at(answered_late) == local(3));
    CHECK(state->locals.at(asked) != local(4));
}

TEST_CASE("a peer that others have pushed out is in the table again when it is heard again") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] {
        settle(1, 2);
        CHECK(receive(1, 2) != Way::full);
    });
    b.tell([] {
        for (unsigned number = 1000; number < 3000; ++number)
            settle(number, 3);
    });
    CHECK(answer_by(a, 1) == local(2));
    receive_by(a, 1, 2);
    CHECK(answer_by(b, 1) == local(2));
}

TEST_SUITE_END();

} // namespace multihome::peers_test
