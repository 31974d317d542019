// SPDX-License-Identifier: MIT
//
// An answer that was not sent after all (Turn::not_sent()) is still to be given.

#include "shim/peers/peers.hpp"

#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::not_sent_test {

namespace {

using test::answer;
using test::local;
using test::receive;
using test::server;
using test::State;
using test::Worker;

// As send.cpp, where the kernel refused the call.
void not_sent(unsigned to) {
    peers::Turn{}.not_sent(server, test::peer(to), true);
}

// What the table knows of the conversation.
Conversation known(unsigned from) {
    SharedState& state = *shared_state::get();
    return state.table().find(state.hash_of(test::peer(from), server.port())).state();
}

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("where answers come in order, one that was not sent comes again") {
    const State state;
    Worker worker;
    worker.tell([] {
        test::receive_batch({{1, 2}, {1, 3}, {2, 4}, {1, 5}});
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(3));
        not_sent(1);
        CHECK(answer(2) == local(4));
        CHECK(answer(1) == local(3));
        CHECK(answer(1) == local(5));
        not_sent(9); // nobody that was heard: of no consequence
        CHECK(answer(1) == local(5));
    });
}

TEST_CASE("what was not sent is no first word") {
    const State state;
    Worker worker;
    worker.tell([] {
        answer(1);
        not_sent(1);
        receive(1, 2);
        CHECK(answer(1) == local(2));
        // Nor is it one of many sends.
        receive(2, 2);
        for (unsigned tries = 0; tries < 10; ++tries) {
            answer(2);
            not_sent(2);
        }
    });
    CHECK(known(2).kind() == Conversation::Kind::question);
    CHECK_FALSE(known(2).is_answered());
}

TEST_CASE("what answered by the quick look takes back nothing of what was sent before") {
    const State state;
    Worker worker;
    worker.tell([] {
        receive(1, 2);
        CHECK(answer(1) == local(2)); // and nobody else answers for this socket
        receive(1, 2);
        test::receive_batch({{1, 2}});
        test::Way way{};
        CHECK(answer(1, server, &way) == local(2));
        CHECK(way == test::Way::again);
        not_sent(1);
        CHECK(test::is_by_route(peers::handed_over(test::socket_on(0, 9), test::peer(1))));
    });
    CHECK(known(1).kind() == Conversation::Kind::known);
}

