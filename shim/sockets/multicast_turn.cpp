// SPDX-License-Identifier: MIT
#include "shim/sockets/multicast_turn.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <array>
#include <sys/syscall.h>

namespace multihome {

namespace {

// A bit for each turn, set while somebody has it. The socket's number says which turn is its own, or its port
// where we did not see it made. A thread that has one may be without a processor for longer than others wait.
// So there are many: only sockets that share one wait for each other.
constexpr unsigned turn_places = 4096;
constexpr unsigned word_bits = 64;
constinit std::array<std::atomic<uint64_t>, turn_places / word_bits> taken{};

// True where this thread has a turn, or is about to take one.
constinit thread_local volatile bool within = false;

// A turn takes some ten system calls.
constexpr int patience = 2000;

} // namespace

MulticastTurn::MulticastTurn(Socket socket) {
    if (within)
        return;
    within = true;
    const unsigned place = (socket.made() != 0 ? socket.made() : ntohs(socket.port())) % turn_places;
    std::atomic<uint64_t>& word = taken[place / word_bits];
    bit_ = uint64_t{1} << place % word_bits;
    for (int attempt = 0; attempt < patience; ++attempt) {
        // Acquire pairs with the release in the destructor: all that the last one did is done.
        if ((word.fetch_or(bit_, std::memory_order_acquire) & bit_) == 0) {
            word_ = &word;
            return;
        }
        if (permissions::may(Activity::yielding))
            libc::raw_syscall(SYS_sched_yield);
    }
    within = false;
}

MulticastTurn::~MulticastTurn() {
    if (word_ == nullptr)
        return;
    word_->fetch_and(~bit_, std::memory_order_release);
    within = false;
}

void MulticastTurn::forget_all() {
    for (std::atomic<uint64_t>& word : taken)
        if (word.load(std::memory_order_relaxed) != 0)
            word.store(0, std::memory_order_relaxed);
    within = false;
}

} // namespace multihome
