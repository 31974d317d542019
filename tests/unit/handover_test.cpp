// SPDX-License-Identifier: MIT
//
// Each clause of the rule in handover.hpp: who may answer for another socket.

#include "shim/base/settings.hpp"
#include "shim/peers/handover.hpp"

#include "random.hpp"
#include "shared_memory.hpp"

#include <doctest/doctest.h>

namespace multihome::handover_test {

namespace {

constexpr Lifetimes lifetimes;
constexpr uint64_t peer = 0x123456789abcdef0; // the hash of its address and port
constexpr Ticks start = 100'000;
// Two ports of ours, in network byte order. No port stands for no offer.
const in_port_t x = htons(69);
const in_port_t y = htons(65535);
constexpr in_port_t none = 0;

struct Scene {
    test::SharedMemory<Handover> handover;

    void offer(uint64_t hash, in_port_t port, uint32_t sockets = 10, Ticks now = start,
               const Lifetimes& times = lifetimes) const {
        handover->sockets_made().store(sockets);
        handover->offer(hash, port, now, times);
    }
    // `sockets`: how many were made by now.
    in_port_t find(uint64_t hash, uint16_t made = 11, Ticks now = start, uint32_t sockets = 12,
                   const Lifetimes& times = lifetimes) const {
        handover->sockets_made().store(sockets);
        return handover->find(hash, made, now, times);
    }
    bool may_offer_to(uint16_t made, uint32_t sockets) const {
        handover->sockets_made().store(sockets);
        return handover->may_offer_to(made);
    }
};

} // namespace

TEST_SUITE_BEGIN("handover");

TEST_CASE("a socket that was made after the question was heard may answer it") {
    const Scene scene;
    CHECK(scene.find(peer) == none);
    scene.offer(peer, x);
    CHECK(scene.find(peer, 11) == x);
    CHECK(scene.find(peer, 12) == x);
    CHECK(scene.find(peer, 13, start, 10 + 0xffff) == x);
    CHECK(scene.find(peer, 9, start, 10 + 0xffff) == x);
    // To look takes nothing: connect() and a first datagram both ask.
    CHECK(scene.find(peer, 11) == x);
}

TEST_CASE("a socket that was made before may not, nor one of which that is not known") {
    const Scene scene;
    scene.offer(peer, x);
    CHECK(scene.find(peer, 10) == none);
    CHECK(scene.find(peer, 9) == none);
    CHECK(scene.find(peer, 1) == none);
    CHECK(scene.find(peer, 0) == none);
    // Nor where so many were made since that an old number is not far ahead of the question's any more.
    for (const uint32_t sockets : {40'000U, 65'535U, 65'536U, 65'540U})
        CHECK(scene.find(peer, 9, start, sockets) == none);
}

TEST_CASE("nothing is looked up for a socket that is older than the first question") {
    const Scene scene;
    CHECK_FALSE(scene.may_offer_to(11, 12));
    scene.offer(peer, x);
    scene.offer(peer + 4, x, 20);
    CHECK_FALSE(scene.may_offer_to(0, 20));
    CHECK_FALSE(scene.may_offer_to(10, 20));
    CHECK(scene.may_offer_to(11, 20));
    // Once the numbers have wrapped, they tell nothing.
    CHECK(scene.may_offer_to(10, 65'536));
    CHECK_FALSE(scene.may_offer_to(0, 65'536));
}

TEST_CASE("sockets' numbers wrap") {
    const Scene scene;
    scene.offer(peer, x, 0xffff);
    CHECK(scene.find(peer, 1, start, 0x10001) == x);
    CHECK(scene.find(peer, 0xfffe, start, 0x10001) == none);
    CHECK(scene.find(peer, 0xffff, start, 0x10001) == none);
    scene.offer(peer, x, 0x10000);
    CHECK(scene.find(peer, 1, start, 0x10001) == x);
    CHECK(scene.find(peer, 0xffff, start, 0x10001) == none);
}

TEST_CASE("an offer stands for the question's time and no longer") {
    const Scene scene;
    scene.offer(peer, x);
    CHECK(scene.find(peer, 11, start + lifetimes.question) == x);
    CHECK(scene.find(peer, 11, start + lifetimes.question + 1) == none);
    // Not when a clock of fewer bits has gone round either.
    for (Ticks later = 200; later < 16'000; later += 100)
        REQUIRE(scene.find(peer, 11, start + later) == none);
    const Lifetimes shorter{4, 480};
    CHECK(scene.find(peer, 11, start + 4, 11, shorter) == x);
    CHECK(scene.find(peer, 11, start + 5, 11, shorter) == none);
    // The latest question counts.
    scene.offer(peer, y, 10, start + 100);
    CHECK(scene.find(peer, 11, start + 100 + lifetimes.question) == y);
}

TEST_CASE("what has run out stays so for as long again, even with the longest times that can be set") {
    constexpr Ticks longest = Settings::maximum_timeout * ticks_a_second;
    constexpr Lifetimes times{longest, longest};
    const Scene scene;
    constexpr uint64_t asked = peer + 4; // elsewhere
    scene.offer(peer, x);
    scene.handover->speak(asked, start);
    for (Ticks later = 0; later <= 2 * longest; ++later) {
        const Ticks now = start + later;
        REQUIRE(scene.find(peer, 11, now, 11, times) == (later <= longest ? x : none));
        scene.offer(asked, y, 10, now, times);
        REQUIRE(scene.find(asked, 11, now, 11, times) == (later <= longest ? none : y));
    }
}

TEST_CASE("an offer that was withdrawn stands no more") {
    const Scene scene;
    scene.offer(peer, x);
    scene.handover->withdraw(peer, start);
    CHECK(scene.find(peer) == none);
    scene.offer(peer, x);
    CHECK(scene.find(peer) == x);
    // Another one's answer leaves it alone, though it lies in the same place.
    scene.handover->withdraw(peer ^ uint64_t{1} << 63, start);
    CHECK(scene.find(peer) == x);
    scene.handover->withdraw(peer + 4, start);
    CHECK(scene.find(peer) == x);
}

TEST_CASE("a peer that the program has asked lately is answering, and has nothing offered") {
    const Scene scene;
    SUBCASE("asked before it was heard") {
        scene.handover->speak(peer, start);
        scene.offer(peer, x, 10, start + lifetimes.spoke_first);
        CHECK(scene.find(peer, 11, start + lifetimes.spoke_first + 1) == none);
        // Nor does an older offer stay that would say so.
        scene.offer(peer, y, 10, start + lifetimes.spoke_first + 1);
        CHECK(scene.find(peer, 11, start + lifetimes.spoke_first + 1) == y);
    }
    SUBCASE("and no more after hours") {
        for (const Ticks hour : {1U, 2U, 24U}) {
            for (Ticks time = start + hour * 14400; time < start + hour * 14400 + 16384; time += 100) {
                scene.handover->speak(peer, start);
                scene.offer(peer, x, 10, time);
                REQUIRE(scene.find(peer, 11, time) == x);
            }
        }
    }
    SUBCASE("asked after it was heard") {
        scene.offer(peer, x);
        scene.handover->speak(peer, start + 1);
        CHECK(scene.find(peer, 11, start + 2) == none);
    }
    SUBCASE("asked again and again") {
        for (Ticks time = start; time < start + 5000; time += lifetimes.spoke_first) {
            scene.handover->speak(peer, time);
            scene.offer(peer, x, 10, time + 100);
            REQUIRE(scene.find(peer, 11, time + 101) == none);
        }
    }
    SUBCASE("another peer was asked") {
        scene.handover->speak(peer ^ uint64_t{1} << 63, start);
        scene.offer(peer, x);
        CHECK(scene.find(peer) == x);
        scene.handover->speak(peer + 1, start);
        CHECK(scene.find(peer) == x);
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

TEST_CASE("an offer is its peer's, as far as its bits tell") {
    const Scene scene;
    scene.offer(peer, x);
    unsigned taken_for_it = 0;
    for (unsigned bit = 0; bit < 64; ++bit)
        if (scene.find(peer ^ uint64_t{1} << bit) != none)
            ++taken_for_it;
    // 10 bits choose the place and 18 are compared; the other 36 do not count.
    CHECK(taken_for_it == 36);
}

TEST_CASE("every port, every number and every time can be offered") {
    const Scene scene;
    test::Random random{3};
    for (unsigned round = 0; round < 2000; ++round) {
        const uint64_t hash = random.next();
        const auto port = static_cast<in_port_t>(1 + random.below(65535));
        const auto now = static_cast<Ticks>(random.next());
        const auto sockets = static_cast<uint32_t>(random.next());
        const auto made = static_cast<uint16_t>(sockets + 1);
        if (made == 0 || sockets >= UINT32_MAX - 1) // 0 stands for a number that is not known
            continue;
        scene.offer(hash, port, sockets, now);
        REQUIRE(scene.find(hash, made, now, sockets + 1) == port);
        REQUIRE(scene.find(hash, made, now + lifetimes.question, sockets + 1) == port);
        REQUIRE(scene.find(hash, made, now + lifetimes.question + 1, sockets + 1) == none);
        REQUIRE(scene.find(hash, static_cast<uint16_t>(sockets), now, sockets + 1) == none);
    }
}

TEST_CASE("four peers wait in one place, and a fifth one takes that of the oldest offer") {
    const Scene scene;
    const auto peer_number = [](unsigned number) { return peer ^ (uint64_t{number} << 50 | number % 4); };
    Ticks each = 0; // time between two of them
    SUBCASE("of different times") {
        each = 1;
    }
    SUBCASE("of the same time, for sockets that were made meanwhile") {}
    const auto offer = [&](unsigned number) {
        scene.offer(peer_number(number), x, 0xfffd + number, start + number * each);
    };
    const auto find = [&](unsigned number) {
        return scene.find(peer_number(number), 9, start + 6 * each, 0x10009);
    };
    for (unsigned number = 0; number < 4; ++number) {
        offer(number);
        offer(number); // the same one once more
    }
    for (unsigned number = 0; number < 4; ++number)
        CHECK(find(number) == x);
    offer(4);
    CHECK(find(0) == none);
    CHECK(find(4) == x);
    // One that is answered makes room.
    scene.handover->withdraw(peer_number(3), start);
    offer(5);
    for (const unsigned number : {1U, 2U, 4U, 5U})
        CHECK(find(number) == x);
}

TEST_SUITE_END();

} // namespace multihome::handover_test
