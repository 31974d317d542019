// SPDX-License-Identifier: MIT
//
// A writer that stops in the middle: a child process runs one learn(), instruction by instruction, under
// ptrace(2). After each instruction this process, which shares the table with it, must be able to look up and
// to write in the same bucket, whether the child then goes on or never does.

#include "shim/peers/peer_table.hpp"

#include "child.hpp"
#include "table_memory.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <doctest/doctest.h>
#include <functional>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome {

namespace {

using Entry = PeerTable::Entry;
using Memory = test::TableMemory<>;
constexpr uint32_t tag = 5;
constexpr uint64_t writers_number = 42;

enum class Phase : unsigned { before, inside, after };

// A child that runs learn() over and over, and stops before each.
class Writer {
public:
    explicit Writer(const Memory& memory) : hash_(memory.hash(0, writers_number)) {
        PeerTable table = memory.table();
        child_ = test::fork_clean();
        if (child_ != 0)
            return;
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
            _exit(errno);
        for (;;) {
            phase_->store(Phase::before);
            raise(SIGSTOP);
            phase_->store(Phase::inside);
            table.learn(hash_, tag, test::local_of(writers_number, false));
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

    // Runs to the next stop before learn().
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

    const uint64_t hash_;
    const test::SharedMemory<std::atomic<Phase>> phase_;
    pid_t child_ = -1;
};

// What the table holds before the child writes.
using Prepare = std::function<void(const Memory&)>;

void prepare_full(const Memory& memory) {
    for (uint64_t number = 1; number <= PeerTable::ways; ++number)
        memory.table().learn(memory.hash(0, number), tag, test::local_of(number, false));
}

void prepare_known(const Memory& memory) {
    prepare_full(memory);
    memory.table().learn(memory.hash(0, writers_number), tag, test::local_of(writers_number, true));
}

// Everything that must work while the child stands still.
void use_beside(const Memory& memory, uint64_t stranger) {
    PeerTable table = memory.table();
    REQUIRE(test::is_whole(memory.bucket(0)));
    const uint64_t hash = memory.hash(0, writers_number);
    const uint64_t word = table.find(hash, tag);
    REQUIRE((word == 0 || (word & Entry::fingerprint_mask) == writers_number));

    // A stranger, whose place may be the one that the child is about to take, and the child's own peer.
    REQUIRE(table.learn(memory.hash(0, stranger), tag, test::local_of(stranger, true)).slot != nullptr);
    REQUIRE(Entry::local(table.find(memory.hash(0, stranger), tag)) == test::local_of(stranger, true));
    REQUIRE(table.learn(hash, tag, test::local_of(writers_number, true)).slot != nullptr);
    REQUIRE(Entry::local(table.find(hash, tag)) == test::local_of(writers_number, true));
    REQUIRE(test::is_whole(memory.bucket(0)));
}

// Runs learn() in the child as far as `limit` instructions; returns how many it took.
unsigned run_until(Writer& writer, const Memory& memory, unsigned limit) {
    unsigned stepped = 0;
    int reason = 0;
    while (writer.phase() != Phase::after && stepped < limit) {
        REQUIRE(writer.step(reason));
        if (writer.phase() == Phase::inside)
            ++stepped;
        REQUIRE(test::is_whole(memory.bucket(0)));
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
    // Every instruction, but where sanitizers make one learn() thousands of them: then every so-manieth.
    constexpr unsigned affordable_steps = 80'000;
    const unsigned stride = 1 + instructions * instructions / 2 / affordable_steps;
    unsigned stops = 0;
    for (unsigned stop_after = 0; stop_after < instructions; stop_after += stride, ++stops) {
        memory.clear();
        prepare(memory);
        run_until(writer, memory, stop_after);
        use_beside(memory, 100 + stop_after % 300);
        // And now it goes on with what it had seen before.
        REQUIRE(writer.finish(reason));
        REQUIRE(test::is_whole(memory.bucket(0)));
        const uint64_t word = memory.table().find(memory.hash(0, writers_number), tag);
        REQUIRE((word & Entry::fingerprint_mask) == writers_number);
    }
    MESSAGE("learn() was stopped at " << stops << " of its " << instructions << " instructions");
}

} // namespace

TEST_SUITE_BEGIN("stopped_writer");

#if defined(__x86_64__)
TEST_CASE("stopped while it inserts into an empty bucket") {
    stop_everywhere([](const Memory&) {});
}

TEST_CASE("stopped while it takes another peer's place") {
    stop_everywhere(prepare_full);
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

} // namespace multihome
