// SPDX-License-Identifier: MIT
//
// Made-up datagrams for tests of what a thread received last.
#pragma once

#include "shim/peers/recent.hpp"

namespace multihome {

constexpr uint32_t tag = 5; // of the socket that they come on

// From an IPv4 peer of this number to the local address of that index.
inline Recent::Heard heard(uint64_t number, LocalIndex local, uint32_t socket = tag) {
    using Entry = PeerTable::Entry;
    Recent::Heard result;
    result.peer = {Address::from_ipv4({htonl(0x0a000000 + static_cast<uint32_t>(number))}), 0, htons(1000)};
    result.local = {Address::from_ipv4({htonl(0xc0000200 + local)}), 0};
    result.tag = socket;
    result.word = Entry::identity(number, socket) | uint64_t{local} << Entry::local_shift;
    result.record = {Record::key_of_ipv4(result.peer), local, false};
    return result;
}

// Which local address an answer to this peer is given in order; 0 where none.
inline LocalIndex take(Recent& received, uint64_t number) {
    return received.take(Record::key_of_ipv4(heard(number, 0).peer)).local();
}

} // namespace multihome
