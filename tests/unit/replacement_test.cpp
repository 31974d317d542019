// SPDX-License-Identifier: MIT
//
// Which conversation makes room for a new one.
#include "shim/peers/conversation_table.hpp"

#include "random.hpp"
#include "table_scene.hpp"

#include <doctest/doctest.h>
#include <vector>

namespace multihome::replacement_test {

namespace {

using Kind = Conversation::Kind;
using Memory = test::TableMemory;
using Scene = test::TableScene;
constexpr Ticks start = 100'000;
constexpr unsigned ways = ConversationTable::ways;

} // namespace

// Of the table's suite.
TEST_SUITE_BEGIN("conversation_table");

TEST_CASE("a flood of questions does not push out settled conversations") {
    Scene scene;
    for (uint64_t number = 1; number <= 4; ++number)
        scene.settle(number, start);
    for (uint64_t stranger = 100; stranger < 1100; ++stranger)
        scene.hear(stranger, start + static_cast<Ticks>(stranger));
    CHECK(scene.count(1, 4) == 4);
    CHECK(scene.count(100, 1099) == 4);
    CHECK(scene.count(1096, 1099) == 4); // the latest
}

TEST_CASE("nor does a flood of what the program sends") {
    Scene scene;
    for (uint64_t number = 1; number <= 4; ++number)
        scene.settle(number, start);
    for (uint64_t stranger = 100; stranger < 300; ++stranger)
        scene.speak(stranger, start + static_cast<Ticks>(stranger));
    CHECK(scene.count(1, 4) == 4);
    CHECK(scene.count(296, 299) == 4);
}

TEST_CASE("fewer than four questions are left in peace as long as there are settled ones that nobody uses") {
    Scene scene;
    for (uint64_t number = 1; number <= 5; ++number)
        scene.settle(number, start);
    for (uint64_t stranger = 100; stranger < 103; ++stranger)
        scene.hear(stranger, start);
    scene.hear(103, start);
    CHECK(scene.count(1, 5) == 4);
    CHECK(scene.count(100, 103) == 4);
}

TEST_CASE("what has expired goes first") {
    const Lifetimes lifetimes{8, 400};
    Scene scene{1, lifetimes};
    SUBCASE("a question that nobody has answered, before an older that we spoke in") {
        scene.speak(1, start);
        scene.hear(2, start + 50);
        for (uint64_t number = 3; number <= ways; ++number)
            scene.hear(number, start + 100);
        scene.hear(9, start + 101);
        CHECK(scene.knows(1));
        CHECK_FALSE(scene.knows(2));
    }
    SUBCASE("even if it is the only question") {
        scene.hear(1, start);
        for (uint64_t number = 2; number <= ways; ++number)
            scene.settle(number, start);
        scene.hear(9, start + 9);
        CHECK_FALSE(scene.knows(1));
        CHECK(scene.count(2, ways) == ways - 1);
        CHECK(scene.knows(9));
    }
    SUBCASE("not while it counts") {
        scene.hear(1, start);
        for (uint64_t number = 2; number <= ways; ++number)
            scene.settle(number, start);
        scene.hear(9, start + 8);
        CHECK(scene.knows(1));
        CHECK(scene.count(2, ways) == ways - 2);
    }
}

TEST_CASE("of the questions the oldest goes") {
    Scene scene;
    for (uint64_t number = 1; number <= ways; ++number)
        scene.hear(number, start + static_cast<Ticks>(number * 5 % ways));
    for (uint64_t age = 0; age < 4; ++age) {
        scene.hear(100 + age, start + 20);
        unsigned gone = 0;
        for (uint64_t number = 1; number <= ways; ++number)
            if (number * 5 % ways <= age) {
                CHECK_FALSE(scene.knows(number));
                ++gone;
            }
        CHECK(gone == age + 1);
        CHECK(scene.count(1, ways) == ways - 1 - age);
    }
}

TEST_CASE("of the settled ones, one goes that has not been heard since replacement came by") {
    Scene scene;
    for (uint64_t number = 1; number <= ways; ++number)
        scene.settle(number, start);
    scene.hear(100, start); // comes by, and takes one
    REQUIRE(scene.count(1, ways) == ways - 1);
    scene.table.forget(Memory::hash(0, 100));
    scene.settle(101, start); // takes the free place
    REQUIRE(scene.count(1, ways) == ways - 1);
    // All but one are heard again: that one goes.
    uint64_t silent = 0;
    for (uint64_t number = 1; number <= ways; ++number) {
        if (!scene.knows(number))
            continue;
        CHECK_FALSE(scene.state(number).is_used());
        if (silent == 0 && number > 4)
            silent = number;
        else
            scene.hear(number, start);
    }
    scene.hear(102, start);
    CHECK_FALSE(scene.knows(silent));
    CHECK(scene.count(1, ways) == ways - 2);
    CHECK(scene.knows(101));
}

TEST_CASE("a settled conversation that is used stays while new ones settle and fall silent") {
    Scene scene;
    scene.settle(1, start);
    for (uint64_t number = 100; number < 400; ++number) {
        scene.settle(number, start + static_cast<Ticks>(number));
        // Where all have been heard lately the choice is none, which is once at the start.
        if (number > 110)
            REQUIRE(scene.state(1).kind() == Kind::known);
        scene.settle(1, start + static_cast<Ticks>(number));
    }
    CHECK(scene.state(1).kind() == Kind::known);
    CHECK(scene.count(100, 399) == ways - 1);
}

TEST_CASE("a table is crowded where a question goes that had hardly been asked") {
    Scene scene;
    for (uint64_t number = 1; number <= ways; ++number)
        CHECK_FALSE(scene.hear(number, start).is_crowded);
    SUBCASE("within a second") {
        CHECK(scene.hear(100, start + ticks_a_second).is_crowded);
        CHECK(scene.hear(101, start + ticks_a_second).is_crowded);
    }
    SUBCASE("not later") {
        CHECK_FALSE(scene.hear(100, start + ticks_a_second + 1).is_crowded);
    }
    SUBCASE("not if they have been answered") {
        for (uint64_t number = 1; number <= ways; ++number)
            scene.answer(number);
        CHECK_FALSE(scene.hear(100, start).is_crowded);
    }
}

TEST_CASE("entries that name an address which has lost its number match nothing") {
    Scene scene;
    LocalAddresses& locals = scene.memory.locals();
    const LocalIndex home = scene.memory.local_of(1, false);
    const Local address = locals.at(home);
    scene.settle(1, start);
    scene.hear(2, start);
    scene.hear(2, start, true);
    scene.settle(3, start);
    scene.hear(3, start, true); // moving
    REQUIRE(scene.count(1, 3) == 3);
    // A flood of other addresses takes all numbers.
    for (uint32_t number = 1000; number < 200'000; ++number)
        locals.index_of(test::local_address(number));
    REQUIRE(locals.at(home) != address);
    CHECK(scene.count(1, 3) == 0);
    // And they are no burden to whoever comes then.
    for (uint64_t number = 10; number < 10 + ways; ++number)
        scene.settle(number, start + 1);
    CHECK(scene.count(10, 9 + ways) >= ways - 2);
}

TEST_CASE("a table that is full of peers finds nearly all that it has room for") {
    const Memory memory{6};
    ConversationTable table = memory.table();
    test::Random random{1};
    // As many as the size is chosen for: four a bucket.
    std::vector<uint64_t> hashes(256);
    for (uint64_t& hash : hashes)
        hash = random.next();
    for (const uint64_t hash : hashes) {
        const LocalIndex at = memory.local_of(hash >> 40, false);
        table.hear(hash, at, start, table.find(hash));
        table.answer(at, table.find(hash));
        table.hear(hash, at, start, table.find(hash));
    }
    unsigned found = 0;
    for (const uint64_t hash : hashes)
        if (const ConversationTable::Entry entry = table.find(hash))
            found += entry.state() == Conversation::known(memory.local_of(hash >> 40, false), start) ? 1 : 0;
    // Poisson: of a mean of four a bucket, 0.9 % are beyond the eighth.
    CHECK(found > 240);
}

TEST_SUITE_END();

} // namespace multihome::replacement_test
