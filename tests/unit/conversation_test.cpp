// SPDX-License-Identifier: MIT
//
// The states of a conversation: each event in each state.

#include "shim/peers/conversation.hpp"

#include "random.hpp"
#include "story.hpp"

#include <initializer_list>

namespace multihome::conversation_test {

TEST_SUITE_BEGIN("conversation");

TEST_CASE("each event in each state") {
    Story nothing;
    CHECK_FALSE(static_cast<bool>(nothing.state()));
    CHECK(nothing.state() == nothing.answer(x).state());

    SUBCASE("heard") {
        CHECK(is(asked(x), Kind::question, x));
        CHECK(is(asked(x).hear(x), Kind::question, x));
        CHECK(is(asked(x).hear(y), Kind::question, y));
        CHECK(is(asked(x).answer(x).hear(x), Kind::known, x));
        CHECK(is(asked(x).answer(x).hear(y), Kind::question, y));
        CHECK(is(contested(x, y), Kind::moving, x, y));
        CHECK(contested(x, y).state().is_contested());
        CHECK_FALSE(moving(x, y).state().is_contested());
        CHECK(is(contested(x, y).hear(z), Kind::moving, x, z));
        CHECK(contested(x, y).hear(z).state().is_contested());
        CHECK(is(contested(x, y).hear(x), Kind::known, x));
        CHECK(is(contested(x, y).hear(y), Kind::moving, x, y));
        CHECK(is(contested(x, y).answer(y).hear(y), Kind::known, y));
        CHECK(is(spoken_first().hear(x), Kind::spoke_first, local_by_route));
        CHECK(is(known(x).hear(x), Kind::known, x));
        CHECK(is(known(x).hear(y), Kind::moving, x, y));
        CHECK(is(moving(x, y).hear(y), Kind::moving, x, y));
        CHECK(is(moving(x, y).hear(z), Kind::moving, x, z));
        CHECK(is(moving(x, y).hear(x), Kind::known, x));
        CHECK(is(moving(x, y).answer(y).hear(y), Kind::known, y));
        CHECK(is(moving(x, y).answer(y).hear(z), Kind::moving, x, z));
        CHECK(is(moving(x, y).answer(y).hear(x), Kind::known, x));
    }
    SUBCASE("answered") {
        CHECK(asked(x).answer(x).state().is_answered());
        CHECK_FALSE(asked(x).answer(y).state().is_answered());
        CHECK(is(asked(x).answer(x), Kind::question, x));
        CHECK(known(x).answer(x).state() == known(x).state());
        CHECK(known(x).answer(y).state() == known(x).state());
        CHECK(moving(x, y).answer(y).state().is_answered());
        CHECK_FALSE(moving(x, y).answer(x).state().is_answered());
        CHECK_FALSE(moving(x, y).answer(z).state().is_answered());
        CHECK(is(moving(x, y).answer(y), Kind::moving, x, y));
        CHECK(spoken_first().answer(x).state() == spoken_first().state());
    }
    SUBCASE("spoken") {
        for (const bool late : {false, true}) {
            CAPTURE(late);
            Story story;
            CHECK(story.speak(late) == local_by_route);
            CHECK(is(story, Kind::spoke_first, local_by_route));
            CHECK(story.speak(late) == local_by_route);
            story = asked(x);
            CHECK(story.speak(late) == x);
            CHECK(is(story, Kind::question, x));
            CHECK(story.state().is_answered());
            story = known(x);
            CHECK(story.speak(late) == x);
            CHECK(is(story, Kind::known, x));
        }
        Story story = moving(x, y);
        CHECK(story.speak(false) == x); // the program's own
        CHECK_FALSE(story.state().is_answered());
        CHECK(story.speak(true) == y); // the answer
        CHECK(story.state().is_answered());
        CHECK(story.speak(true) == x); // there is one answer
        story.hear(y);
        CHECK(is(story, Kind::known, y));
    }
}

TEST_CASE("what was heard at no address changes nothing of what counts") {
    const auto heard_nowhere = [](Story story) { return story.hear(local_by_route).state(); };
    for (const Story& story : {asked(x), asked(x).answer(x), moving(x, y), contested(x, y), known(x)})
        CHECK(heard_nowhere(story) == story.state());
    const Conversation nothing = Conversation::question(local_by_route, start);
    CHECK(heard_nowhere(Story{}) == nothing);
    const Story old = asked(x).wait(lifetimes.question + 1);
    CHECK(heard_nowhere(old) == Conversation::question(local_by_route, old.now()));
    CHECK(heard_nowhere(spoken_first()).kind() == Kind::spoke_first);
    // Whom we spoke to first long ago gets one answer where it asks then, and is asked by route.
    Story silent = spoken_first().wait(481).hear(local_by_route);
    CHECK(silent.state().has_lost_its_address());
    CHECK(silent.speak(false) == local_by_route);
    silent.hear(x);
    CHECK(silent.speak(false) == x);
    CHECK(silent.speak(false) == local_by_route);
    CHECK(is(Story{}.hear(local_by_route).hear(x), Kind::question, x));
}

TEST_CASE("a late answer is told from what a program sends anyway") {
    const auto is_late = [](Story story) {
        return story.state().spoken(story.now(), lifetimes, true).is_late_answer;
    };
    CHECK(is_late(asked(x)));
    CHECK_FALSE(is_late(asked(x).answer(x)));
    CHECK_FALSE(is_late(asked(x).wait(lifetimes.question + 1)));
    CHECK_FALSE(is_late(known(x)));
    CHECK_FALSE(is_late(moving(x, y)));
    CHECK_FALSE(is_late(spoken_first()));
    CHECK_FALSE(is_late(Story{}));
}

TEST_CASE("who has asked waits until something is sent, or the question has run out") {
    const auto waits = [](Story story) { return story.state().waits(story.now(), lifetimes); };
    for (const Story& story : {asked(x), moving(x, y), contested(x, y)}) {
        CHECK(waits(story));
        CHECK_FALSE(waits(Story{story}.answer(story.state().asked_last())));
        CHECK_FALSE(waits(Story{story}.wait(2 * lifetimes.question)));
    }
    CHECK_FALSE(waits(known(x)));
    // The time of what we spoke lies where others have flags.
    for (Ticks later = 0; later < 8192; later += ticks_a_second) {
        Story story{lifetimes, start + later};
        CHECK_FALSE(waits(story)); // nothing is known
        story.speak();
        CHECK_FALSE(waits(story));
    }
}

TEST_CASE("an unanswered question counts for its time and no longer") {
    for (const Ticks question : {Ticks{1}, Ticks{4}, Ticks{8}, Ticks{120}, Ticks{4000}}) {
        CAPTURE(question);
        const Lifetimes times{question, 480};
        Story story{times};
        story.hear(x).wait(question);
        CHECK(story.is_alive());
        CHECK(Story{story}.speak() == x);
        story.wait(1);
        CHECK_FALSE(story.is_alive());
        // Then the program goes on to speak, and whoever comes back there has asked twice.
        CHECK(story.speak() == local_by_route);
        CHECK(story.state() == Conversation::lapsed(x, story.now()));
        CHECK(story.speak() == local_by_route);
        CHECK(Story{story}.hear(x).state() == Conversation::known(x, story.now()));
        // As long as anybody speaks.
        story.wait(484);
        CHECK(is(Story{story}.hear(y), Kind::moving, local_by_route, y));
        CHECK(is(story.hear(x), Kind::question, x));
    }
}

TEST_CASE("a peer whose question has lapsed is at home nowhere when it asks elsewhere") {
    Story story = asked(x).wait(lifetimes.question + 1);
    story.speak();
    REQUIRE(story.state() == Conversation::lapsed(x, story.now()));
    story.hear(y);
    CHECK(is(story, Kind::moving, local_by_route, y));
    CHECK(story.state().asked_last() == y);
    CHECK_FALSE(story.state().is_settled());
    SUBCASE("so anybody's question is answered where it was asked, whoever answers, and moves nobody") {
        for (unsigned time = 0; time < 3; ++time) {
            story.hear(y);
            CHECK(is(story, Kind::moving, local_by_route, y));
        }
        CHECK(Story{story}.wait(2 * lifetimes.question).speak(true) == local_by_route);
        for (const bool late : {false, true}) {
            Story answered = story;
            CHECK(answered.speak(late) == y);
            CHECK(answered.speak(late) == local_by_route);
            CHECK(answered.hear(y).kind() == Kind::known);
        }
        story.answer(y);
        CHECK(story.speak(false) == local_by_route);
        CHECK(story.speak(true) == local_by_route);
        story.hear(x);
        CHECK(story.state().asked_last() == x);
        CHECK(story.answer(x).hear(x).state().kind() == Kind::known);
    }
    SUBCASE("and who asks there again, once answered, is known there") {
        story.answer(y).hear(y);
        CHECK(is(story, Kind::known, y));
    }
}

TEST_CASE("a question that is heard once more begins its time anew") {
    Story story = asked(x);
    story.wait(lifetimes.question).hear(x).wait(lifetimes.question);
    CHECK(story.is_alive());
    CHECK_FALSE(story.wait(1).is_alive());
    // One whose time has run out is no answer's question.
    story = asked(x).wait(lifetimes.question + 1).hear(x);
    CHECK(is(story, Kind::question, x));
    CHECK_FALSE(story.state().is_answered());
}

TEST_CASE("a question that was answered is believed for good") {
    Story story = asked(x).answer(x).wait(lifetimes.question + 1);
    CHECK(story.is_alive());
    CHECK(story.speak() == x);
    CHECK(is(story.wait(10'000).hear(x), Kind::known, x));
}

TEST_CASE("a question answered once and followed by many sends is not believed after its time") {
    Story story = asked(x).answer(x);
    CHECK(story.speak() == x);
    CHECK(story.wait(lifetimes.question + 1).is_alive()); // two datagrams
    CHECK(story.speak() == x);
    CHECK_FALSE(story.is_alive()); // three: the program goes on without hearing from the peer
    CHECK(story.speak() == local_by_route);
    CHECK(story.kind() == Kind::spoke_first);

    // Within its time every one of them leaves from there.
    story = asked(x).answer(x);
    for (unsigned sends = 0; sends < 1000; ++sends)
        REQUIRE(story.speak() == x);
    CHECK(is(Story{story}.hear(x), Kind::known, x));
    // Also to answer it is no more than to send.
    CHECK_FALSE(asked(x).answer(x).answer(x).answer(x).answer(x).wait(lifetimes.question + 1).is_alive());
    // And when it is heard after that, that is a first question.
    story.wait(lifetimes.question + 1).hear(x);
    CHECK(is(story, Kind::question, x));
    CHECK_FALSE(story.state().is_answered());
}

TEST_CASE("we spoke first, as long as we go on speaking or are spoken to") {
    Story story = spoken_first();
    for (unsigned round = 0; round < 5; ++round) {
        story.wait(lifetimes.spoke_first);
        CHECK(story.speak() == local_by_route);
        story.wait(lifetimes.spoke_first);
        CHECK(is(story.hear(x), Kind::spoke_first, local_by_route));
        CHECK(story.speak() == local_by_route);
    }
    SUBCASE("after 120 s of silence whoever is heard has asked") {
        story.wait(lifetimes.spoke_first);
        CHECK(story.is_alive());
        CHECK_FALSE(story.wait(1).is_alive());
        story.hear(x);
        for (const bool by_reader : {true, false}) {
            Story answered = story;
            if (by_reader)
                answered.answer(x);
            else
                CHECK(answered.speak() == x);
            CHECK(is(answered.hear(x), Kind::known, x));
        }
    }
    SUBCASE("and what a stranger sends in the meantime has one datagram leave from elsewhere") {
        story.wait(lifetimes.spoke_first + 1).hear(x);
        CHECK(story.speak() == x);
        for (unsigned ask = 0; ask < 5; ++ask)
            CHECK(story.wait(1200).speak(ask % 2 != 0) == local_by_route);
        // Or none, if the program asks later than a question counts.
        story = spoken_first().wait(lifetimes.spoke_first + 1).hear(x).wait(2 * lifetimes.question);
        CHECK(story.speak() == local_by_route);
        // What is asked there answers at the address that the routing table chooses.
        for (unsigned ask = 0; ask < 3; ++ask) {
            story.hear(y);
            CHECK(story.wait(1200).speak() == local_by_route);
        }
        CHECK(is(story.hear(z).hear(y), Kind::moving, local_by_route, y));
    }
    SUBCASE("also after hours of it") {
        for (const Ticks seconds : {4096U, 4100U, 4200U, 8192U, 16384U, 40000U, 65000U})
            CHECK(Story{story}.wait(4 * seconds).hear(x).kind() == Kind::moving);
    }
    SUBCASE("the time can be shortened, and stretched") {
        for (const Ticks seconds : {1U, 3600U}) {
            Story other{Lifetimes{120, 4 * seconds}};
            CHECK(other.speak() == local_by_route);
            CHECK(other.wait(4 * seconds).hear(x).kind() == Kind::spoke_first);
            CHECK(other.wait(4 * seconds + 4).hear(x).kind() == Kind::moving);
        }
    }
}

TEST_CASE("a known peer stays known whatever time passes") {
    Story story = known(x).wait(1 << 20);
    CHECK(story.is_alive());
    CHECK(story.speak() == x);
    CHECK(is(story.hear(x), Kind::known, x));
}

TEST_CASE("it takes two questions and an answer between them to be known") {
    CHECK(asked(x).hear(x).hear(x).hear(x).kind() == Kind::question);
    CHECK(asked(x).answer(x).kind() == Kind::question);
    CHECK(asked(x).answer(y).hear(x).kind() == Kind::question);
    CHECK(contested(x, y).hear(y).kind() == Kind::moving);
    CHECK(known(x).kind() == Kind::known);
    Story story = asked(x);
    story.speak(); // whoever answers
    CHECK(is(story.hear(x), Kind::known, x));
}

TEST_CASE("no number of spoofed datagrams at other addresses moves what a known peer is sent") {
    test::Random random{1};
    for (unsigned round = 0; round < 100; ++round) {
        Story story = known(x);
        // A stranger who hears no answers cannot place a datagram behind the answer to one of its own but by
        // chance: here it never is.
        for (unsigned step = 0; step < 50; ++step) {
            story.hear(static_cast<LocalIndex>(10 + random.below(1000)));
            story.wait(static_cast<Ticks>(random.below(200)));
            REQUIRE(story.speak(false) == x);
            REQUIRE(story.state().first_index() == x);
        }
        CHECK(is(story.hear(x), Kind::known, x));
    }
}

TEST_CASE("one spoofed datagram gets its answer from where it asked, and changes nothing else") {
    Story story = known(x).hear(y);
    story.answer(y);
    for (unsigned push = 0; push < 100; ++push)
        REQUIRE(story.wait(1).speak(push % 2 != 0) == x);
    CHECK(is(story.hear(x), Kind::known, x));
}

TEST_CASE("whoever was answered once at each of two addresses may be a stranger at either") {
    Story story = contested(x, y);
    CHECK(story.speak() == x);
    CHECK(Story{story}.speak(true) == y); // the late answer
    story.answer(y);
    for (const bool late : {false, true}) {
        CHECK(story.speak(late) == local_by_route);
        CHECK(is(story, Kind::moving, x, y));
    }
    CHECK(is(Story{story}.hear(x), Kind::known, x));
    CHECK(is(Story{story}.hear(y), Kind::known, y));
    // A stranger's later datagrams do not make it known either.
    CHECK(story.hear(z).answer(z).hear(y).answer(y).speak() == local_by_route);
    // One that was not answered is no rival.
    CHECK(is(asked(x).hear(y), Kind::question, y));
    // Nor is one that the program has gone on to send to, for longer than its question counts.
    story = asked(x).answer(x).answer(x).answer(x).wait(lifetimes.question + 1);
    CHECK(is(story.hear(y), Kind::question, y));
    // Nor is there one where each question had its one answer.
    story = asked(x).answer(x).hear(y);
    CHECK(story.speak() == y);
    CHECK(is(story.hear(x), Kind::question, x));
}

TEST_CASE("two questions that are under way at once get two late answers") {
    for (const Story& once : {moving(x, y), contested(x, y)}) {
        const bool is_contested = once.state().is_contested();
        CAPTURE(is_contested);
        const LocalIndex else_from = is_contested ? local_by_route : x;
        Story story = Story{once}.hear(y);
        CHECK(story.state().asked_last() == y);
        SUBCASE("from whichever thread") {
            CHECK(Story{story}.answer(y).speak(true) == y);
            CHECK(Story{story}.answer(y).answer(y).speak(true) == else_from);
            CHECK(story.speak(true) == y);
            CHECK(is(Story{story}.hear(y), Kind::known, y));
            CHECK(is(Story{story}.hear(x), Kind::known, x));
            CHECK(Story{story}.answer(y).speak(true) == else_from);
            CHECK(story.speak(false) == else_from); // the program's own
            CHECK(story.speak(true) == y);
            CHECK(story.speak(true) == else_from);
            CHECK(is(story.hear(y), Kind::known, y));
        }
        SUBCASE("and not more, which a stranger would have for nothing") {
            story.hear(y).hear(y);
            CHECK(story.speak(true) == y);
            CHECK(story.speak(true) == y);
            CHECK(story.speak(true) == else_from);
        }
        SUBCASE("while their time has not run out") {
            Story late = Story{once}.wait(2 * lifetimes.question).hear(y); // the first has
            CHECK(late.speak(true) == y);
            CHECK(late.speak(true) == else_from);
            CHECK(story.speak(true) == y);
            CHECK(story.wait(2 * lifetimes.question).speak(true) == else_from);
            // Four lives later it would count again.
            CHECK(story.wait(2 * lifetimes.question).speak(true) == else_from);
        }
        SUBCASE("at the address that was asked last") {
            story.hear(z);
            CHECK(story.speak(true) == z);
            CHECK(story.speak(true) == else_from);
        }
    }
    // What a program without late answers asks an upstream now and then goes astray once.
    Story story = spoken_first().wait(lifetimes.spoke_first + 1).hear(y).hear(y);
    CHECK(story.speak() == y);
    CHECK(story.speak() == local_by_route);
}

TEST_CASE("a moving peer's question counts for its time, give or take a half") {
    for (const Ticks question : {Ticks{4}, Ticks{120}, Ticks{4000}})
        for (const Ticks offset : {Ticks{0}, Ticks{1}, question / 3, question - 1}) {
            CAPTURE(question);
            CAPTURE(offset);
            Story story{Lifetimes{question, 480}, 8 * question + offset};
            story.hear(x).answer(x).hear(x).hear(y);
            CHECK(Story{story}.wait(question).speak(true) == y);
            CHECK(Story{story}.wait(question + question / 2).speak(true) == x);
            CHECK(Story{story}.wait(2 * question).speak(true) == x);
            CHECK_FALSE(Story{story}.wait(3 * question).is_alive());
        }
}

TEST_CASE("a moving peer's question that has run out is over, once something is sent") {
    Story story = moving(x, y).wait(2 * lifetimes.question);
    CHECK(story.speak(true) == x);
    CHECK(is(story, Kind::known, x));
    // Four lives later it would count again.
    CHECK(story.wait(2 * lifetimes.question).speak(true) == x);
    // One that was answered has moved so far.
    story = moving(x, y).answer(y).wait(2 * lifetimes.question);
    CHECK(story.speak(true) == x);
    CHECK(is(story.hear(y), Kind::known, y));
}

TEST_CASE("a question that is called run out is not alive, however short a time the host has been up") {
    for (const Ticks seconds : {1U, 3U, 10U, 30U, 1800U}) {
        const Lifetimes times{seconds * ticks_a_second, seconds * ticks_a_second};
        for (Ticks now = times.question + 1; now < 3 * times.question; ++now) {
            const Story story = Story{times, now - times.question - 1}.hear(x).answer(x).hear(x).hear(y);
            CAPTURE(now);
            REQUIRE_FALSE(story.state().run_out(now, times).is_alive(now, times));
        }
    }
}

TEST_CASE("a moving peer that is heard again at the same address begins its time anew") {
    Story story = moving(x, y);
    story.wait(lifetimes.question).hear(y).wait(lifetimes.question);
    CHECK(story.speak(true) == y);
}

TEST_SUITE_END();

} // namespace multihome::conversation_test
