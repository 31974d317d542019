// SPDX-License-Identifier: MIT
#include "shim/peers/conversation_table.hpp"

#include "table_scene.hpp"

#include <doctest/doctest.h>

namespace multihome::conversation_table_test {

namespace {

using Kind = Conversation::Kind;
using Memory = test::TableMemory;
using Scene = test::TableScene;
constexpr Ticks start = 100'000;

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
        const uint64_t mask = ConversationTable::bucket_mask_for(4) | ~Conversation::mask;
        const bool counts = (mask >> bit & 1) != 0;
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
    CHECK(scene.hear(1, start + 480 + 484).entry.state().kind() == Kind::moving);
}

TEST_CASE("nothing is stored where nothing changes") {
    Scene scene;
    scene.settle(1, start);
    const ConversationTable::Entry entry = scene.table.find(Memory::hash(0, 1));
    scene.hear(1, start + 1000);
    // What is not stored must not look like a change that can be taken back.
    CHECK(scene.table.answer(scene.memory.local_of(1, false), entry).held == entry.held);
    scene.speak(1, start + 2000);
    CHECK(entry.is_unchanged());
    scene.hear(1, start, true);
    CHECK_FALSE(entry.is_unchanged());
}

TEST_CASE("what was not sent leaves everything as it was") {
    Scene scene;
    const auto held = [&](uint64_t number) { return scene.table.find(Memory::hash(0, number)).held; };
    const auto try_to_speak = [&](uint64_t number) {
        const uint64_t hash = Memory::hash(0, number);
        const auto spoken = scene.table.speak(hash, start + ticks_a_second, scene.table.find(hash), true);
        CHECK(spoken.change.word != nullptr);
        spoken.change.take_back();
    };
    scene.hear(1, start);
    scene.settle(2, start);
    scene.hear(2, start, true);
    scene.speak(3, start);
    for (const uint64_t number : {1U, 2U, 3U, 4U}) {
        CAPTURE(number);
        const uint64_t before = held(number);
        try_to_speak(number);
        CHECK(held(number) == before);
    }
    // What has changed meanwhile stays.
    const auto spoken = scene.table.speak(Memory::hash(0, 5), start, {}, true);
    scene.hear(5, start + ticks_a_second);
    const uint64_t after = held(5);
    spoken.change.take_back();
    ConversationTable::Change{}.take_back();
    CHECK(held(5) == after);
}

TEST_CASE("what was not sent pushes out nobody") {
    Scene scene;
    for (uint64_t number = 1; number <= ConversationTable::ways; ++number)
        scene.settle(number, start);
    const uint64_t hash = Memory::hash(0, 20);
    scene.table.speak(hash, start, {}, true).change.take_back();
    CHECK(scene.count(1, ConversationTable::ways) == ConversationTable::ways);
    CHECK_FALSE(scene.knows(20));
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
    // What was asked at y had run out.
    scene.settle(1, start - 200);
    scene.hear(1, start - 200, true);
    CHECK(lose(x) == Conversation::question(local_by_route, start));
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

TEST_CASE("a conversation whose address loses its slot meanwhile is nobody's") {
    Scene scene;
    LocalAddresses& locals = scene.memory.locals();
    const LocalIndex x = scene.memory.local_of(1, false);
    scene.hear(1, start);
    const ConversationTable::Entry entry = scene.table.find(Memory::hash(0, 1));
    const uint64_t salt = locals.salt(x);
    for (uint32_t number = 1000; locals.salt(x) == salt && number < 1'000'000; ++number)
        locals.index_of(test::local_address(number));
    REQUIRE(locals.salt(x) != salt);
    SUBCASE("answered") {
        CHECK(scene.table.answer(x, entry).state().is_answered());
    }
    SUBCASE("run out") {
        CHECK(scene.table.run_out(start, entry).held != entry.held);
    }
    SUBCASE("spoken to") {
        CHECK(scene.table.speak(Memory::hash(0, 1), start + 1000, entry, false).change.word != nullptr);
    }
    CHECK_FALSE(scene.knows(1));
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
        CHECK(scene.table.answer(x, before).state() == before.state());
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
        CHECK(scene.table.answer(x, before).held == before.held);
    }
}

TEST_SUITE_END();

} // namespace multihome::conversation_table_test
