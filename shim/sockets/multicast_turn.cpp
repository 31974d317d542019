// SPDX-License-Identifier: MIT
#include "shim/sockets/multicast_turn.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/sockets/sockets.hpp"

#include <array>
#include <atomic>
#include <sys/syscall.h>

namespace multihome {

namespace {

// True where somebody has the turn, by the socket's number. Sockets may share a place: one waits for the
// other.
constexpr unsigned turn_places = 64;
constinit std::array<std::atomic<bool>, turn_places> taken{};
// True where this thread has a turn, or is about to take one.
constinit thread_local volatile bool within = false;

// A turn takes some ten system calls, and the thread that has it may have to wait for a processor.
constexpr int patience = 2000;

} // namespace

MulticastTurn::MulticastTurn(Socket socket)
    : place_((socket.made() != 0 ? socket.made() : ntohs(socket.port())) % turn_places) {
    if (within)
        return;
    within = true;
    for (int attempt = 0; attempt < patience; ++attempt) {
        // Acquire pairs with the release in the destructor: all that the last one did is done.
        if (!taken[place_].exchange(true, std::memory_order_acquire)) {
            has_ = true;
            return;
        }
        if (permissions::may(Activity::yielding))
            libc::raw_syscall(SYS_sched_yield);
    }
    within = false;
}

MulticastTurn::~MulticastTurn() {
    if (!has_)
        return;
    taken[place_].store(false, std::memory_order_release);
    within = false;
}

void MulticastTurn::forget_all() {
    for (std::atomic<bool>& place : taken)
        if (place.load(std::memory_order_relaxed))
            place.store(false, std::memory_order_relaxed);
    within = false;
}

} // namespace multihome
