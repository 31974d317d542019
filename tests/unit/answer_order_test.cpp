// SPDX-License-Identifier: MIT
//
// Which of several requests an answer belongs to.

#include "shim/peers/peers.hpp"

#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::answer_order_test {

namespace {

using test::answer;
using test::local;
using test::receive;
using test::Scene;
using test::server;
using test::settle;
using test::sibling;

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("a socket that was drained call by call is answered in order") {
    Scene([] {
        receive(1, 2);
        receive(1, 3);
        receive(2, 4);
        receive(1, 2);
        test::drain();
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(3));
        CHECK(answer(2) == local(4));
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("one that was not drained is answered by its latest request") {
    Scene([] {
        receive(1, 2);
        receive(1, 3);
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("an answer in between begins a new run") {
    Scene([] {
        receive(1, 2);
        CHECK(answer(1) == local(2));
        receive(1, 3);
        test::drain();
        CHECK(answer(1) == local(3));
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("a call that names no peer begins no new run") {
    Scene([] {
        receive(1, 2);
        {
            peers::Turn turn;
            peers::Answering batch{turn, server};
            SourceRoom room;
            const sockaddr_in name = test::name_of(1);
            CHECK_FALSE(batch.source_for(&name, 4, room)); // too short
        }
        receive(1, 3);
        test::drain();
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("after all were read to their end, another round of reading begins a new run") {
    Scene([] {
        receive(1, 2);
        receive(1, 3);
        test::drain();
        receive(1, 4);
        receive(1, 5);
        test::drain();
        CHECK(answer(1) == local(4));
        CHECK(answer(1) == local(5));
    });
}

TEST_CASE("a batch is answered in its order") {
    Scene([] {
        test::receive_batch({{1, 2}, {2, 4}, {1, 3}, {1, 2}});
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(3));
        CHECK(answer(2) == local(4));
        CHECK(answer(1) == local(2));
        test::receive_batch({{1, 3}, {1, 2}}); // the next one begins anew
        CHECK(answer(1) == local(3));
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("a batch of conversations that are known is answered in its order as well") {
    Scene([] {
        settle(1, 2);
        settle(2, 3);
        for (unsigned round = 0; round < 3; ++round) {
            test::receive_batch({{1, 2}, {2, 3}, {1, 5}, {1, 2}});
            CHECK(answer(1) == local(2));
            CHECK(answer(1) == local(5));
            CHECK(answer(1) == local(2));
            CHECK(answer(2) == local(3));
        }
    });
}

TEST_CASE("two sockets that are drained in turn are answered in order") {
    Scene([] {
        for (const Socket socket : {server, sibling}) {
            receive(1, 2, socket);
            receive(1, 3, socket);
            test::drain(socket);
        }
        for (const Socket socket : {server, sibling}) {
            CHECK(answer(1, socket) == local(2));
            CHECK(answer(1, socket) == local(3));
        }
    });
}

// One thread reads, and others answer for it, until it answers itself.
TEST_CASE("of many sockets that are drained in turn, each begins a new round by itself") {
    const test::State state{8192}; // with room for all of them
    test::Worker reader;
    test::Worker other;
    reader.tell([&] {
        constexpr uint16_t sockets = 40;
        for (unsigned round = 0; round < 5; ++round) {
            for (uint16_t number = 0; number < sockets; ++number) {
                const Socket socket = test::socket_on(static_cast<uint16_t>(1000 + number), number);
                receive(1, 2 + round, socket);
                test::drain(socket);
            }
            for (uint16_t number = 0; number < sockets; ++number) {
                const Socket socket = test::socket_on(static_cast<uint16_t>(1000 + number), number);
                CHECK((round % 3 == 2 ? answer(1, socket) : test::answer_by(other, 1, socket)) ==
                      local(2 + round));
            }
        }
    });
}

TEST_CASE("a thread that has read more than it remembers answers the latest question of each peer") {
    const test::State state{8192}; // with room for all of them
    test::Worker reader;
    test::Worker other;
    reader.tell([&] {
        constexpr unsigned peers = 60;
        for (unsigned round = 0; round < 8; ++round) {
            for (unsigned peer = 1; peer <= peers; ++peer)
                receive(peer, 2 + round % 5);
            for (unsigned peer = 1; peer <= peers; ++peer)
                CHECK((round % 4 == 3 ? answer(peer) : test::answer_by(other, peer)) == local(2 + round % 5));
        }
    });
}

TEST_CASE("a thread that reads several sockets by calls for many answers peers that have moved") {
    Scene([] {
        for (const Socket socket : {server, sibling})
            for (unsigned peer = 1; peer <= 4; ++peer)
                settle(peer, 2, socket);
        for (const Socket socket : {server, sibling})
            test::receive_batch({{1, 3}, {2, 3}}, socket);
        test::receive_batch({{3, 3}}, server);
        test::receive_batch({{3, 3}}, sibling);
        for (unsigned peer = 1; peer <= 3; ++peer)
            for (const Socket socket : {server, sibling})
                CHECK(answer(peer, socket) == local(3));
    });
}

TEST_CASE("a thread that reads one socket by a call for many, and another by a call for one, answers both") {
    Scene([] {
        for (const Socket socket : {server, sibling})
            for (unsigned peer = 1; peer <= 2; ++peer)
                settle(peer, 2, socket);
        for (const bool many_first : {true, false}) {
            if (many_first)
                test::receive_batch({{1, 3}, {2, 3}}, server);
            receive(1, 3, sibling);
            receive(2, 3, sibling);
            if (!many_first)
                test::receive_batch({{1, 3}, {2, 3}}, server);
            for (const Socket socket : {server, sibling})
                for (unsigned peer = 1; peer <= 2; ++peer)
                    CHECK(answer(peer, socket) == local(3));
            for (const Socket socket : {server, sibling})
                for (unsigned peer = 1; peer <= 2; ++peer)
                    settle(peer, 2, socket);
        }
    });
}

TEST_CASE("what one call brought is answered in order, whatever was read before and not answered") {
    Scene([] {
        const auto answers_in_order = [] {
            test::receive_batch({{1, 3}, {1, 4}, {1, 5}});
            for (unsigned at = 3; at <= 5; ++at)
                CHECK(answer(1) == local(at));
        };
        receive(1, 2);
        answers_in_order();
        test::receive_batch({{1, 2}, {2, 2}});
        answers_in_order();
        for (unsigned peer = 1; peer <= Run::capacity - 1; ++peer) // no room for three more
            receive(peer, 2);
        answers_in_order();
    });
}

namespace {

void drain_in_turn(Socket first, Socket second) {
    receive(1, 2, first);
    receive(1, 2, second);
    receive(1, 3, first);
    test::drain(first);
    receive(1, 3, second);
    test::drain(second);
    for (unsigned at = 2; at <= 3; ++at)
        for (const Socket socket : {first, second})
            CHECK(answer(1, socket) == local(at));
}

} // namespace

TEST_CASE("two sockets that are drained in turn are not mistaken for each other, whatever their ports") {
    const Scene scene([] {
        // The first one was made before there was anything to count sockets with.
        for (uint16_t port = 1000; port < 1100; ++port)
            drain_in_turn(test::socket_on(port, 0), test::socket_on(2000, 1));
    });
    // All ports and numbers of two sockets that were seen being made.
    for (uint16_t some = 0; some < 64; ++some)
        Scene([=] {
            for (uint16_t port = 0; port < 1024; ++port) {
                const auto second = static_cast<uint16_t>(some * 1024 + port);
                if (second != 1000)
                    drain_in_turn(test::socket_on(1000, 1), test::socket_on(second, 2));
            }
        });
}

TEST_CASE("two sockets of one port that come from elsewhere are not mistaken for each other") {
    Scene([] {
        const Socket both = test::socket_on(1000, 0);
        for (const int fd : {3, 4}) {
            receive(1, static_cast<unsigned>(fd), both, 4000, false, fd);
            test::drain(both, fd);
        }
        for (const unsigned at : {3U, 4U})
            CHECK(answer(1, both) == local(at));
    });
}

// The program may set an option, and our mark comes before a fork.
TEST_CASE("a socket that was drained begins a new round although its options have changed since") {
    Scene([] {
        test::Worker other;
        receive(1, 2);
        test::drain();
        CHECK(test::answer_by(other, 1) == local(2));
        const Socket changed = server.with(Socket::unmarked);
        receive(1, 3, changed);
        test::drain(changed);
        CHECK(answer(1, changed) == local(3));
    });
}

TEST_SUITE_END();

} // namespace multihome::answer_order_test
