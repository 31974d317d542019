// SPDX-License-Identifier: MIT
//
// Each clause of the rule in handover.hpp: who may answer for another socket.

#include "shim/base/settings.hpp"
#include "shim/peers/handover.hpp"

#include "random.hpp"
#include "table_memory.hpp"

#include <doctest/doctest.h>

namespace multihome::handover_test {

namespace {

using test::local_address;
constexpr Lifetimes lifetimes;
constexpr uint64_t peer = 0x123456789abcdef0; // the hash of its address and port
constexpr Ticks start = 100'000;

struct Scene {
    test::SharedMemory<Handover> handover;
    test::SharedMemory<LocalAddresses> locals;
    LocalIndex x = locals->index_of(local_address(1)).index;
    LocalIndex y = locals->index_of(local_address(2)).index;

    void offer(uint64_t hash, LocalIndex at, uint16_t made = 10, Ticks now = start) const {
        handover->offer(hash, at, made, now, *locals, lifetimes);
    }
    LocalIndex find(uint64_t hash, uint16_t made = 11, Ticks now = start) const {
        return handover->find(hash, made, now, *locals, lifetimes);
    }
};

} // namespace

TEST_SUITE_BEGIN("handover");

TEST_CASE("a socket that was made after the question was heard may answer it") {
    const Scene scene;
    CHECK(scene.find(peer) == local_by_route);
    scene.offer(peer, scene.x);
    CHECK(scene.find(peer, 11) == scene.x);
    CHECK(scene.find(peer, 12) == scene.x);
    CHECK(scene.find(peer, 10 + 0x7fff) == scene.x);
    // To look takes nothing: connect() and a first datagram both ask.
    CHECK(scene.find(peer, 11) == scene.x);
}

TEST_CASE("a socket that was made before may not, nor one of which that is not known") {
    const Scene scene;
    scene.offer(peer, scene.x);
    CHECK(scene.find(peer, 10) == local_by_route);
    CHECK(scene.find(peer, 9) == local_by_route);
    CHECK(scene.find(peer, 1) == local_by_route);
    CHECK(scene.find(peer, 0) == local_by_route);
    CHECK(scene.find(peer, 10 + 0x8000) == local_by_route); // 32,768 sockets later it is no later one
}

TEST_CASE("sockets' numbers wrap") {
    const Scene scene;
    scene.offer(peer, scene.x, 0xffff);
    CHECK(scene.find(peer, 1) == scene.x);
    CHECK(scene.find(peer, 0xfffe) == local_by_route);
    CHECK(scene.find(peer, 0xffff) == local_by_route);
    scene.offer(peer, scene.x, 0);
    CHECK(scene.find(peer, 1) == scene.x);
    CHECK(scene.find(peer, 0xffff) == local_by_route);
}

TEST_CASE("an offer stands for the question's time and no longer") {
    const Scene scene;
    scene.offer(peer, scene.x);
    CHECK(scene.find(peer, 11, start + lifetimes.question) == scene.x);
    CHECK(scene.find(peer, 11, start + lifetimes.question + 1) == local_by_route);
    // Not when a clock of fewer bits has gone round either.
    for (Ticks later = 200; later < 16'000; later += 100)
        REQUIRE(scene.find(peer, 11, start + later) == local_by_route);
    const Lifetimes shorter{4, 480};
    CHECK(scene.handover->find(peer, 11, start + 4, *scene.locals, shorter) == scene.x);
    CHECK(scene.handover->find(peer, 11, start + 5, *scene.locals, shorter) == local_by_route);
    // The latest question counts.
    scene.offer(peer, scene.y, 10, start + 100);
    CHECK(scene.find(peer, 11, start + 100 + lifetimes.question) == scene.y);
}

TEST_CASE("what has run out stays so for as long again, even with the longest times that can be set") {
    constexpr Ticks longest = Settings::maximum_timeout * ticks_a_second;
    constexpr Lifetimes times{longest, longest};
    const Scene scene;
    constexpr uint64_t asked = peer + 4; // elsewhere
    scene.offer(peer, scene.x);
    scene.handover->ask(asked, start);
    for (Ticks later = 0; later <= 2 * longest; ++later) {
        const Ticks now = start + later;
        REQUIRE(scene.handover->find(peer, 11, now, *scene.locals, times) ==
                (later <= longest ? scene.x : local_by_route));
        scene.handover->offer(asked, scene.y, 10, now, *scene.locals, times);
        REQUIRE(scene.handover->find(asked, 11, now, *scene.locals, times) ==
                (later <= longest ? local_by_route : scene.y));
    }
}

TEST_CASE("a question that was answered is offered no more") {
    const Scene scene;
    scene.offer(peer, scene.x);
    scene.handover->withdraw(peer, *scene.locals);
    CHECK(scene.find(peer) == local_by_route);
    scene.offer(peer, scene.x);
    CHECK(scene.find(peer) == scene.x);
    // Another one's answer leaves it alone, though it lies in the same place.
    scene.handover->withdraw(peer ^ uint64_t{1} << 63, *scene.locals);
    CHECK(scene.find(peer) == scene.x);
    scene.handover->withdraw(peer + 4, *scene.locals);
    CHECK(scene.find(peer) == scene.x);
}

TEST_CASE("a peer that the program has asked lately is answering, and has nothing offered") {
    const Scene scene;
    SUBCASE("asked before it was heard") {
        scene.handover->ask(peer, start);
        scene.offer(peer, scene.x, 10, start + lifetimes.spoke_first);
        CHECK(scene.find(peer, 11, start + lifetimes.spoke_first + 1) == local_by_route);
        // Nor does an older offer stay that would say so.
        scene.offer(peer, scene.y, 10, start + lifetimes.spoke_first + 1);
        CHECK(scene.find(peer, 11, start + lifetimes.spoke_first + 1) == scene.y);
    }
    SUBCASE("and no more after hours") {
        for (const Ticks hour : {1U, 2U, 24U}) {
            for (Ticks time = start + hour * 14400; time < start + hour * 14400 + 16384; time += 100) {
                scene.handover->ask(peer, start);
                scene.offer(peer, scene.x, 10, time);
                REQUIRE(scene.find(peer, 11, time) == scene.x);
            }
        }
    }
    SUBCASE("asked after it was heard") {
        scene.offer(peer, scene.x);
        scene.handover->ask(peer, start + 1);
        CHECK(scene.find(peer, 11, start + 2) == local_by_route);
    }
    SUBCASE("asked again and again") {
        for (Ticks time = start; time < start + 5000; time += lifetimes.spoke_first) {
            scene.handover->ask(peer, time);
            scene.offer(peer, scene.x, 10, time + 100);
            REQUIRE(scene.find(peer, 11, time + 101) == local_by_route);
        }
    }
    SUBCASE("another peer was asked") {
        scene.handover->ask(peer ^ uint64_t{1} << 63, start);
        scene.offer(peer, scene.x);
        CHECK(scene.find(peer) == scene.x);
        scene.handover->ask(peer + 1, start);
        CHECK(scene.find(peer) == scene.x);
    }
}

TEST_CASE("a port that servers answer from is not one that clients ask from") {
    for (const int number : {1,    53,   67,   69,   123,  161,  443,  500,  1023, 1194, 1812, 1813,
                             1900, 3478, 4500, 5060, 5061, 5351, 5353, 5355, 5683, 5684, 11211}) {
        CAPTURE(number);
        CHECK(Handover::answers_from(htons(static_cast<uint16_t>(number))));
    }
    for (const int number : {1024, 1193, 1195, 1811, 1814, 5352, 5354, 32768, 49152, 65535}) {
        CAPTURE(number);
        CHECK_FALSE(Handover::answers_from(htons(static_cast<uint16_t>(number))));
    }
    // Any client may have a port that the kernel gives to clients.
    for (uint32_t number = 32768; number <= 65535; ++number)
        REQUIRE_FALSE(Handover::answers_from(htons(static_cast<uint16_t>(number))));
}

TEST_CASE("an offer is its peer's alone") {
    const Scene scene;
    scene.offer(peer, scene.x);
    unsigned taken_for_it = 0;
    for (unsigned bit = 0; bit < 64; ++bit)
        if (scene.find(peer ^ uint64_t{1} << bit) != local_by_route)
            ++taken_for_it;
    // 10 bits choose the place and 24 are compared; the other 30 do not count.
    CHECK(taken_for_it == 30);
}

TEST_CASE("every local address, every number and every time can be offered") {
    const Scene scene;
    test::Random random{3};
    for (unsigned round = 0; round < 2000; ++round) {
        const uint64_t hash = random.next();
        const LocalIndex at =
            scene.locals->index_of(local_address(static_cast<uint32_t>(random.below(400)))).index;
        const auto now = static_cast<Ticks>(random.next());
        const auto made = static_cast<uint16_t>(random.next());
        const auto later = static_cast<uint16_t>(made + 1);
        if (later == 0) // stands for a number that is not known
            continue;
        scene.offer(hash, at, made, now);
        REQUIRE(scene.find(hash, later, now) == at);
        REQUIRE(scene.find(hash, later, now + lifetimes.question) == at);
        REQUIRE(scene.find(hash, later, now + lifetimes.question + 1) == local_by_route);
        REQUIRE(scene.find(hash, made, now) == local_by_route);
    }
}

TEST_CASE("four peers wait in one place, and a fifth one takes that of the oldest offer") {
    const Scene scene;
    const auto peer_number = [](unsigned number) { return peer ^ (uint64_t{number} << 40 | number % 4); };
    Ticks each = 0; // time between two of them
    SUBCASE("of different times") {
        each = 1;
    }
    SUBCASE("of the same time, for sockets that were made meanwhile") {}
    const auto offer = [&](unsigned number) {
        scene.offer(peer_number(number), scene.x, static_cast<uint16_t>(0xfffd + number),
                    start + number * each);
    };
    const auto find = [&](unsigned number) { return scene.find(peer_number(number), 9, start + 6 * each); };
    for (unsigned number = 0; number < 4; ++number) {
        offer(number);
        offer(number); // the same one once more
    }
    for (unsigned number = 0; number < 4; ++number)
        CHECK(find(number) == scene.x);
    offer(4);
    CHECK(find(0) == local_by_route);
    CHECK(find(4) == scene.x);
    // One that is answered makes room.
    scene.handover->withdraw(peer_number(3), *scene.locals);
    offer(5);
    for (const unsigned number : {1U, 2U, 4U, 5U})
        CHECK(find(number) == scene.x);
}

TEST_CASE("an offer at an address that has lost its number stands for nothing") {
    const Scene scene;
    scene.offer(peer, scene.x);
    for (uint32_t number = 1000; number < 100'000; ++number)
        scene.locals->index_of(local_address(number));
    REQUIRE(scene.locals->at(scene.x) != local_address(1));
    CHECK(scene.find(peer) == local_by_route);
    scene.handover->withdraw(peer, *scene.locals);
    CHECK(scene.find(peer) == local_by_route);
}

TEST_SUITE_END();

} // namespace multihome::handover_test
