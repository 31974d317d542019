// SPDX-License-Identifier: MIT
//
// Whose turn it is: other threads, signal handlers, forked children.

#include "shim/peers/clock.hpp"
#include "shim/peers/peers.hpp"

#include "child.hpp"
#include "turns.hpp"

#include <array>
#include <csignal>
#include <doctest/doctest.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::turns_test {

namespace {

using test::answer;
using test::answer_by;
using test::is_by_route;
using test::local;
using test::receive;
using test::receive_by;
using test::Scene;
using test::server;
using test::settle;
using test::State;
using test::Worker;

} // namespace

TEST_SUITE_BEGIN("peers");

TEST_CASE("another thread answers from where the peer asked last") {
    const State state;
    Worker a;
    Worker b;
    receive_by(a, 1, 2);
    CHECK(answer_by(b, 1) == local(2));
    receive_by(a, 1, 3);
    CHECK(answer_by(b, 1) == local(3));
}

TEST_CASE("what a thread has answered by the quick look is no question to it any more") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] {
        settle(1, 2);
        CHECK(receive(1, 2) == test::Way::again);
        CHECK(answer(1) == local(2));
    });
    // The peer moves, and b answers it at once.
    b.tell([] { settle(1, 3); });
    CHECK(answer_by(a, 1) == local(3));
}

TEST_CASE("each thread answers what it has read, though the same peer asks another address through another "
          "thread") {
    const State state;
    Worker a;
    Worker b;
    for (unsigned round = 0; round < 3; ++round) {
        receive_by(a, 1, 2);
        receive_by(b, 1, 3);
        CHECK(answer_by(a, 1) == local(2));
        CHECK(answer_by(b, 1) == local(3));
    }
}

// The age of a question wraps after minutes.
TEST_CASE("a question that has run out stays so, however much time goes by") {
    const State state;
    Worker reader;
    Worker other;
    // The program answers in another thread than it reads in.
    receive_by(reader, 1, 2);
    CHECK(answer_by(other, 1) == local(2));
    unsigned peer = 1;
    for (const long seconds : {50L, 100L, 120L, 125L, 140L, 245L, 365L, 4'100L, 8'200L})
        for (Worker* const sender : {&other, &reader}) {
            CAPTURE(seconds);
            ++peer;
            reader.tell([&] { settle(peer, 2); });
            receive_by(reader, peer, 3); // nobody answers
            test::pass_time(seconds * 1000);
            CHECK(answer_by(*sender, peer) == local(2));
            // Nor does one that the peer has never come back to.
            ++peer;
            receive_by(reader, peer, 3);
            test::pass_time(seconds * 1000);
            CHECK(is_by_route(answer_by(*sender, peer)));
        }
}

TEST_CASE("a thread that answers what others have read does not think of what it once read itself") {
    const State state;
    Worker a;
    Worker b;
    Worker c;
    receive_by(a, 1, 2);
    receive_by(b, 9, 2);                // both read
    CHECK(answer_by(b, 1) == local(2)); // the program hands requests to other threads
    receive_by(c, 1, 3);
    CHECK(answer_by(a, 1) == local(3));
    receive_by(b, 1, 4);
    CHECK(answer_by(c, 1) == local(4));
    CHECK(answer_by(a, 1) == local(4));
}

// Both read, and one of them answers for the other: from now on, this program hands requests to other
// threads.
void hand_over_a_request(Worker& reader, Worker& answering) {
    receive_by(reader, 9, 2);
    receive_by(answering, 8, 2);
    CHECK(answer_by(answering, 9) == local(2));
}

TEST_CASE("a thread that reads on does not answer once more what others have answered meanwhile") {
    enum Reader : bool { other, answering };
    struct Question {
        Reader reader;
        unsigned at;
    };
    // Of a peer that is known at address 2. The last one is answered by the thread that answers.
    const std::initializer_list<Question> histories[] = {
        {{answering, 3}, {answering, 4}, {other, 4}},             // asks on after an answer elsewhere
        {{answering, 4}, {other, 2}, {answering, 2}, {other, 2}}, // is back at home
        {{answering, 2}, {answering, 3}, {other, 3}},             // has a new home
        {{answering, 3}, {other, 3}, {answering, 4}, {other, 4}}, // has had one in between
    };
    for (const auto& history : histories) {
        const State state;
        Worker a;
        Worker b;
        Worker c;
        hand_over_a_request(b, a);
        c.tell([] { settle(1, 2); });
        const Question* const last = history.end() - 1;
        for (const Question& question : history) {
            receive_by(question.reader == answering ? b : a, 1, question.at);
            if (&question != last)
                CHECK(answer_by(c, 1) == local(question.at));
        }
        b.tell([] { test::drain(); });
        CHECK(answer_by(b, 1) == local(last->at));
    }
}

