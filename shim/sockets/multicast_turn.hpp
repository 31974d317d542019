// SPDX-License-Identifier: MIT
//
// The right to change a socket's IP_MULTICAST_IF, or to read it for the program. connect() changes it for a
// moment, and puts the program's choice back.
//
// The invariant: only the thread that has the turn at a socket changes its IP_MULTICAST_IF, and what its word
// says of it. Both are the program's choice whenever nobody has the turn. So of two threads that connect at
// once, neither takes the other's address for the program's.
//
// A signal handler cannot wait for ever here, as it could for a lock. A handler that interrupts its own
// thread's turn gets none, and nobody waits for long. A thread that gets none connects as without us.
#pragma once

#include "shim/sockets/socket.hpp"

#include <atomic>

namespace multihome {

// Async-signal-safe. While it lives, no function is called that may be cancelled.
class MulticastTurn {
public:
    explicit MulticastTurn(Socket socket);
    ~MulticastTurn();
    MulticastTurn(const MulticastTurn&) = delete;
    MulticastTurn& operator=(const MulticastTurn&) = delete;

    explicit operator bool() const { return turn_ != nullptr; }

    // Takes every turn back: in a forked child no thread has one.
    static void forget_all();

private:
    std::atomic_flag* turn_ = nullptr; // null: it got none
};

} // namespace multihome
