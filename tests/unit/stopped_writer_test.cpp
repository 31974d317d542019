// SPDX-License-Identifier: MIT
//
// A writer that stops in the middle: a child process hears a peer, instruction by instruction, under
// ptrace(2). After each instruction this process, which shares the table with it, must be able to look up and
// to write in the same bucket, whether the child then goes on or never does.

#include "shim/peers/conversation_table.hpp"

#include "child.hpp"
#include "part_of.hpp"
#include "table_memory.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::stopped_writer_test {

namespace {

using Memory = test::TableMemory;
using Kind = Conversation::Kind;
constexpr Ticks start = 100'000;
constexpr uint64_t limit = 1000; // of the peers' numbers
constexpr uint64_t writers_number = 42;

enum class Phase : unsigned { before, inside, after };

// Hears a peer and answers it at once. Returns what was there before.
Conversation serve(const Memory& memory, uint64_t number, bool second) {
    ConversationTable table = memory.table();
    const uint64_t hash = Memory::hash(0, number);
    const LocalIndex at = memory.local_of(number, second);
    const ConversationTable::Entry found = table.find(hash);
    table.answer(at, table.hear(hash, at, start, found).entry);
    return found.state();
}

// A child that serves a peer over and over, and stops before each time.
class Writer {
public:
    explicit Writer(const Memory& memory) {
        share_processor();
        child_ = test::fork_clean();
        if (child_ != 0)
            return;
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
            _exit(errno);
        for (;;) {
            phase_->store(Phase::before);
            raise(SIGSTOP);
            phase_->store(Phase::inside);
            serve(memory, writers_number, false);
            phase_->store(Phase::after);
        }
    }
    ~Writer() {
        if (child_ <= 0)
            return;
        kill(child_, SIGKILL);
        while (waitpid(child_, nullptr, 0) == child_) {
            // Until there is nothing left to wait for.
        }
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // Waits for the first stop. False, with the reason, where the child cannot be traced.
    bool start(int& reason) {
        reason = errno;
        return child_ > 0 && stopped(reason);
    }

    // Runs to the next stop before it serves the peer.
    bool finish(int& reason) {
        if (ptrace(PTRACE_CONT, child_, nullptr, nullptr) == 0)
            return stopped(reason);
        reason = errno;
        return false;
    }

    // One instruction further. False where the child cannot be stepped.
    bool step(int& reason) {
        if (ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr) != 0) {
            reason = errno;
            return false;
        }
        return stopped(reason);
    }

    Phase phase() const { return phase_->load(); }

private:
    // The two take turns. On one processor, each turn takes a third of the time.
    static void share_processor() {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
        sched_setaffinity(0, sizeof one, &one); // a wish
    }

    bool stopped(int& reason) {
        int status = 0;
        if (waitpid(child_, &status, 0) != child_) {
            reason = errno;
            return false;
        }
        if (WIFSTOPPED(status))
            return true;
        reason = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
        child_ = -1;
        return false;
    }

    const test::SharedMemory<std::atomic<Phase>> phase_;
    pid_t child_ = -1;
};

// What the table holds before the child writes.
using Prepare = std::function<void(const Memory&)>;

void prepare_questions(const Memory& memory) {
    for (uint64_t number = 1; number <= ConversationTable::ways; ++number)
        serve(memory, number, false);
}

void prepare_settled(const Memory& memory) {
    prepare_questions(memory);
    prepare_questions(memory);
}

// The writer's peer is known at its other address.
void prepare_known(const Memory& memory) {
    prepare_settled(memory);
    serve(memory, writers_number, true);
    serve(memory, writers_number, true);
}

bool is_whole(const Memory& memory) {
    return memory.count_broken(limit) == 0;
}

// Everything that must work while the child stands still.
void use_beside(const Memory& memory, uint64_t stranger) {
    ConversationTable table = memory.table();
    REQUIRE(is_whole(memory));
    // A stranger, whose place may be the one that the child is about to take, and the child's own peer.
    for (const uint64_t number : {stranger, writers_number}) {
        const Conversation before = serve(memory, number, true);
        const ConversationTable::Entry after = table.find(Memory::hash(0, number));
        REQUIRE(after);
        REQUIRE(memory.number_of(after.held) == number);
        REQUIRE(after.state().asked_last() == memory.local_of(number, true));
        REQUIRE(after.state().kind() ==
                before.heard(memory.local_of(number, true), start, memory.lifetimes()).kind());
    }
    REQUIRE(is_whole(memory));
}

// Lets the child serve its peer as far as `steps` instructions; returns how many it took.
unsigned run_until(Writer& writer, const Memory& memory, unsigned steps) {
    unsigned stepped = 0;
    int reason = 0;
    while (writer.phase() != Phase::after && stepped < steps) {
        REQUIRE(writer.step(reason));
        if (writer.phase() == Phase::inside)
            ++stepped;
        REQUIRE(is_whole(memory));
    }
    return stepped;
}

// Stops the child after each number of instructions in turn.
void stop_everywhere(const Prepare& prepare) {
    const Memory memory{1};
    Writer writer{memory};
    int reason = 0;
    if (!writer.start(reason)) {
        MESSAGE("SKIP: ptrace is not permitted here: " << std::strerror(reason));
        return;
    }
    prepare(memory);
    const unsigned instructions = run_until(writer, memory, ~0U);
    REQUIRE(writer.finish(reason));
    // Every instruction. With a sanitizer a service takes thousands; then one in `stride`.
    constexpr unsigned affordable_steps = test::part_of(80'000, 10'000);
    const unsigned stride = 1 + instructions * instructions / 2 / affordable_steps;
    unsigned stops = 0;
    for (unsigned stop_after = 0; stop_after < instructions; stop_after += stride, ++stops) {
        memory.clear();
        prepare(memory);
        run_until(writer, memory, stop_after);
        use_beside(memory, 100 + stop_after % 300);
        // And now it goes on with what it had seen before.
        REQUIRE(writer.finish(reason));
        REQUIRE(is_whole(memory));
        REQUIRE(memory.table().find(Memory::hash(0, writers_number)));
    }
    MESSAGE("the writer was stopped at " << stops << " of its " << instructions << " instructions");
}

} // namespace

TEST_SUITE_BEGIN("stopped_writer");

#if defined(__x86_64__)
TEST_CASE("stopped while it inserts into an empty bucket") {
    stop_everywhere([](const Memory&) {});
}

TEST_CASE("stopped while it takes a question's place") {
    stop_everywhere(prepare_questions);
}

TEST_CASE("stopped while it takes a settled conversation's place") {
    stop_everywhere(prepare_settled);
}

TEST_CASE("stopped while it changes an entry") {
    stop_everywhere(prepare_known);
}
#else
TEST_CASE("stopped in the middle of a write") {
    // Elsewhere an exchange is a loop of instructions that never ends when each one is interrupted.
    MESSAGE("SKIP: single steps are taken on x86-64 only");
}
#endif

TEST_SUITE_END();

} // namespace multihome::stopped_writer_test