TEST_CASE("a thread that has read several questions of a peer answers them in order, though others may") {
    const State state;
    Worker a;
    Worker b;
    hand_over_a_request(b, a);
    a.tell([] { settle(1, 2); });
    const std::initializer_list<unsigned> runs[] = {{2, 3},    {3, 2},    {3, 4},
                                                    {3, 2, 4}, {3, 2, 2}, {2, 2, 3, 4}};
    for (const auto& run : runs) {
        for (const unsigned at : run)
            receive_by(b, 1, at);
        b.tell([] { test::drain(); });
        for (const unsigned at : run)
            CHECK(answer_by(b, 1) == local(at));
        a.tell([] { settle(1, 2); });
    }
}

TEST_CASE("the quick look gives no answer for another thread, which has heard the peer elsewhere") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] { settle(1, 2); });
    b.tell([] {
        receive(1, 2);
        CHECK(answer(1) == local(2));
    });
    receive_by(a, 9, 2);
    CHECK(answer_by(b, 9) == local(2)); // the program hands requests to other threads
    receive_by(a, 1, 3);
    CHECK(answer_by(b, 1) == local(3));
}

// Receives from so many peers, and answers none of them.
void receive_many(unsigned count) {
    for (unsigned number = 0; number < count; ++number)
        receive(100 + number % 100, 4);
}

// What was received before begins to be forgotten.
void serve_others() {
    for (const unsigned other : {5U, 6U}) {
        receive(other, 2);
        CHECK(answer(other) == local(2));
    }
}

bool child_answers(unsigned to, unsigned at) {
    const pid_t child = test::fork_clean();
    if (child == 0) {
        peers::forked();
        _exit(answer(to) == local(at) ? 0 : 1);
    }
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
}

TEST_CASE("a thread that receives more than it remembers answers what came last") {
    for (const unsigned before : {Run::capacity - 1, Run::capacity, 5 * Run::capacity + 7}) {
        CAPTURE(before);
        const Scene last([&] {
            settle(1, 2);
            receive_many(before);
            receive(1, 3); // moves
            CHECK(answer(1) == local(3));
        });
        // As a server that forks for each request, whose parent sends nothing.
        const Scene forking([&] {
            settle(1, 2);
            receive_many(before);
            for (const unsigned at : {3U, 2U, 4U}) {
                receive(1, at);
                receive_many(3);
                CHECK(child_answers(1, at));
            }
        });
        // What it does not remember the table knows.
        const Scene forgotten([&] {
            settle(1, 2);
            receive(1, 3);
            receive_many(before + 1);
            CHECK(answer(1) == local(3));
        });
    }
}

TEST_CASE("what it read one by one to the end it answers in order, as far as it remembers") {
    for (const unsigned count : {Run::capacity, Run::capacity + 1, 3 * Run::capacity}) {
        CAPTURE(count);
        const Scene drained([&] {
            receive(1, 2);
            receive(1, 3);
            receive_many(count - 2);
            test::drain();
            CHECK(answer(1) == local(2));
            CHECK(answer(1) == local(3));
        });
    }
}

TEST_CASE("strangers' datagrams that nobody answers do not steer what a thread sends on its own") {
    const Scene scene([] {
        settle(1, 2);
        for (unsigned time = 0; time < 5; ++time) {
            receive(1, 3);
            serve_others();
            CHECK(answer(1) == local(2));
        }
    });
}

