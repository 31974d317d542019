// SPDX-License-Identifier: MIT
//
// How large the state is that threads and children share.

#include "shim/peers/shared_state.hpp"

#include "shim/base/mapping.hpp"

#include "child.hpp"
#include "turns.hpp"

#include <cstdint>
#include <cstring>
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::shared_state_test {

namespace {

constexpr size_t many_peers = 100'000;
constexpr size_t few_peers = 4096;

unsigned bits_for(size_t peers) {
    return ConversationTable::bucket_bits_for(peers);
}

// What a child finds that makes a state, after `prepare`; -1 where it could not prepare.
template <typename Prepare>
int bits_in_child(Prepare prepare) {
    const pid_t child = test::fork_clean();
    REQUIRE(child >= 0);
    if (child == 0) {
        shared_state::detail::state.store(nullptr);
        shared_state::detail::bucket_mask.store(0);
        if (!prepare())
            _exit(255);
        const SharedState* const made = shared_state::create(many_peers);
        _exit(made != nullptr ? static_cast<int>(made->bucket_bits) : 254);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

} // namespace

TEST_SUITE_BEGIN("shared_state");

TEST_CASE("the buckets begin on the page after the header, and have all the room that there is") {
    CHECK(SharedState::table_offset() % 4096 == 0);
    CHECK(SharedState::table_offset() >= sizeof(SharedState));
    CHECK(SharedState::table_offset() < sizeof(SharedState) + 4096);
    CHECK(SharedState::size_for(3) == SharedState::table_offset() + size_t{8} * 64);
}

TEST_CASE("a table has room for as many peers as were asked for") {
    for (const size_t peers : {size_t{64}, few_peers, few_peers + 1, many_peers}) {
        const test::State state{peers};
        CHECK(std::memcmp(state->magic, SharedState::expected_magic, sizeof state->magic) == 0);
        CHECK(state->version == SharedState::expected_version);
        CHECK(state->bucket_bits == bits_for(peers));
        CHECK(state->mapping_size == SharedState::size_for(bits_for(peers)));
        CHECK(shared_state::detail::bucket_mask.load() ==
              ConversationTable::bucket_mask_for(bits_for(peers)));
        // Its last bucket can be written to, as that of the conversation with this hash.
        ConversationTable table = state->table();
        const uint64_t hash = ~uint64_t{0};
        table.hear(hash, state->locals.index_of(test::local(1)).index, 1, {});
        CHECK(static_cast<bool>(table.find(hash)));
        CHECK(shared_state::create(few_peers) == shared_state::get()); // the one that is there
    }
}

TEST_CASE("a thread counts under one number, whichever socket it uses") {
    const test::State state;
    for (uint32_t threads = 1; threads <= 3; ++threads) {
        test::Worker worker;
        worker.tell([] {
            for (unsigned round = 0; round < 3; ++round)
                for (const Socket socket : {test::server, test::sibling}) {
                    test::receive(1, 2, socket);
                    test::answer(1, socket);
                }
        });
        CHECK(state->threads.load() == threads);
        CHECK(state->readers.load() == threads);
        for (const unsigned port : {0U, 1U})
            CHECK(state->counters.sum_at(port, Counter::requests) == 3 * threads);
        CHECK(state->counters.line(test::server.port(), threads)
                  .values[static_cast<unsigned>(Counter::requests)]
                  .load() == 3);
    }
}

TEST_CASE("a program that locks its memory has a small table") {
    CHECK(bits_in_child([] { return true; }) == static_cast<int>(bits_for(many_peers)));
    // Sanitizers make mlockall() do nothing.
    const int bits = bits_in_child([] { return mlockall(MCL_FUTURE) == 0 && mapping::memory_is_locked(); });
    if (bits == -1)
        MESSAGE("SKIP: memory cannot be locked here");
    else
        CHECK(bits == static_cast<int>(bits_for(few_peers)));
}

TEST_SUITE_END();

} // namespace multihome::shared_state_test
