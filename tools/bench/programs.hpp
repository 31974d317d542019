// SPDX-License-Identifier: MIT
//
// The programs that the bench starts: those that are measured, and who asks them. Their settings are words
// NAME=VALUE on the command line, see programs.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
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

// An echo on the wildcard address, written as one writes it without a thought for several addresses (bare;
// with the shim preloaded it is the shim that is measured) or with IP_PKTINFO (native). It prints its port as
// a line once all its threads and workers are there.
struct Server {
    bool native = false;
    bool ipv6 = false; // on ::, which IPv4 clients reach as well
    Calls calls = Calls::plain;
    Memory memory = Memory::stack;
    unsigned room = largest_batch; // messages that a batch has room for: 1, 8 or 32
    unsigned threads = 1;          // all on one socket, so that each has the same to do
    unsigned workers = 1;          // forked, as well
    uint64_t warm_up = 0;          // requests that are not counted by callgrind
    uint64_t requests = 0;         // ends after that many more; 0: never
    bool gated = false;            // waits for a byte on standard input before each receive call
    bool marks = false;            // stores to 0x10000000 before each receive call
    uint16_t port = 0;             // 0: any
};
int run(const Server& settings);

// One socket plays `count` clients, from addresses of its own, who ask in turn. It prints "ASKED ANSWERS
// RIGHT SECONDS PROCESSOR-SECONDS WATCHED-NANOSECONDS".
struct Client {
    std::string address = "127.0.0.2"; // the first that is asked
    uint16_t port = 0;                 // the server's
    uint32_t addresses = 1;            // client i always asks address i mod `addresses`,
    bool alternating = false;          // or the next one each time
    std::string first = "127.16.0.0";  // the first client's address
    uint32_t count = 1;
    uint16_t own_port = 0;  // 0: any. The same addresses with another port are other clients
    size_t size = 4;        // of a datagram
    unsigned patience = 50; // milliseconds: what has not come by then was lost
    unsigned window = 1;    // requests under way at a time

    // Either so many requests, a window after the other,
    uint64_t requests = 0;
    uint64_t warm_up = 0; // and so many before them
    bool gate = false;    // prints a byte after each window, and nothing else
    bool exact = false;   // fails where an answer is missing,
    bool right = false;   // or not from the address that was asked
    // or for so long, or until SIGTERM:
    unsigned milliseconds = 0;
    unsigned rate = 0;        // requests a second, whether answers come or not; 0: as fast as answers come,
    unsigned threads = 1;     // from so many sockets,
    uint64_t heard = 0;       // after that many answers
    unsigned settle = 0;      // and so many milliseconds more.
    std::vector<pid_t> watch; // threads whose processor time is told
};
int run(const Client& settings);

// Calls on descriptors that are none of the shim's business, two each time. No kind: prints all kinds.
struct PassOn {
    std::string kind;
    uint64_t count = 0;
};
int run(const PassOn& settings);

// Makes `count` sockets for a client that has asked, and prints the median of the nanoseconds from bind to
// connect, and how many datagrams of others each socket has taken meanwhile.
struct Connector {
    unsigned count = 0;
    bool information = false; // has asked for packet information before bind
    bool steer = false;       // to the address that was asked
};
int run(const Connector& settings);

} // namespace multihome::bench