// Forks a child that makes the step `first`, and `then` after the parent's step `meanwhile`. True where both
// of the child's steps are right.
template <typename First, typename Meanwhile, typename Then>
bool is_right_in_child(First first, Meanwhile meanwhile, Then then) {
    std::array<int, 2> told{};
    std::array<int, 2> heard{};
    REQUIRE(pipe(told.data()) == 0);
    REQUIRE(pipe(heard.data()) == 0);
    const pid_t child = test::fork_clean();
    char byte = 0;
    if (child == 0) {
        peers::forked();
        bool is_right = first();
        is_right = write(told[1], &byte, 1) == 1 && read(heard[0], &byte, 1) == 1 && is_right;
        is_right = then() && is_right;
        _exit(is_right ? 0 : 1);
    }
    // The child's ends: what waits for a child that has ended must not wait for ever.
    close(told[1]);
    close(heard[0]);
    CHECK(read(told[0], &byte, 1) == 1);
    meanwhile();
    CHECK(write(heard[1], &byte, 1) == 1);
    int status = -1;
    const bool is_right = waitpid(child, &status, 0) == child && status == 0;
    close(told[0]);
    close(heard[1]);
    return is_right;
}

TEST_CASE("strangers' datagrams that a parent hears do not steer what its child sends on its own") {
    const Scene scene([] {
        receive(1, 2);
        const auto sends_twice = [] { return answer(1) == local(2) && answer(1) == local(2); };
        CHECK(is_right_in_child(
            sends_twice, [] { receive(1, 3); }, sends_twice));
    });
}

TEST_CASE("a child answers what its parent hears later, though it remembers where the peer was known") {
    const Scene scene([] {
        settle(1, 2);
        receive(1, 2);
        CHECK(is_right_in_child([] { return answer(1) == local(2); }, [] { receive(1, 3); },
                                [] { return answer(1) == local(3); }));
    });
}

TEST_CASE("a child answers what its parent hears later, where the program is known to answer so") {
    const Scene scene([] {
        Worker other;
        receive(2, 2);
        CHECK(answer_by(other, 2) == local(2));
        receive(1, 2);
        const auto sends_twice = [] { return answer(1) == local(2) && answer(1) == local(2); };
        CHECK(is_right_in_child(
            sends_twice, [] { receive(1, 3); }, [] { return answer(1) == local(3); }));
    });
}

TEST_CASE("what a thread has looked at, and another one has taken off, is not what it receives later") {
    const State state;
    Worker a;
    Worker b;
    a.tell([] { test::peek(1, 2); });
    receive_by(b, 1, 2);
    receive_by(b, 1, 3);
    receive_by(a, 1, 2);
    Worker c;
    CHECK(answer_by(c, 1) == local(2));
}

TEST_CASE("a thread that goes on to send follows a peer that another one hears elsewhere") {
    const State state;
    Worker sender;
    Worker reader;
    // Known where it asked first.
    sender.tell([] {
        settle(1, 2);
        receive(1, 2);
        receive(2, 2);
        CHECK(answer(1) == local(2));
    });
    receive_by(reader, 1, 3);
    CHECK(answer_by(sender, 1) == local(2)); // it may be a stranger
    CHECK(answer_by(reader, 1) == local(3));
    receive_by(reader, 1, 3);
    CHECK(answer_by(reader, 1) == local(3));
    CHECK(answer_by(sender, 1) == local(3));
    // Answered once where it asked first.
    sender.tell([] {
        receive(4, 2);
        CHECK(answer(4) == local(2));
    });
    receive_by(reader, 4, 3);
    CHECK(answer_by(sender, 4) == local(3));
}

TEST_CASE("a batch that is more than a thread remembers is no late one") {
    const State state{1024}; // with room for all of them
    Worker worker;
    worker.tell([] {
        constexpr unsigned many = Run::capacity + 20;
        {
            peers::Turn turn;
            turn.begin_batch(true);
            for (unsigned number = 1; number <= many; ++number)
                test::hear(turn, server, test::Datagram{number, 2});
        }
        for (unsigned number = 1; number <= many; ++number)
            CHECK(answer(number) == local(2));
    });
    CHECK(state->answers_late.load() == 0);
}

TEST_CASE("a turn within a turn has the table alone") {
    const Scene first([] {
        const peers::Turn outer;
        // As a signal handler that has interrupted it.
        receive(1, 2);
        receive(1, 3);
        test::drain();
        CHECK(answer(1) == local(3)); // no order, but no fault either
        CHECK(is_by_route(answer(2)));
    });
    Scene([] {
        receive(1, 2);
        receive(1, 3);
        test::drain();
        {
            const peers::Turn outer;
            receive(2, 4);
            CHECK(answer(2) == local(4));
        }
        CHECK(answer(1) == local(2)); // the run is as it was
        CHECK(answer(1) == local(3));
        CHECK(answer(2) == local(4));
    });
}

