// SPDX-License-Identifier: MIT
//
// Who may change a socket's IP_MULTICAST_IF. connect changes it for a moment and puts the program's choice
// back.
//
// The invariant: IP_MULTICAST_IF of a socket, and what its word says of it, are changed only by the thread
// that has the turn at the socket, and are the program's choice whenever nobody has it. So two threads that
// connect at once cannot take each other's address for the program's.
//
// A turn is no lock that a signal handler could wait for in vain: a handler that has interrupted a turn of
// its own thread gets none, and nobody waits for long. Who gets none connects as without us.
#pragma once

#include "shim/sockets/socket.hpp"

namespace multihome {

// Async-signal-safe. Nothing that may be cancelled is called while it lives.
class MulticastTurn {
public:
    explicit MulticastTurn(Socket socket);
    ~MulticastTurn();
    MulticastTurn(const MulticastTurn&) = delete;
    MulticastTurn& operator=(const MulticastTurn&) = delete;

    explicit operator bool() const { return has_; }

    // In a forked child there is no thread that has a turn.
    static void forget_all();

private:
    unsigned place_;
    bool has_ = false;
};

} // namespace multihome
