// SPDX-License-Identifier: MIT
//
// What a test has the program under test do, and what comes of it. The program is one of plain sockets that
// knows nothing of the shim. It does nothing by itself: each of its threads and workers waits for orders on a
// channel of its own, so a test says which of them reads, which of them answers, and when.
#pragma once

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome::conversations {

// An address and port as the kernel has it, IPv4 or IPv6.
struct Name {
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6 = {};
    };
    socklen_t length = sizeof(sockaddr_in6);
};

enum class Verb : uint8_t {
    open,    // make a socket; .fd of the answer is its number
    bind,    // bind `fd` to `name`
    connect, // connect `fd` to `name`
    close,   // close `fd`
    receive, // wait for one datagram on one of the `others` or on `fd`
    send,    // send `token` to `name`, or with no name to whom `fd` is connected
    drain,  // wait for `count` datagrams on `fd`, and throw them away; with Flag::answer, answer each at once
    serve,  // receive what is there on `fd`, by one call up to `count`, and answer it in order on others[0],
            // by one call and once more where that fails; .tokens of the answer are what was received
    gather, // the first half of that
    number, // .port of the answer is the port of `fd`
    thread, // start a thread that takes orders from channel `count`
    fork,   // start a worker that takes orders from channel `count`; .token of the answer is its process id
    copy,   // dup() of `fd`; .fd of the answer is the copy
    cancel, // cancel the thread that takes orders from channel `count`, and wait until it has ended
    wait,   // let `count` seconds pass, as the library of faults.cpp tells the time
    leave,  // end this thread or this worker without an answer
};

enum class Flag : uint32_t {
    reuse_port = 1,
    reuse_address = 2,
    message = 4, // recvmsg() and sendmsg() instead of recvfrom() and sendto()
    answer = 8,
    batch = 16,         // recvmmsg() and sendmmsg() of one
    announced = 32,     // say with an outcome that it begins; receive: wait in the call itself, on `fd`
    dont_wait = 64,     // receive: not at all, on `fd`: EAGAIN says that it is empty
    peek = 128,         // receive: look at it before (MSG_PEEK)
    asks_arrival = 256, // open: asks for packet information itself
    no_family = 512,    // send: to an IPv4 name that says AF_UNSPEC
    asks_more = 1024,   // open: asks for other control messages
    no_data = 2048,     // send: from where nothing is: EFAULT
};

// A call that the library of faults.cpp is to let fail.
enum class Fault : uint8_t { none, send, receive };

constexpr size_t maximum_others = 16;
constexpr size_t maximum_batch = 12;
constexpr size_t maximum_control = 256;
// The channels that the program finds open when it starts: 0 is the one of its first thread.
constexpr int channels = 12;
constexpr int first_channel = 100; // the descriptor number of channel 0
// How long a datagram may take. Long, because a busy machine is slow.
constexpr int patience_milliseconds = 30'000;

struct Order {
    Verb verb = Verb::leave;
    Fault fault = Fault::none;
    int fault_errno = 0;
    uint32_t flags = 0;
    int fd = -1;
    int family = AF_INET;
    uint32_t count = 0;
    uint32_t cookie_modulus = 0; // open: make sockets until one's cookie is 1 modulo this
    int patience = patience_milliseconds;
    int call_flags = 0; // MSG_... of the call; serve: of the one that sends
    uint32_t room = 0;  // receive, by recvmsg() and recvmmsg(): for what the kernel tells of a datagram
    // send, by sendmsg() and sendmmsg(): the control messages of the program's own, which take so many bytes.
    uint32_t control_length = 0;
    alignas(cmsghdr) unsigned char control[maximum_control] = {};
    uint64_t token = 0;
    Name name;
    int others[maximum_others] = {}; // `count` of them
};

struct Outcome {
    int error = 0; // an errno, ETIMEDOUT where nothing came
    int fd = -1;
    in_port_t port = 0; // network byte order
    uint64_t token = 0;
    Name name; // whom a datagram came from
    uint32_t count = 0;
    uint64_t tokens[maximum_batch] = {}; // `count` of them
    Name names[maximum_batch];
};

// What the program does with the channels: returns when its channel is closed or it was told to leave.
int obey_orders(int channel);

} // namespace multihome::conversations