TEST_CASE("what a signal handler answers at once is no sign of late answers") {
    const State state;
    Worker worker;
    worker.tell([] {
        const peers::Turn interrupted;
        receive(1, 2);
        CHECK(answer(1) == local(2));
    });
    CHECK(state->answers_late.load() == 0);
}

TEST_CASE("a signal handler in the middle of a turn leaves it whole") {
    static volatile sig_atomic_t handled = 0;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        receive(7, 5);
        answer(7);
        handled = handled + 1;
    };
    REQUIRE(sigaction(SIGUSR2, &action, &before) == 0);
    const Scene first([] {
        settle(1, 2);
        {
            peers::Turn turn;
            turn.begin_batch(true);
            for (const unsigned at : {2U, 3U, 4U}) {
                const test::Datagram datagram{1, at};
                turn.hear(server, datagram.message(), datagram.local_address());
                raise(SIGUSR2);
            }
        }
        for (const unsigned at : {2U, 3U, 4U})
            CHECK(answer(1) == local(at));
        CHECK(answer(7) == local(5));
    });
    REQUIRE(sigaction(SIGUSR2, &before, nullptr) == 0);
    CHECK(handled == 3);
}

#ifdef __x86_64__
// The peer's word, which changes behind each instruction of this thread's.
ConversationTable::Word* stepped_word = nullptr;
uint64_t stepped_hash = 0;
volatile sig_atomic_t is_stepping = 0;

void change_and_step(int, siginfo_t*, void* context) {
    constexpr greg_t trap_flag = 0x100;
    greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
    flags = is_stepping != 0 ? flags | trap_flag : flags & ~trap_flag;
    // Not the word that it was a short while ago.
    const auto at = static_cast<LocalIndex>(Conversation{stepped_word->load()}.first_index() % 200 + 1);
    stepped_word->store((stepped_hash & ~Conversation::mask) |
                        Conversation::question(at, peers::now()).word());
}
#endif

// In that suite, because a sanitizer's own code does not bear to be stepped through.
TEST_CASE("a thread that loses each race for the peer's entry answers what it has heard all the same" *
          doctest::test_suite("stopped_writer")) {
#ifdef __x86_64__
    struct sigaction action {};
    struct sigaction before {};
    action.sa_sigaction = change_and_step;
    action.sa_flags = SA_SIGINFO;
    REQUIRE(sigaction(SIGTRAP, &action, &before) == 0);
    const Scene scene([] {
        SharedState& state = *shared_state::get();
        receive(1, 2);
        stepped_hash = state.hash_of(test::peer(1), server.port());
        stepped_word = state.table().find(stepped_hash).word;
        is_stepping = 1;
        raise(SIGTRAP);
        receive(1, 2);
        is_stepping = 0;
        REQUIRE(Conversation{stepped_word->load()}.first_index() <= 200); // all were lost
        CHECK(answer(1) == local(2));
    });
    REQUIRE(sigaction(SIGTRAP, &before, nullptr) == 0);
#else
    MESSAGE("SKIP: single steps are taken on x86-64 only");
#endif
}

TEST_CASE("a forked child answers what its parent has heard, and counts in lines of its own") {
    const State state;
    Worker parent;
    bool good = false;
    parent.tell([&] {
        settle(1, 2);
        receive(1, 2);
        receive(1, 3);
        test::drain();
        const Counters::Line* line = &state->counters.line(server.port(), 1);
        const uint64_t before = line->values[static_cast<unsigned>(Counter::requests)].load();
        const pid_t child = test::fork_clean();
        if (child == 0) {
            peers::forked();
            const bool in_order = answer(1) == local(2) && answer(1) == local(3);
            receive(2, 4);
            const bool hears = answer(2) == local(4);
            _exit(in_order && hears ? 0 : 1);
        }
        int status = -1;
        good = waitpid(child, &status, 0) == child && status == 0 &&
               line->values[static_cast<unsigned>(Counter::requests)].load() == before;
    });
    CHECK(good);
    CHECK(answer_by(parent, 2) == local(4));
}

TEST_SUITE_END();

} // namespace multihome::turns_test
