// SPDX-License-Identifier: MIT
//
// How often a peer that was never heard is taken for another one. Measured with weakened fingerprints, of
// which the real one differs in nothing but the number of bits: what holds for 8, 10 and 12 bits holds for
// 43, and 8 * 2^-43 is the 2^-40 that is promised.

#include "shim/peers/peer_table.hpp"
#include "shim/peers/siphash.hpp"

#include "table_memory.hpp"

#include <cmath>
#include <doctest/doctest.h>

namespace multihome {

namespace {

constexpr HashKey key{0x0123456789abcdef, 0xfedcba9876543210};

Peer numbered_peer(uint32_t number) {
    // Ports first, as an attacker would go through them from one address.
    return {Address::from_ipv4({htonl(0x0a000000 + (number >> 16))}), 0,
            htons(static_cast<uint16_t>(number))};
}

template <unsigned Bits>
void measure() {
    using Table = BasicPeerTable<Bits>;
    const test::TableMemory<Bits> memory{9};
    Table table = memory.table();
    constexpr uint32_t tag = 1;
    constexpr uint32_t heard = 100'000;
    for (uint32_t number = 0; number < heard; ++number)
        table.learn(hash_of(numbered_peer(number), key), tag, 1);
    for (size_t bucket = 0; bucket < memory.bucket_count(); ++bucket)
        for (const std::atomic<uint64_t>& word : memory.bucket(bucket).words)
            REQUIRE(word.load() != 0); // full: the most that a look-up can meet

    constexpr uint32_t asked = 1'000'000;
    uint32_t matches = 0;
    for (uint32_t number = heard; number < heard + asked; ++number)
        if (table.find(hash_of(numbered_peer(number), key), tag) != 0)
            ++matches;

    // Fingerprint 1 stands for 0 as well, which in a short one can be seen.
    const double one = std::exp2(-static_cast<double>(Bits));
    const double bound = Table::ways * one * (1 + 2 * one);
    const double expected = asked * bound;
    const double deviation = std::sqrt(expected * (1 - bound));
    MESSAGE(Bits << " bits: " << matches << " false matches in " << asked << " look-ups, expected "
                 << expected << " +- " << deviation);
    CHECK(std::abs(matches - expected) < 5 * deviation);
}

} // namespace

TEST_SUITE_BEGIN("false_match");

TEST_CASE("false matches are as rare as the fingerprint's bits make them") {
    measure<8>();
    measure<10>();
    measure<12>();
}

TEST_CASE("the fingerprint in use has the bits that the bound needs") {
    using Entry = PeerTable::Entry;
    CHECK(Entry::fingerprint_mask == (uint64_t{1} << 43) - 1);
    CHECK(PeerTable::ways * std::exp2(-43.0) <= std::exp2(-40.0));
    // Every one of them counts, and so does every bit that chooses the bucket.
    const test::TableMemory<> memory{PeerTable::maximum_bucket_bits};
    PeerTable table = memory.table();
    const uint64_t hash = hash_of(numbered_peer(1), key);
    table.learn(hash, 1, 1);
    REQUIRE(table.find(hash, 1) != 0);
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK(table.find(hash ^ uint64_t{1} << bit, 1) == 0);
    }
}

TEST_SUITE_END();

} // namespace multihome