TEST_CASE("what the program sends on its own takes no answer back") {
    const State state;
    Worker worker;
    worker.tell([] {
        test::settle(1, 2);
        receive(1, 3);
        CHECK(answer(1) == local(3));
        test::pause_between_answers();
        CHECK(answer(1) == local(2));
        not_sent(1);
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("an answer to what was only looked at is to be given once more") {
    const State state;
    Worker worker;
    worker.tell([] {
        test::settle(1, 2);
        receive(9, 2);
        test::peek(1, 3);
        CHECK(answer(1) == local(3));
        not_sent(1);
        test::pause_between_answers();
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("an answer for another socket that was not sent is not late when it is") {
    const State state;
    Worker worker;
    worker.tell([] {
        receive(1, 2, test::sibling);
        const Socket transfer = test::make_socket(50000);
        CHECK(answer(1, transfer) == local(2));
        peers::Turn{}.not_sent(transfer, test::peer(1), true);
        CHECK(answer(1, transfer) == local(2));
    });
    CHECK(state->answers_late.load() == 0);
}

TEST_CASE("a question that was not sent has not asked, and an answer that was not sent leaves the question") {
    const State state;
    Worker worker;
    worker.tell([] {
        receive(1, 2, test::sibling);
        const Socket transfer = test::make_socket(50000);
        // By a socket that was there before: a question. By the one that was asked: the answer.
        const Socket before = test::socket_on(54, 0);
        for (const Socket socket : {before, test::sibling}) {
            CAPTURE(socket.port());
            CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
            CHECK(answer(1, socket) == (socket.port() == before.port() ? Local{} : local(2)));
            CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
            not_sent(9); // another one: of no consequence
            CHECK(peers::handed_over(transfer, test::peer(1)) == Local{});
            peers::Turn{}.not_sent(socket, test::peer(1), true);
            CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
        }
        // The one for whom it is handed over.
        CHECK(answer(1, transfer) == local(2));
        peers::Turn{}.not_sent(transfer, test::peer(1), true);
        CHECK(peers::handed_over(transfer, test::peer(1)) == local(2));
        // What was asked before stays asked.
        CHECK(answer(2) == Local{});
        CHECK(answer(2, test::sibling) == Local{});
        peers::Turn{}.not_sent(test::sibling, test::peer(2), true);
        receive(2, 3, test::socket_on(7, 2));
        CHECK(peers::handed_over(test::make_socket(50001), test::peer(2)) == Local{});
    });
}

TEST_CASE("one that was not sent comes first again, though others were answered meanwhile") {
    const State state;
    Worker worker;
    worker.tell([] {
        test::receive_batch({{1, 2}, {2, 4}, {1, 5}});
        CHECK(answer(1) == local(2));
        CHECK(answer(2) == local(4));
        not_sent(1);
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(5));
    });
}

TEST_CASE("what a batch did not send takes back nothing of what it sent before") {
    test::Scene([] {
        receive(2, 3, test::sibling);
        {
            peers::Turn turn;
            peers::Answering answering{turn, test::sibling};
            SourceRoom room;
            const sockaddr_in asked = test::name_of(1);
            const sockaddr_in answered = test::name_of(2);
            CHECK_FALSE(answering.source_for(&asked, sizeof asked, room));
            CHECK(answering.source_for(&answered, sizeof answered, room));
            turn.not_sent(test::sibling, test::peer(2), false, local(3));
        }
        // The program has asked this peer.
        receive(1, 2);
        CHECK(peers::handed_over(test::make_socket(50000), test::peer(1)) == Local{});
    });
}

TEST_CASE("a turn within a turn takes nothing back") {
    const State state;
    Worker worker;
    worker.tell([] {
        test::receive_batch({{1, 2}, {1, 3}});
        CHECK(answer(1) == local(2));
        {
            const peers::Turn interrupted;
            not_sent(1);
        }
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("an answer to what another thread has heard is to be given once more") {
    const State state;
    Worker reader;
    Worker sender;
    // The program answers in another thread than it reads in.
    for (unsigned round = 0; round < 3; ++round) {
        reader.tell([] { receive(1, 2); });
        sender.tell([] { CHECK(answer(1) == local(2)); });
    }
    REQUIRE(known(1).kind() == Conversation::Kind::known);
    reader.tell([] { receive(1, 3); });
    sender.tell([] {
        CHECK(answer(1) == local(3));
        CHECK(known(1).is_answered());
        not_sent(1);
        CHECK_FALSE(known(1).is_answered());
        CHECK(answer(1) == local(3));
        // What the program sends on its own next is none.
        test::pause_between_answers();
        CHECK(answer(1) == local(2));
        not_sent(1);
        CHECK(known(1).is_answered());
    });
}

TEST_CASE("a batch that another thread has not sent is to be given once more") {
    const State state;
    Worker reader;
    Worker sender;
    constexpr unsigned peers = 3;
    for (unsigned round = 0; round < 3; ++round)
        for (unsigned peer = 1; peer <= peers; ++peer) {
            reader.tell([=] { receive(peer, 2); });
            sender.tell([=] { CHECK(answer(peer) == local(2)); });
        }
    for (unsigned peer = 1; peer <= peers; ++peer)
        reader.tell([=] { receive(peer, 3); });
    sender.tell([] {
        for (unsigned peer = 1; peer <= peers; ++peer)
            CHECK(answer(peer) == local(3));
        for (unsigned peer = peers; peer >= 1; --peer) {
            // Where the message left from elsewhere, it was no answer.
            peers::Turn{}.not_sent(server, test::peer(peer), false, test::local(peer == 1 ? 2 : 3));
            CHECK(known(peer).is_answered() == (peer == 1));
        }
        for (unsigned peer = peers; peer >= 2; --peer)
            CHECK(answer(peer) == local(3));
    });
}

TEST_SUITE_END();

} // namespace multihome::not_sent_test
