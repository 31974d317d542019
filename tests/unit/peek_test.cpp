// SPDX-License-Identifier: MIT
//
// Requests that a program looks at (MSG_PEEK) before it takes them off.

#include "shim/peers/peers.hpp"

#include "turns.hpp"

#include <doctest/doctest.h>

namespace multihome::peek_test {

namespace {

using test::answer;
using test::local;
using test::receive;
using test::Scene;
using test::server;
using test::settle;

// The thread turns to another peer.
void serve_other() {
    receive(9, 2);
    CHECK(answer(9) == local(2));
    receive(9, 2);
}

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("a datagram that was only looked at counts once") {
    Scene([] {
        for (const unsigned at : {2U, 3U, 2U}) {
            test::peek(1, at);
            receive(1, at);
        }
        test::drain();
        CHECK(answer(1) == local(2));
        CHECK(answer(1) == local(3));
        CHECK(answer(1) == local(2));
    });
}

TEST_CASE("one that was looked at and left is answered from where it asked") {
    Scene([] {
        test::peek(1, 2);
        CHECK(answer(1) == local(2));
        test::peek(1, 3);
        receive(1, 3);
        test::drain();
        CHECK(answer(1) == local(3));
    });
}

// GnuTLS's example looks at the first datagram, answers that with a cookie, and then takes it off.
TEST_CASE("one that was looked at is answered from where it asked, also behind others") {
    Scene([] {
        settle(1, 2);
        receive(9, 2);
        test::peek(1, 3);
        CHECK(answer(1) == local(3));
        receive(1, 3);
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("one that was answered when it was looked at is not answered again for the next one") {
    const Scene scene([] {
        for (unsigned time = 0; time < 3; ++time)
            for (const unsigned at : {2U, 3U, 3U, 3U, 4U}) {
                test::peek(1, at);
                CHECK(answer(1) == local(at));
                receive(1, at);
            }
    });
}

TEST_CASE("what has been received is answered before what was only looked at") {
    Scene([] {
        for (unsigned time = 0; time < 3; ++time) {
            receive(1, 2);
            test::peek(1, 3);
            CHECK(answer(1) == local(2));
            receive(1, 3);
            CHECK(answer(1) == local(3));
        }
    });
}

TEST_CASE("what was only looked at is what a thread has heard last") {
    peers::ThreadMemory memory;
    memory.begin(server, 3);
    memory.add({uint64_t{1} << 40, 3, LocalAddresses::first_generation, false});
    memory.end_peek();
    CHECK(memory.heard_last(uint64_t{1} << 40).at() == 3);
    CHECK(memory.heard_last(uint64_t{1} << 41).at() == local_by_route);
}

TEST_CASE("one that is looked at, answered and taken off has asked once") {
    const Scene strangers([&] {
        settle(1, 2);
        for (const unsigned at : {3U, 4U}) { // strangers
            test::peek(1, at);
            CHECK(answer(1) == local(at));
            receive(1, at);
            serve_other();
            CHECK(answer(1) == local(2)); // the program's own
        }
    });
    // One that asks once more has asked twice.
    const Scene known_client([&] {
        settle(1, 2);
        test::peek(1, 3);
        for (unsigned time = 0; time < 2; ++time) {
            receive(1, 3);
            CHECK(answer(1) == local(3));
        }
        serve_other();
        CHECK(answer(1) == local(3));
    });
    const Scene client([&] {
        test::peek(1, 3);
        CHECK(answer(1) == local(3));
        receive(1, 3);
        receive(1, 3);
        CHECK(answer(1) == local(3));
        receive(1, 2); // a stranger
        serve_other();
        answer(1);
        serve_other();
        CHECK(answer(1) == local(3));
    });
}

TEST_CASE("a look behind a batch does not make its answers late ones") {
    for (const bool takes_first : {false, true}) {
        CAPTURE(takes_first);
        const Scene scene([&] {
            settle(1, 2);
            test::receive_batch({{7, 3}, {8, 3}});
            test::peek(9, 3);
            if (takes_first)
                receive(9, 3);
            CHECK(answer(7) == local(3));
            CHECK(answer(8) == local(3));
            if (!takes_first)
                receive(9, 3);
            CHECK(answer(9) == local(3));
            receive(1, 3); // a stranger
            serve_other();
            CHECK(answer(1) == local(2)); // the program's own
        });
    }
}

// By recv(2) or read(2), or in a child that has been forked for it, as socat does.
TEST_CASE("what is looked at after an answer is another one, though nobody is seen to take one off") {
    const Scene client([&] {
        for (unsigned time = 0; time < 3; ++time) {
            test::peek(1, 3);
            CHECK(answer(1) == local(3));
        }
        receive(1, 2); // a stranger
        CHECK(answer(1) == local(2));
        serve_other();
        CHECK(answer(1) == local(3)); // the program's own
    });
    // Without an answer it may be the same one.
    const Scene stranger([&] {
        settle(1, 2);
        for (unsigned time = 0; time < 3; ++time)
            test::peek(1, 3);
        CHECK(answer(1) == local(3));
        receive(1, 3);
        serve_other();
        CHECK(answer(1) == local(2)); // the program's own
    });
}

TEST_SUITE_END();

} // namespace multihome::peek_test
