// SPDX-License-Identifier: MIT
#include "shim/peers/handover.hpp"

#include "table_memory.hpp"

#include <doctest/doctest.h>

namespace multihome {

TEST_SUITE_BEGIN("handover");

TEST_CASE("an offer stands for its time and no longer") {
    const test::SharedMemory<Handover> handover;
    const uint64_t hash = 0x123456789abcdef0;
    CHECK(handover->find(hash, 1000) == local_by_route);
    handover->offer(hash, 7, 1000);
    CHECK(handover->find(hash, 1000) == 7);
    CHECK(handover->find(hash, 1000 + Handover::seconds_offered) == 7);
    CHECK(handover->find(hash, 1001 + Handover::seconds_offered) == local_by_route);
    CHECK(handover->find(hash, 1000 + 3600) == local_by_route);
    handover->offer(hash, 8, 1001);
    CHECK(handover->find(hash, 1002) == 8);
}

TEST_CASE("an offer is its peer's alone") {
    const test::SharedMemory<Handover> handover;
    const uint64_t hash = 0x123456789abcdef0;
    handover->offer(hash, 7, 1000);
    unsigned taken_for_it = 0;
    for (unsigned bit = 0; bit < 64; ++bit)
        if (handover->find(hash ^ uint64_t{1} << bit, 1000) != local_by_route)
            ++taken_for_it;
    // 12 bits choose the place and 36 are compared; the other 16 do not count.
    CHECK(taken_for_it == 16);
}

TEST_CASE("every local address and every time can be offered") {
    const test::SharedMemory<Handover> handover;
    test::Random random{3};
    for (unsigned round = 0; round < 2000; ++round) {
        const uint64_t hash = random.next();
        const auto local = static_cast<LocalIndex>(1 + random.below(local_asked_first - 1));
        const auto now = static_cast<uint32_t>(random.next());
        handover->offer(hash, local, now);
        REQUIRE(handover->find(hash, now) == local);
        REQUIRE(handover->find(hash, now + Handover::seconds_offered) == local);
        REQUIRE(handover->find(hash, now + Handover::seconds_offered + 1) == local_by_route);
    }
}

TEST_CASE("where two peers meet in one place the later one is offered") {
    const test::SharedMemory<Handover> handover;
    const uint64_t first = 0x123456789abcdef0;
    const uint64_t second = 0xfedcba9876543ef0; // the same twelve low bits
    handover->offer(first, 7, 1000);
    handover->offer(second, 8, 1000);
    CHECK(handover->find(first, 1000) == local_by_route);
    CHECK(handover->find(second, 1000) == 8);
}

TEST_SUITE_END();

} // namespace multihome
