// SPDX-License-Identifier: MIT
#include "shim/peers/conversation_table.hpp"

#include "random.hpp"
#include "table_memory.hpp"

#include <doctest/doctest.h>
#include <vector>

namespace multihome::conversation_table_test {

namespace {

using Kind = Conversation::Kind;
using Memory = test::TableMemory;
constexpr Ticks start = 100'000;
constexpr unsigned ways = ConversationTable::ways;

// What the packet path does, with one bucket after the other full of what the tests want.
class Scene {
public:
    explicit Scene(unsigned bucket_bits = 1, const Lifetimes& lifetimes = {})
        : memory(bucket_bits, lifetimes), table(memory.table()) {}

    ConversationTable::Heard hear(uint64_t number, Ticks now, bool second = false) {
        const uint64_t hash = Memory::hash(0, number);
        return table.hear(hash, memory.local_of(number, second), now, table.find(hash));
    }
    void answer(uint64_t number, bool second = false) {
        const uint64_t hash = Memory::hash(0, number);
        table.answer(hash, memory.local_of(number, second), table.find(hash));
    }
    LocalIndex speak(uint64_t number, Ticks now, bool late = false) {
        const uint64_t hash = Memory::hash(0, number);
        return table.speak(hash, now, table.find(hash), late).from;
    }
    // Makes it a known peer.
    void settle(uint64_t number, Ticks now) {
        hear(number, now);
        answer(number);
        hear(number, now);
    }
    Conversation state(uint64_t number) const { return table.find(Memory::hash(0, number)).state(); }
    bool knows(uint64_t number) const { return static_cast<bool>(state(number)); }
    // How many of the numbers from `first` to `last` are there.
    unsigned count(uint64_t first, uint64_t last) const {
        unsigned found = 0;
        for (uint64_t number = first; number <= last; ++number)
            found += knows(number) ? 1 : 0;
        return found;
    }

