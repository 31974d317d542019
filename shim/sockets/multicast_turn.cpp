// SPDX-License-Identifier: MIT
#include "shim/sockets/multicast_turn.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <array>
#include <cstdint>
#include <ctime>
#include <sys/syscall.h>

namespace multihome {

namespace {

// A flag for each turn, set while somebody has it. The socket's number says which turn is its own, or its
// port where we did not see it made. There are many: only sockets that share one wait for each other.
constinit std::array<std::atomic_flag, 1024> turns{};

// True where this thread has a turn, or is about to take one.
constinit thread_local volatile bool within = false;

// A turn takes some ten system calls. Who has it may be without a processor for some milliseconds.
constexpr int short_waits = 1000;
constexpr int long_waits = 500;

// Lets others run on this processor; in a long wait also those to whom this thread would not yield, and those
// that wait for another processor.
void let_others_run(bool is_long) {
    if (is_long && permissions::may(Activity::resting)) {
        timespec time{0, 100'000};
        libc::raw_syscall(SYS_ppoll, 0, 0, &time, 0, sizeof(uint64_t));
    } else if (permissions::may(Activity::yielding)) {
        libc::raw_syscall(SYS_sched_yield);
    }
}

} // namespace

MulticastTurn::MulticastTurn(Socket socket) {
    if (within)
        return;
    within = true;
    std::atomic_flag& turn =
        turns[(socket.made() != 0 ? socket.made() : ntohs(socket.port())) % turns.size()];
    for (int attempt = 0; attempt < short_waits + long_waits; ++attempt) {
        // Acquire pairs with the release in the destructor: all that the last one did is done.
        if (!turn.test_and_set(std::memory_order_acquire)) {
            turn_ = &turn;
            return;
        }
        let_others_run(attempt >= short_waits);
    }
    within = false;
}

MulticastTurn::~MulticastTurn() {
    if (turn_ == nullptr)
        return;
    turn_->clear(std::memory_order_release);
    within = false;
}

void MulticastTurn::forget_all() {
    // Looks before storing: an untouched page stays untouched.
    for (std::atomic_flag& turn : turns)
        if (turn.test(std::memory_order_relaxed))
            turn.clear(std::memory_order_relaxed);
    within = false;
}

} // namespace multihome
