// SPDX-License-Identifier: MIT
#include "shim/peers/peer_table.hpp"

#include "table_memory.hpp"

#include <doctest/doctest.h>
#include <vector>

namespace multihome {

namespace {

using Entry = PeerTable::Entry;
constexpr uint32_t tag = 5;
constexpr LocalIndex first_local = 1;
constexpr LocalIndex second_local = 2;

// Fills bucket 0 with peers numbered from `first`.
void fill(const test::TableMemory<>& memory, uint64_t first, unsigned count, bool answered) {
    PeerTable table = memory.table();
    for (uint64_t number = first; number < first + count; ++number) {
        const uint64_t hash = memory.hash(0, number);
        REQUIRE(table.learn(hash, tag, first_local).inserted);
        if (answered)
            table.mark_answered(hash, tag);
    }
}

unsigned still_there(const test::TableMemory<>& memory, uint64_t first, unsigned count) {
    unsigned found = 0;
    for (uint64_t number = first; number < first + count; ++number)
        if (memory.table().find(memory.hash(0, number), tag) != 0)
            ++found;
    return found;
}

} // namespace

TEST_SUITE_BEGIN("peer_table");

TEST_CASE("a bucket is one cache line, and a look-up sees nothing but one bucket") {
    CHECK(sizeof(PeerTable::Bucket) == 64);
    CHECK(alignof(PeerTable::Bucket) == 64);
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    for (uint64_t number = 1; number <= 100; ++number)
        table.learn(memory.hash(9, number), tag, first_local);
    for (size_t bucket = 0; bucket < memory.bucket_count(); ++bucket)
        for (const std::atomic<uint64_t>& word : memory.bucket(bucket).words)
            CHECK((word.load() != 0) == (bucket == 9));
}

TEST_CASE("the memory for the documented sizes: 16 bytes a peer asked for, 8 bytes a peer that fits") {
    for (size_t peers = 64; peers <= size_t{1} << 23; peers *= 2) {
        const size_t bytes = sizeof(PeerTable::Bucket) << PeerTable::bucket_bits_for(peers);
        CAPTURE(peers);
        CHECK(bytes == peers * 16);
    }
    // The number of buckets is a power of two, so other requests are rounded up.
    for (const size_t peers : {65UL, 100UL, 100'000UL, 262'145UL, 5'000'000UL}) {
        const size_t bytes = sizeof(PeerTable::Bucket) << PeerTable::bucket_bits_for(peers);
        CAPTURE(peers);
        CHECK(bytes >= peers * 16);
        CHECK(bytes < peers * 32);
    }
    // Fingerprint and bucket are chosen by different bits of the hash, also in the largest table.
    CHECK(PeerTable::bucket_bits_for(~size_t{0}) == PeerTable::maximum_bucket_bits);
    CHECK(PeerTable::maximum_bucket_bits + 43 <= 64);
}

TEST_CASE("a peer is found where it was heard last") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    const uint64_t hash = memory.hash(3, 77);
    CHECK(table.find(hash, tag) == 0);

    const Learned first = table.learn(hash, tag, first_local);
    REQUIRE(first.slot != nullptr);
    CHECK(first.inserted);
    CHECK(first.slot->load() == first.word);
    CHECK(Entry::local(table.find(hash, tag)) == first_local);

    const Learned second = table.learn(hash, tag, second_local);
    CHECK_FALSE(second.inserted);
    CHECK(second.slot == first.slot);
    CHECK(second.slot->load() == second.word);
    CHECK(Entry::local(table.find(hash, tag)) == second_local);
    CHECK(memory.count(hash) == 1);
    CHECK(memory.insertions() == 1);

    CHECK(table.learn(hash, tag, second_local).word == second.word);
}

TEST_CASE("an entry is settled where learning it once more would change nothing") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    const uint64_t hash = memory.hash(9, 1);
    const uint64_t other = memory.hash(9, 2);
    table.learn(hash, tag, first_local);
    table.mark_answered(hash, tag);
    const uint64_t like = table.find(hash, tag);
    CHECK(table.find_settled(hash, like).slot != nullptr);
    CHECK(table.find_settled(hash, like).word == like);
    // Unknown, not answered yet, answered, heard at another address.
    CHECK(table.find_settled(other, like).slot == nullptr);
    const Learned learned = table.learn(other, tag, first_local);
    CHECK(table.find_settled(other, like).slot == nullptr);
    table.mark_answered(other, tag);
    CHECK(table.find_settled(other, like).slot == learned.slot);
    CHECK(table.find_settled(other, like).word == table.find(other, tag));
    table.learn(other, tag, second_local);
    CHECK(table.find_settled(other, like).slot == nullptr);
    // On another socket.
    table.learn(hash, tag + 1, first_local);
    table.mark_answered(hash, tag + 1);
    table.forget(hash, tag);
    CHECK(table.find_settled(hash, like).slot == nullptr);
}

