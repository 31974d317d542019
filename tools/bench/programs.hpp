// SPDX-License-Identifier: MIT
//
// The programs that the bench starts: those that are measured, and who asks them. Their settings are JSON on
// the command line, see programs.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace multihome::bench {

constexpr unsigned largest_batch = 32;
constexpr unsigned largest_datagram = 2048;

// Answers from one UDP socket that is bound to the wildcard address. Prints its port as a line once all its
// threads and workers are there.
struct Server {
    bool native = false; // uses IP_PKTINFO itself
    bool ipv6 = false;   // on ::, which IPv4 clients reach as well
    // "plain": recvfrom() and sendto(); "messages": recvmsg() and sendmsg(); "batches": recvmmsg() and
    // sendmmsg(). A native program needs control messages: it uses messages in the place of plain calls.
    std::string calls = "plain";
    // Where it keeps its buffers, addresses and message headers: close together on the "stack", or each on
    // pages of its own, on the "heap" or "fixed".
    std::string memory = "stack";
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
// RIGHT SECONDS PROCESSOR-SECONDS WATCHED-NANOSECONDS", a line for each of its threads.
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
    uint64_t warm_up = 0;   // answers before anything is measured

    // Either so many requests, a window after the other,
    uint64_t requests = 0;
    bool gate = false;  // prints a byte after each window, and nothing else
    bool exact = false; // fails where an answer is missing,
    bool right = false; // or not from the address that was asked
    // or for so long, or until SIGTERM:
    unsigned milliseconds = 0;
    unsigned rate = 0;        // requests a second, whether answers come or not; 0: as fast as answers come,
    unsigned threads = 1;     // from so many sockets,
    unsigned settle = 0;      // after the warm-up and so many milliseconds more.
    std::vector<pid_t> watch; // threads whose processor time is told
};
int run(const Client& settings);

// Calls on descriptors that are none of the shim's business, two each time. No kind: prints all kinds.
struct PassOn {
    std::string kind;
    uint64_t count = 0;
};
int run(const PassOn& settings);

} // namespace multihome::bench
