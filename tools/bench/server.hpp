// SPDX-License-Identifier: MIT
//
// The servers that are measured: an echo on the wildcard address, written as one writes it without a thought
// for several addresses (bare; with the shim preloaded it is the shim that is measured) or with IP_PKTINFO
// (native).
#pragma once

#include "tools/bench/processors.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace multihome::bench {

constexpr unsigned largest_batch = 32;
constexpr unsigned largest_datagram = 2048;

// How the program calls: recvfrom() and sendto(), recvmsg() and sendmsg(), recvmmsg() and sendmmsg(). A
// native program needs control messages, so that it has no plain calls: it uses messages in their place.
enum class Calls { plain, messages, batches };
// Where the program keeps its buffers, addresses and message headers: close together on the stack, or each on
// pages of its own elsewhere.
enum class Memory { stack, heap, fixed };

struct ServerSettings {
    bool native = false;
    bool ipv6 = false; // on ::, which IPv4 clients reach as well
    Calls calls = Calls::plain;
    Memory memory = Memory::stack;
    unsigned room = largest_batch; // messages that a batch has room for
    unsigned threads = 1;          // all on one socket, so that each has the same to do
    unsigned workers = 1;          // forked, as well
    uint64_t warm_up = 0;          // requests that are not counted by callgrind
    uint64_t requests = 0;         // ends after that many more; 0: never
    bool gated = false;            // waits for a byte on standard input before each receive call
    bool marks = false;            // stores to mark_address before each receive call
    uint16_t port = 0;             // 0: any
    Place place = Place::anywhere;

    // What run_server() is started by.
    std::vector<std::string> command() const;
};

// Where nothing else lies.
constexpr uint64_t mark_address = 0x10000000;

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
