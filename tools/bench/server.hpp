// SPDX-License-Identifier: MIT
//
// The servers that are measured: an echo on the wildcard address, written as one writes it without a thought
// for several addresses (bare; with the shim preloaded it is the shim that is measured) or with IP_PKTINFO
// (native).
#pragma once

#include "tools/bench/processors.hpp"

#include <cstdint>

namespace multihome::bench {

constexpr unsigned batch_size = 32;
constexpr unsigned largest_datagram = 2048;

struct ServerSettings {
    bool native = false;
    bool ipv6 = false;     // on ::, which IPv4 clients reach as well
    bool messages = false; // recvmsg() and sendmsg(), as native does in any case
    bool batch = false;    // recvmmsg() and sendmmsg()
    unsigned threads = 1;  // all on one socket, so that each has the same to do
    uint64_t requests = 0; // ends after that many; 0: never
    bool gated = false;    // waits for a byte on standard input before each receive call
    uint16_t port = 0;     // 0: any
    Place place = Place::anywhere;
};

// Prints the port as a line on standard output once it can be asked.
int run_server(const ServerSettings& settings);

// A server that answers requests of four bytes `delay_ms` later, and ends when it has had `ignored` others,
// which it does not answer.
struct LateSettings {
    unsigned delay_ms = 0;
    uint64_t ignored = 0;
};
int run_late_server(const LateSettings& settings);

} // namespace multihome::bench