    Memory memory;
    ConversationTable table;
};

} // namespace

TEST_SUITE_BEGIN("conversation_table");

TEST_CASE("a bucket is a cache line, and a peer takes 16 bytes at the default size") {
    CHECK(sizeof(ConversationTable::Bucket) == 64);
    CHECK(alignof(ConversationTable::Bucket) == 64);
    for (const size_t peers : {16U, 1000U, 65536U, 100'000U, 262'144U, 1'000'000U}) {
        CAPTURE(peers);
        const size_t bytes = sizeof(ConversationTable::Bucket) << ConversationTable::bucket_bits_for(peers);
        CHECK(bytes >= peers * 16);
        CHECK(bytes < peers * 32 + 256);
    }
    CHECK(ConversationTable::bucket_bits_for(262'144) == 16);
    CHECK(ConversationTable::bucket_bits_for(262'145) == 17);
    CHECK(ConversationTable::bucket_bits_for(~size_t{0}) == ConversationTable::maximum_bucket_bits);
    CHECK(ConversationTable::bucket_bits_for(0) == 1);
}

TEST_CASE("what was heard is found, under its own hash alone") {
    Scene scene{4};
    const uint64_t hash = Memory::hash(3, 0x5a5a5a5a5);
    const LocalIndex at = scene.memory.local_of(1, false);
    CHECK_FALSE(static_cast<bool>(scene.table.find(hash)));
    const ConversationTable::Heard heard = scene.table.hear(hash, at, start, {});
    CHECK(heard.is_new);
    CHECK_FALSE(heard.is_crowded);
    CHECK(heard.entry.state() == Conversation::question(at, start));
    CHECK(scene.table.find(hash).state() == Conversation::question(at, start));
    CHECK(scene.table.find(hash).word == heard.entry.word);
    // The bits of the bucket and of the fingerprint: all others do not count.
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        const bool counts = bit < 4 || bit >= Conversation::bits;
        CHECK(static_cast<bool>(scene.table.find(hash ^ uint64_t{1} << bit)) != counts);
    }
    CHECK_FALSE(scene.table.hear(hash, at, start, scene.table.find(hash)).is_new);
}

TEST_CASE("a conversation goes through its states") {
    Scene scene;
    const LocalIndex x = scene.memory.local_of(1, false);
    const LocalIndex y = scene.memory.local_of(1, true);
    scene.hear(1, start);
    CHECK(scene.state(1).kind() == Kind::question);
    scene.answer(1, true); // from where it has not asked
    CHECK_FALSE(scene.state(1).is_answered());
    scene.answer(1);
    CHECK(scene.state(1).is_answered());
    scene.hear(1, start);
    CHECK(scene.state(1) == Conversation::known(x, start));
    scene.hear(1, start, true);
    CHECK(scene.state(1).kind() == Kind::moving);
    CHECK(scene.speak(1, start) == x);
    CHECK(scene.speak(1, start, true) == y);
    scene.hear(1, start, true);
    CHECK(scene.state(1) == Conversation::known(y, start));
    CHECK(scene.memory.count(Memory::hash(0, 1)) == 1);
}

TEST_CASE("who speaks first is found as such") {
    Scene scene;
    CHECK(scene.speak(1, start) == local_by_route);
    CHECK(scene.state(1).kind() == Kind::spoke_first);
    CHECK(scene.hear(1, start).entry.state().kind() == Kind::spoke_first);
    CHECK_FALSE(scene.hear(1, start).is_new);
    CHECK(scene.speak(1, start + 480) == local_by_route);
    CHECK(scene.hear(1, start + 480 + 481).entry.state().kind() == Kind::question);
}

TEST_CASE("nothing is stored where nothing changes") {
    Scene scene;
    scene.settle(1, start);
    const ConversationTable::Entry entry = scene.table.find(Memory::hash(0, 1));
    scene.hear(1, start + 1000);
    scene.answer(1);
    scene.speak(1, start + 2000);
    CHECK(entry.is_unchanged());
    scene.hear(1, start, true);
    CHECK_FALSE(entry.is_unchanged());
}

TEST_CASE("an address that is no source any more leaves what is known of the other") {
    Scene scene;
    const LocalIndex x = scene.memory.local_of(1, false);
    const LocalIndex y = scene.memory.local_of(1, true);
    const auto lose = [&](LocalIndex lost) {
        scene.table.forget_addresses(Memory::hash(0, 1), start, [=](LocalIndex at) { return at == lost; });
        return scene.state(1);
    };
    scene.settle(1, start);
    scene.hear(1, start, true);
    CHECK(lose(y) == Conversation::known(x, start));
    scene.hear(1, start, true);
    CHECK(lose(x) == Conversation::question(y, start));
    scene.settle(1, start);
    scene.hear(1, start, true);
    scene.answer(1, true);
    CHECK(lose(x) == Conversation::question(y, start).answered(y));
    // At x, from where it got more than one answer, and then at y: contested.
    scene.table.forget(Memory::hash(0, 1));
    scene.hear(1, start);
    scene.answer(1);
    scene.answer(1);
    scene.hear(1, start, true);
    CHECK(scene.state(1).is_contested());
    CHECK(lose(y) == Conversation::question(x, start).answered(x));
}

TEST_CASE("a peer whose only address is no source any more has asked all the same") {
    Scene scene;
    scene.settle(1, start);
    scene.settle(2, start);
    const auto lose_all = [&](uint64_t number) {
        scene.table.forget_addresses(Memory::hash(0, number), start, [](LocalIndex) { return true; });
    };
    lose_all(1);
    CHECK(scene.state(1) == Conversation::question(local_by_route, start));
    CHECK(scene.state(2).kind() == Kind::known);
    // What it is sent leaves by route, now and later, and is no first word.
    for (const Ticks later : {0U, 1000U, 2000U, 3000U})
        CHECK(scene.speak(1, start + later) == local_by_route);
    const ConversationTable::Heard heard = scene.hear(1, start + 3001);
    CHECK_FALSE(heard.is_new);
    CHECK(heard.entry.state() == Conversation::question(scene.memory.local_of(1, false), start + 3001));
    // A first word stays one, and nothing begins.
    scene.speak(3, start);
    lose_all(3);
    CHECK(scene.state(3).kind() == Kind::spoke_first);
    lose_all(4);
    CHECK_FALSE(scene.knows(4));
}

TEST_CASE("what is forgotten is gone, its neighbours are not") {
    Scene scene;
    scene.settle(1, start);
    scene.settle(2, start);
    scene.table.forget(Memory::hash(0, 1));
    CHECK_FALSE(scene.knows(1));
    CHECK(scene.knows(2));
    CHECK(scene.hear(1, start).is_new);
}

TEST_CASE("a lost race is an event on top of the one that won") {
    Scene scene;
    const uint64_t hash = Memory::hash(0, 1);
    const LocalIndex x = scene.memory.local_of(1, false);
    SUBCASE("heard by two at the same time") {
        const ConversationTable::Entry nothing = scene.table.find(hash);
        scene.hear(1, start);
        CHECK(scene.table.hear(hash, x, start, nothing).entry.state().kind() == Kind::question);
        CHECK(scene.memory.count(hash) == 1);
    }
    SUBCASE("answered, and heard in between") {
        scene.hear(1, start);
        const ConversationTable::Entry before = scene.table.find(hash);
        scene.hear(1, start + 8);
        CHECK(scene.table.answer(hash, x, before).state() == before.state());
        CHECK_FALSE(scene.state(1).is_answered()); // that question is another one
    }
    SUBCASE("heard, and answered in between") {
        scene.hear(1, start);
        const ConversationTable::Entry before = scene.table.find(hash);
        scene.answer(1);
        CHECK(scene.table.hear(hash, x, start + 1, before).entry.state().kind() == Kind::known);
    }
    SUBCASE("heard, and forgotten in between") {
        scene.settle(1, start);
        const ConversationTable::Entry before = scene.table.find(hash);
        scene.table.forget(hash);
        const ConversationTable::Heard heard =
            scene.table.hear(hash, scene.memory.local_of(1, true), start, before);
        CHECK(heard.is_new);
        CHECK(heard.entry.state().kind() == Kind::question);
    }
    SUBCASE("heard, and its place taken by another one in between") {
        scene.hear(1, start);
        const ConversationTable::Entry before = scene.table.find(hash);
        scene.table.forget(hash);
        scene.hear(2, start);
        CHECK(scene.table.find(Memory::hash(0, 2)).word == before.word);
        scene.table.hear(hash, x, start + 1, before);
        CHECK(scene.knows(1));
        CHECK(scene.knows(2));
        CHECK(scene.table.answer(hash, x, before).held == before.held);
    }
}

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
        locals.intern(test::local_address(number));
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
        table.answer(hash, at, table.find(hash));
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

} // namespace multihome::conversation_table_test