TEST_CASE("peers and sockets are kept apart") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    table.learn(memory.hash(3, 77), tag, first_local);
    CHECK(table.find(memory.hash(3, 78), tag) == 0);
    CHECK(table.find(memory.hash(4, 77), tag) == 0);
    // Sockets made one after the other differ in the low bits of their cookies.
    for (uint32_t step = 1; step < 1U << Entry::tag_bits; ++step)
        CHECK(table.find(memory.hash(3, 77), tag + step) == 0);
    table.learn(memory.hash(3, 77), tag + 1, second_local);
    CHECK(Entry::local(table.find(memory.hash(3, 77), tag)) == first_local);
    CHECK(Entry::local(table.find(memory.hash(3, 77), tag + 1)) == second_local);
}

TEST_CASE("every part of an entry keeps to its bits") {
    const test::TableMemory<> memory{1};
    PeerTable table = memory.table();
    const LocalIndex highest = local_asked_first - 1;
    const uint64_t hash = ~uint64_t{0};
    const Learned learned = table.learn(hash, ~0U, highest);
    CHECK(Entry::local(learned.word) == highest);
    CHECK(Entry::epoch(learned.word) == 0);
    CHECK((learned.word & Entry::answered_bit) == 0);
    CHECK((learned.word & Entry::fingerprint_mask) == Entry::fingerprint_mask);
    table.mark_answered(hash, ~0U);
    CHECK(table.find(hash, ~0U) == (learned.word | Entry::answered_bit));
}

TEST_CASE("a peer whose fingerprint would be 0 is kept like any other") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    CHECK(table.find(0, 0) == 0);
    table.learn(0, 0, local_by_route);
    CHECK(table.find(0, 0) != 0);
    CHECK(Entry::local(table.find(0, 0)) == local_by_route);
    table.forget(0, 0);
    CHECK(table.find(0, 0) == 0);
}

TEST_CASE("forgetting takes this peer's entries on this socket and no others") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    table.learn(memory.hash(3, 77), tag, first_local);
    table.learn(memory.hash(3, 77), tag + 1, first_local);
    table.learn(memory.hash(3, 78), tag, first_local);
    table.forget(memory.hash(3, 77), tag);
    CHECK(table.find(memory.hash(3, 77), tag) == 0);
    CHECK(table.find(memory.hash(3, 77), tag + 1) != 0);
    CHECK(table.find(memory.hash(3, 78), tag) != 0);
    table.forget(memory.hash(3, 77), tag); // what is not there
}

TEST_CASE("an entry that says that we asked first stays") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    const uint64_t hash = memory.hash(3, 77);
    table.learn(hash, tag, local_asked_first);
    const Learned answer = table.learn(hash, tag, first_local);
    CHECK_FALSE(answer.inserted);
    CHECK(Entry::local(answer.word) == local_asked_first);
    CHECK(Entry::local(table.find(hash, tag)) == local_asked_first);
    // Asking once more is no change either.
    table.learn(hash, tag, local_asked_first);
    CHECK(Entry::local(table.find(hash, tag)) == local_asked_first);
    CHECK(memory.count(hash) == 1);
}

TEST_CASE("an answer marks the entry, and the next request leaves the mark") {
    const test::TableMemory<> memory{4};
    PeerTable table = memory.table();
    const uint64_t hash = memory.hash(3, 77);
    table.mark_answered(hash, tag); // what is not there
    CHECK(table.find(hash, tag) == 0);
    const Learned learned = table.learn(hash, tag, first_local);
    CHECK((table.find(hash, tag) & Entry::answered_bit) == 0);
    CHECK(PeerTable::mark_answered(learned.slot, learned.word) == (learned.word | Entry::answered_bit));
    CHECK((table.find(hash, tag) & Entry::answered_bit) != 0);
    table.learn(hash, tag, second_local);
    CHECK((table.find(hash, tag) & Entry::answered_bit) != 0);
    CHECK(Entry::local(table.find(hash, tag)) == second_local);
    // By what the slot held long ago: nothing is changed.
    PeerTable::mark_answered(learned.slot, learned.word);
    CHECK(Entry::local(table.find(hash, tag)) == second_local);
}

TEST_CASE("a bucket takes as many peers as it has ways before one has to go") {
    const test::TableMemory<> memory{1};
    fill(memory, 1, PeerTable::ways, false);
    CHECK(still_there(memory, 1, PeerTable::ways) == PeerTable::ways);
    fill(memory, 100, 1, false);
    CHECK(still_there(memory, 1, PeerTable::ways) == PeerTable::ways - 1);
    CHECK(still_there(memory, 100, 1) == 1);
}

