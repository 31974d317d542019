// SPDX-License-Identifier: MIT
//
// How often a conversation that was never heard is taken for another one. 36 bits of a fingerprint are too
// many to meet by chance, so the others are made equal: of the peers asked for, all but a few bits of the
// hash are those of an entry. What holds for 8, 10 and 12 free bits holds for 36, and 8 * 2^-36 is the 2^-33
// that is promised.

#include "shim/peers/conversation_table.hpp"

#include "part_of.hpp"
#include "random.hpp"
#include "table_memory.hpp"

#include <algorithm>
#include <cmath>
#include <doctest/doctest.h>

namespace multihome::false_match_test {

namespace {

using Memory = test::TableMemory;
constexpr Ticks start = 100'000;

// With `bits` free ones, which are the fingerprint's from `first` on.
void measure(unsigned bits, unsigned first) {
    CAPTURE(bits);
    CAPTURE(first);
    const Memory memory{0}; // one bucket
    ConversationTable table = memory.table();
    test::Random random{bits};
    const uint64_t free = ((uint64_t{1} << bits) - 1) << first;
    constexpr unsigned asked = 20'000;
    constexpr unsigned rounds = test::part_of(50, 10);
    unsigned matches = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        memory.clear();
        for (unsigned entry = 0; entry < ConversationTable::ways; ++entry) {
            const uint64_t hash = random.next() & free;
            // The same address, so that its salt is the same, and another fingerprint each: no duplicates.
            if (table.find(hash)) {
                --entry;
                continue;
            }
            table.hear(hash, memory.local_of(1, false), start, {});
        }
        for (unsigned peer = 0; peer < asked; ++peer)
            matches += table.find(random.next() & free) ? 1 : 0;
    }
    const double one = ConversationTable::ways * std::exp2(-static_cast<double>(bits));
    const double expected = double{asked} * rounds * one;
    const double deviation = std::sqrt(expected * (1 - one));
    MESSAGE(bits << " bits from " << first << ": " << matches << " false matches in " << asked * rounds
                 << " look-ups, expected " << expected << " +- " << deviation);
    CHECK(std::abs(matches - expected) < 5 * deviation);
}

} // namespace

TEST_SUITE_BEGIN("false_match");

TEST_CASE("false matches are as rare as the fingerprint's bits make them") {
    for (const unsigned bits : {8U, 10U, 12U})
        for (const unsigned first : {Conversation::bits, 40U, 64 - bits})
            measure(bits, first);
}

TEST_CASE("the fingerprint in use has the bits that the bound needs") {
    constexpr unsigned bits = 64 - Conversation::bits;
    CHECK(ConversationTable::ways * std::exp2(-double{bits}) <= std::exp2(-33.0));
    // Every one of them counts, in each state, and so does every bit that chooses the bucket.
    const Memory memory{ConversationTable::maximum_bucket_bits};
    ConversationTable table = memory.table();
    const uint64_t hash = Memory::hash(77, 0x123456789);
    const LocalIndex x = memory.local_of(1, false);
    const LocalIndex y = memory.local_of(1, true);
    for (unsigned state = 0; state < 3; ++state) {
        CAPTURE(state);
        table.answer(x, table.hear(hash, state < 2 ? x : y, start, table.find(hash)).entry);
        REQUIRE(table.find(hash));
        for (unsigned bit = 0; bit < 64; ++bit) {
            CAPTURE(bit);
            const uint64_t mask = ConversationTable::bucket_mask_for(ConversationTable::maximum_bucket_bits) |
                                  ~Conversation::mask;
            const bool counts = (mask >> bit & 1) != 0;
            CHECK(static_cast<bool>(table.find(hash ^ uint64_t{1} << bit)) != counts);
        }
    }
}

TEST_CASE("an entry of another address's generation is no nearer to a match than a stranger's") {
    // The salt of a number changes many bits from one generation to the next, also in a moving entry, where
    // two salts are summed up.
    const Memory memory{0};
    LocalAddresses& locals = memory.locals();
    const LocalIndex index = memory.local_of(1, false);
    constexpr unsigned wanted = test::part_of(500, 100);
    uint64_t last = locals.salt(index);
    unsigned generations = 0;
    unsigned fewest = 64;
    for (uint32_t number = 1000; number < 1'000'000 && generations < wanted; ++number) {
        locals.index_of(test::local_address(number));
        const uint64_t salt = locals.salt(index);
        if (salt == last)
            continue;
        fewest = std::min(fewest, static_cast<unsigned>(__builtin_popcountll(salt ^ last)));
        last = salt;
        ++generations;
    }
    CHECK(generations > wanted / 5);
    CHECK(fewest >= 6);
}

TEST_SUITE_END();

} // namespace multihome::false_match_test
