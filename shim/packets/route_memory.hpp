// SPDX-License-Identifier: MIT
//
// Which local address a plain connect() chooses for a peer, as far as it has been seen: saves system calls,
// and a connect() that would have to be undone.
#pragma once

#include "shim/base/address.hpp"

#include <cstdint>

namespace multihome {

class RouteMemory {
public:
    RouteMemory(const Local& local, const Peer& peer);

    // The kernel has chosen `local` for this very peer within this second: what it chooses now need not be
    // looked at. A route that is changed meanwhile is followed a second later.
    bool is_local_chosen() const;
    // It has chosen another address for a peer of that network; where nothing is known of that, for one of
    // the network that was looked at last. Only a hint: who acts upon it makes sure of the address that the
    // socket gets.
    bool is_another_chosen() const;

    // It has chosen another address for any peer so far.
    static bool is_another_ever_chosen();

    void local_is_chosen() const;
    void another_is_chosen() const;

private:
    uint64_t peer_hash_;
    uint64_t network_hash_;
    uint64_t others_hash_; // of all networks
};

} // namespace multihome