TEST_CASE("the oldest of those that were never answered goes first") {
    const test::TableMemory<> memory{1};
    // Four insertions in this table make an epoch, so peers 1 to 4 are older than 5 to 8.
    fill(memory, 1, PeerTable::ways, false);
    fill(memory, 100, 4, false);
    CHECK(still_there(memory, 1, 4) == 0);
    CHECK(still_there(memory, 5, 4) == 4);
    CHECK(still_there(memory, 100, 4) == 4);
}

TEST_CASE("a peer that is heard again is young again") {
    const test::TableMemory<> memory{1};
    PeerTable table = memory.table();
    fill(memory, 1, PeerTable::ways, false);
    CHECK_FALSE(table.learn(memory.hash(0, 1), tag, first_local).inserted);
    fill(memory, 100, 3, false);
    CHECK(still_there(memory, 1, 1) == 1);
    CHECK(still_there(memory, 2, 3) == 0);
}

TEST_CASE("a flood of peers that nobody answers pushes out its own") {
    const test::TableMemory<> memory{1};
    constexpr unsigned kept = PeerTable::ways - PeerTable::probation;
    fill(memory, 1, kept, true);
    fill(memory, 1000, 100'000, false);
    CHECK(still_there(memory, 1, kept) == kept);
}

TEST_CASE("of a bucket full of answered peers a flood takes its share and no more") {
    const test::TableMemory<> memory{1};
    fill(memory, 1, PeerTable::ways, true);
    fill(memory, 1000, 100'000, false);
    CHECK(still_there(memory, 1, PeerTable::ways) == PeerTable::ways - PeerTable::probation);
}

TEST_CASE("a peer that waits for its first answer outlives the insertions of its probation") {
    const test::TableMemory<> memory{1};
    fill(memory, 1, PeerTable::ways, true);
    fill(memory, 500, 1, false);
    // With the one that waits, as many as may be waiting.
    fill(memory, 1000, PeerTable::probation - 1, false);
    CHECK(still_there(memory, 500, 1) == 1);
    memory.table().mark_answered(memory.hash(0, 500), tag);
    fill(memory, 2000, 100, false);
    CHECK(still_there(memory, 500, 1) == 1);
}

TEST_CASE("in a flooded table new peers have time for their answers") {
    // Random peers over many buckets. As many insertions come after each peer as there are buckets, times
    // `rounds`: so long does it wait for its answer. Fixed seeds, so that the figures are the same each time.
    const test::TableMemory<> memory{10};
    const size_t buckets = memory.bucket_count();
    for (const unsigned rounds : {1U, 2U}) {
        memory.clear();
        PeerTable table = memory.table();
        test::Random random{rounds};
        std::vector<uint64_t> waiting;
        unsigned answered = 0;
        constexpr unsigned measured = 50'000;
        for (size_t step = 0; step < 20 * buckets; ++step) // fill it
            table.learn(random.next(), tag, first_local);
        for (size_t step = 0; step < measured + rounds * buckets; ++step) {
            waiting.push_back(random.next());
            table.learn(waiting.back(), tag, first_local);
            if (step >= rounds * buckets && table.find(waiting[step - rounds * buckets], tag) != 0)
                ++answered;
        }
        const double share = 100.0 * answered / measured;
        MESSAGE("after " << rounds << " insertions a bucket " << share
                         << " % of the new peers are still known");
        CHECK(share > (rounds == 1 ? 99.0 : 95.0));
    }
}

TEST_CASE("answered peers that have gone make room for those that come") {
    // Every peer is answered, so there is nobody on probation: the oldest epoch goes.
    const test::TableMemory<> memory{1};
    fill(memory, 1, 10'000, true);
    CHECK(still_there(memory, 10'000 - 3, 4) == 4);
    CHECK(still_there(memory, 1, 9'000) == 0);
}

TEST_CASE("the slots of forgotten peers are used first") {
    const test::TableMemory<> memory{1};
    fill(memory, 1, PeerTable::ways, true);
    memory.table().forget(memory.hash(0, 3), tag);
    fill(memory, 100, 1, false);
    CHECK(still_there(memory, 1, 8) == 7);
}

TEST_CASE("of two entries of one peer the next insertion of it is not lost") {
    // As two threads leave them that heard the same new peer at the same time.
    const test::TableMemory<> memory{1};
    PeerTable table = memory.table();
    const uint64_t hash = memory.hash(0, 7);
    const Learned learned = table.learn(hash, tag, first_local);
    memory.bucket(0).words[5].store(learned.word);
    CHECK(memory.count(hash) == 2);
    table.learn(hash, tag, second_local);
    CHECK(Entry::local(table.find(hash, tag)) == second_local);
    table.forget(hash, tag);
    CHECK(table.find(hash, tag) == 0);
    CHECK(memory.count(hash) == 0);
}

TEST_SUITE_END();

} // namespace multihome
