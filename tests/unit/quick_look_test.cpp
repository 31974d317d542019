// SPDX-License-Identifier: MIT
//
// The quick look (quick_look.hpp) gives the answers that the way behind it would give.

#include "shim/peers/peers.hpp"

#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::quick_look_test {

namespace {

using test::answer;
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

// Peer 1, which is known at 2, is heard there once more, and then at 3: it is answered in that order.
void check_order_after_the_same_again() {
    CHECK(receive(1, 2) == Way::again);
    receive(1, 3);
    test::drain();
    CHECK(answer(1) == local(2));
    CHECK(answer(1) == local(3));
}

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("the quick looks give the same answers") {
    Scene([] {
        settle(1, 2);
        settle(2, 3);
        Way way = Way::full;
        CHECK(receive(1, 2) != Way::full);
        CHECK(answer(1, server, &way) == local(2));
        CHECK(way == Way::again);
        CHECK(receive(1, 2) == Way::again);
        CHECK(answer(1, server, &way) == local(2));
        CHECK(way == Way::again);
        CHECK(receive(2, 3) == Way::steady);
        CHECK(answer(1) == local(2));
        CHECK(answer(2) == local(3));
        // Not another address, nor another socket with the same peer.
        CHECK(receive(1, 3) == Way::full);
        CHECK(answer(1) == local(3));
        CHECK(receive(1, 2, sibling) == Way::full);
        CHECK(answer(1, sibling) == local(2));
        CHECK(is_by_route(answer(3)));
    });
}

TEST_CASE("a broadcast is not taken for a question at the address that it would be answered from") {
    Scene([] {
        settle(1, 2);
        CHECK(receive(1, 2) == Way::again);
        CHECK(answer(1) == local(2));
        CHECK(test::receive_broadcast(1, 2) == Way::full);
        CHECK(is_by_route(answer(1)));
        CHECK(receive(1, 2) == Way::steady);
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("a request that came over again is answered once in order with others") {
    Scene([] {
        settle(1, 2);
        CHECK(receive(1, 2) != Way::full);
        CHECK(answer(1) == local(2));
        check_order_after_the_same_again();
    });
}

TEST_CASE("a quick look is closed once its conversation has changed") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] {
        settle(1, 2);
        CHECK(receive(1, 2) != Way::full);
        CHECK(answer(1) == local(2));
    });
    receive_by(b, 1, 3); // moves
    a.tell([] {
        CHECK(receive(1, 2) == Way::full);
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("a socket of ::ffff:0.0.0.0 has the quick look, until connect() gives it an address") {
    Scene([] {
        const Socket mapped = server.with(Socket::ipv6 | Socket::only_ipv4);
        settle(1, 2, mapped);
        CHECK(receive(1, 2, mapped) != Way::full);
        const Socket connected = mapped.with(Socket::has_address);
        CHECK(receive(1, 2, connected) == Way::full);
        CHECK(receive(1, 2, connected) == Way::full);
    });
}

TEST_CASE("a form has a name that the program had room for") {
    const test::Datagram datagram{1, 2};
    msghdr message = datagram.message();
    const auto has_form = [&](socklen_t room) {
        return peers::with_form(
            message, room, [](auto) { return true; }, [] { return false; });
    };
    CHECK(has_form(message.msg_namelen));
    CHECK_FALSE(has_form(message.msg_namelen - 1));
    message.msg_name = nullptr; // the kernel leaves its length alone
    CHECK_FALSE(has_form(message.msg_namelen));
}

TEST_CASE("a run that has no more room does not stand for what came last") {
    Scene([] {
        receive(1, 2);
        for (unsigned number = 2; number <= 100; ++number)
            receive(number, 4);
        receive(1, 3);
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("a datagram that came over again has its place in the order, however it was answered before") {
    Scene([] {
        settle(1, 2);
        receive(1, 2);
        {
            peers::Turn turn;
            peers::Answering batch{turn, server};
            SourceRoom room;
            const sockaddr_in name = test::name_of(1);
            for (unsigned times = 0; times < 2; ++times)
                CHECK(batch.source_for(&name, sizeof name, room));
        }
        CHECK(answer(1) == local(2));
        check_order_after_the_same_again();
    });
}

TEST_CASE("a round that the quick look has answered is over") {
    Scene([] {
        settle(1, 2);
        receive(1, 2);
        test::drain();
        CHECK(answer(1) == local(2));
        check_order_after_the_same_again();
    });
}

TEST_SUITE_END();

} // namespace multihome::quick_look_test
