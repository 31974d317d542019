// SPDX-License-Identifier: MIT
//
// Questions that another socket than the one asked answers.

#include "shim/peers/clock.hpp"
#include "shim/peers/peers.hpp"

#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::handed_over_test {

namespace {

using test::answer;
using test::is_by_route;
using test::local;
using test::receive;
using test::Scene;
using test::sibling;
using test::State;
using test::Worker;

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("a server that asks waits for no answer from another port of ours") {
    Scene([] {
        for (const uint16_t port : {uint16_t{53}, uint16_t{5353}, uint16_t{1194}}) {
            CAPTURE(port);
            receive(1, 2, sibling, port);
            const Socket made_later = test::make_socket(50000);
            CHECK(peers::handed_over(made_later, test::peer(1, port)) == Local{});
            CHECK(is_by_route(answer(1, made_later, nullptr, port)));
        }
    });
}

TEST_CASE("a socket that was made for the transfer answers for the one that was asked") {
    Scene([] {
        receive(1, 2, sibling);
        const Socket transfer = test::make_socket(50000);
        CHECK(is_by_route(peers::handed_over(test::socket_on(50000, 0), test::peer(1))));
        CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
        CHECK(peers::handed_over(transfer, test::peer(2)) == Local{});
        CHECK(answer(1, transfer) == local(2));
        // From then on it is a conversation of its own, and the question is answered.
        CHECK(answer(1, transfer) == local(2));
        CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
        // A TFTP client may ask for its next transfer from the same port.
        receive(1, 3, sibling);
        const Socket next = test::make_socket(50001);
        CHECK(answer(1, next) == local(3));
        CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
        CHECK(is_by_route(answer(1, test::make_socket(50002))));
    });
}

// The question may be a stranger's, and the program may be asking the peer.
TEST_CASE("a peer that does not answer a transfer's socket is sent to by route") {
    Scene([] {
        for (const uint16_t port : {uint16_t{50000}, uint16_t{0}}) {
            receive(1, 2, sibling);
            const Socket transfer = test::make_socket(port);
            CHECK(answer(1, transfer) == local(2));
            test::pass_time(250);
            CHECK(answer(1, transfer) == local(2));
            test::pass_time(750);
            CHECK(is_by_route(answer(1, transfer)));
            test::pass_time(121'000);
        }
    });
}

TEST_CASE("a peer that answers a transfer's socket is known there") {
    Scene([] {
        receive(1, 2, sibling);
        const Socket transfer = test::make_socket(50000);
        CHECK(answer(1, transfer) == local(2));
        test::pass_time(100);
        receive(1, 2, transfer);
        test::pass_time(121'000);
        CHECK(answer(1, transfer) == local(2));
        // Though it takes its time.
        receive(2, 2, sibling);
        const Socket another = test::make_socket(50001);
        CHECK(answer(2, another) == local(2));
        test::pass_time(2000);
        receive(2, 2, another);
        CHECK(answer(2, another) == local(2));
        receive(2, 2, another);
        test::pass_time(121'000);
        CHECK(answer(2, another) == local(2));
    });
}

// A server with few ports for transfers, and a client that goes on from the same port.
TEST_CASE("what was known of a port's last socket, or heard on it, does not steer its next one") {
    Scene([] {
        for (const uint16_t port : {uint16_t{50000}, uint16_t{0}}) {
            receive(1, 2, sibling);
            const Socket first = test::make_socket(port);
            CHECK(answer(1, first) == local(2));
            for (unsigned block = 0; block < 3; ++block) {
                receive(1, 2, first);
                CHECK(answer(1, first) == local(2));
            }
            receive(1, 2, first); // the last acknowledgement
            receive(1, 3, sibling);
            const Socket second = test::make_socket(port);
            // A window of several datagrams.
            CHECK(answer(1, second) == local(3));
            CHECK(answer(1, second) == local(3));
            receive(1, 3, second);
            CHECK(answer(1, second) == local(3));
            receive(1, 3, second);
            test::pass_time(121'000);
            CHECK(answer(1, second) == local(3));
        }
    });
}

TEST_CASE("a client whose first answer is lost asks again, and gets another socket's") {
    Scene([] {
        for (const uint16_t port : {uint16_t{50000}, uint16_t{0}}) {
            receive(1, 2, sibling);
            const Socket first = test::make_socket(port);
            CHECK(answer(1, first) == local(2));
            test::pass_time(1000);
            CHECK(is_by_route(answer(1, first)));
            test::pass_time(1000);
            CHECK(is_by_route(answer(1, first)));
            receive(1, 2, sibling);
            CHECK(answer(1, test::make_socket(port)) == local(2));
            test::pass_time(121'000);
        }
    });
}

// All within a quarter of a second, in which the question looks the same.
TEST_CASE("a client that asks once more at once gets one more socket's answer") {
    Scene([] {
        for (const uint16_t port : {uint16_t{50000}, uint16_t{50001}, uint16_t{50002}}) {
            receive(1, 2, sibling);
            receive(1, 2, sibling);
            CHECK(answer(1, test::make_socket(port)) == local(2));
        }
    });
}

TEST_CASE("a client that asks once more gets an answer, though a thread has read the clock before that") {
    Scene([] {
        receive(1, 2, sibling);
        SharedState& state = *shared_state::get();
        state.handover.withdraw(state.hash_of(test::peer(1)), peers::now() - 1);
        receive(1, 2, sibling);
        CHECK(answer(1, test::make_socket(50000)) == local(2));
    });
}

TEST_CASE("a client that asks once more gets an answer, though it seemed to be asked in between") {
    const State state;
    Worker asking;
    Worker serving;
    const Socket before = test::socket_on(54, 0);
    CHECK(is_by_route(test::answer_by(asking, 1, before)));
    test::receive_by(serving, 1, 2, sibling);
    asking.tell([=] { peers::Turn{}.not_sent(before, test::peer(1), true); });
    test::receive_by(serving, 1, 2, sibling);
    CHECK(peers::handed_over(test::make_socket(50000), test::peer(1)) == local(2));
}

TEST_CASE("a client that asks two ports at once is answered for the one that it asked last") {
    Scene([] {
        const Socket other = test::socket_on(70, 2);
        receive(1, 2, sibling);
        receive(1, 3, other);
        receive(1, 2, sibling);
        CHECK(answer(1, test::make_socket(50000)) == local(2));
    });
}

TEST_CASE("a question is one of its own, though another one more than an hour ago looked alike") {
    Scene([] {
        receive(1, 2, sibling);
        const Socket older = test::make_socket(50000);
        test::pass_time(4'096'000); // its time has gone round
        receive(1, 2, sibling);
        CHECK(is_by_route(peers::handed_over(older, test::peer(1))));
        CHECK(peers::handed_over(test::make_socket(50001), test::peer(1)) == local(2));
    });
}

TEST_CASE("a question that has run out is not handed over, however much time goes by") {
    Scene([] {
        receive(1, 2, sibling);
        for (const long seconds : {31L, 4'070L, 4'096L}) { // the last two make whole rounds
            test::pass_time(seconds * 1000);
            CHECK(is_by_route(peers::handed_over(test::make_socket(0), test::peer(1))));
        }
    });
}

TEST_CASE("a question is handed over to one connected socket") {
    Scene([] {
        receive(1, 2, sibling);
        const Socket transfer = test::make_socket(0);
        CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
        peers::withdraw_offer(test::peer(1));
        CHECK(is_by_route(peers::handed_over(transfer, test::peer(1))));
    });
}

TEST_CASE("nothing is handed over of a question that was answered, or to a peer that was asked") {
    Scene([] {
        receive(1, 2, sibling);
        CHECK(answer(1, sibling) == local(2));
        const Socket transfer = test::make_socket(50000);
        CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
        CHECK(is_by_route(answer(1, transfer)));

        peers::asks(test::peer(2));
        receive(2, 2, sibling);
        CHECK(peers::handed_over(test::make_socket(50001), test::peer(2)) == Local{});

        CHECK(is_by_route(answer(3, transfer))); // asks
        receive(3, 2, sibling);
        CHECK(peers::handed_over(test::make_socket(50002), test::peer(3)) == Local{});
    });
}

TEST_CASE("an offer that is taken for another peer's tells that one nothing") {
    Scene([] {
        receive(1, 2, sibling);
        // As if their bits were alike: the table knows of no question of this peer's.
        SharedState& state = *shared_state::get();
        const uint64_t hash = state.hash_of(test::peer(2));
        const Ticks now = peers::now();
        state.handover.offer(hash, sibling.port(), now, state.table().lifetimes());
        const Socket transfer = test::make_socket(50000);
        CHECK(state.handover.find(hash, transfer.made(), now, state.table().lifetimes()) == sibling.port());
        CHECK(is_by_route(peers::handed_over(transfer, test::peer(2))));
        CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
    });
}

TEST_CASE("an address that was refused is not handed over") {
    Scene([] {
        receive(1, 2, sibling);
        peers::Turn{}.refused(sibling, test::peer(1), local(2));
        CHECK(is_by_route(peers::handed_over(test::make_socket(50000), test::peer(1))));
    });
}

TEST_CASE("who is sent to by route, because its address is gone, was not asked") {
    Scene([] {
        receive(1, 2);
        peers::Turn{}.refused(test::server, test::peer(1), local(2));
        CHECK(is_by_route(answer(1)));
        receive(1, 3, sibling);
        CHECK(peers::handed_over(test::make_socket(50000), test::peer(1)) == local(3));
    });
}

TEST_CASE("the first answer to a question ends its offer, whichever thread asks again") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] {
        receive(1, 2, sibling);
        CHECK(answer(1, sibling) == local(2));
        receive(1, 3, sibling);
    });
    b.tell([] { receive(1, 3, sibling); });
    const Socket transfer = test::make_socket(50000);
    CHECK(peers::handed_over(transfer, test::peer(1)) == local(3));
    a.tell([] { CHECK(answer(1, sibling) == local(3)); });
    CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
}

TEST_SUITE_END();

} // namespace multihome::handed_over_test
