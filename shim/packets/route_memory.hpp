// SPDX-License-Identifier: MIT
//
// Remembers which local address a plain connect() chose for a peer. That saves system calls, and a connect()
// that would have to be undone. All functions are async-signal-safe.
#pragma once

#include "shim/base/address.hpp"

#include <cstdint>

namespace multihome {

class RouteMemory {
public:
    // `port`: the socket's own, in network byte order.
    RouteMemory(const Local& local, const Peer& peer, in_port_t port);

    // True where the kernel chose `local` for this very peer and port within this second, and nobody need
    // look at what it chooses now. Where a route changes meanwhile, we follow it a second later. Routes may
    // go by the peer's ports as well (rules, uplinks that are balanced so). So what is remembered has to be
    // confirmed first, and now and then; once it was wrong it counts no more.
    bool is_local_chosen() const;
    // True where the kernel chose another address for a peer of that network. Where that network is unknown,
    // the one that was looked at last counts. Only a hint: who acts upon it looks at the address that the
    // socket gets.
    bool is_another_chosen() const;

    // True once the kernel has chosen another address for any peer.
    static bool is_another_ever_chosen();

    // Notes that the kernel chose `local`, or another address, just now.
    void note_local() const;
    void note_another() const;

private:
    uint64_t peer_hash_;
    uint64_t network_hash_;
    uint64_t others_hash_; // of all networks
};

} // namespace multihome
