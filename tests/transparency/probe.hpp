// SPDX-License-Identifier: MIT
//
// What the probes have in common. A probe is a program that prints what it sees of its sockets; compare.sh
// runs it bare and under the shim. So nothing that differs from run to run may be printed: no port, no time,
// no descriptor that depends on what the loader had open.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace probe {

// The addresses of the loopback interface that need no setting up. The routing table answers from 127.0.0.1.
constexpr const char* asked_address = "127.0.0.2";
constexpr const char* other_address = "127.0.0.3";
constexpr const char* client_address = "127.0.0.4";

// compare.sh looks for this.
[[noreturn]] void skip(const char* reason);
// Runs the topic of that name. What main() returns: 2 where there is none.
struct Topic {
    std::string_view name;
    void (*run)();
};
int run_topic(std::string_view name, std::initializer_list<Topic> topics);
// For what has to work so that the probe can do its work.
void must(bool condition, const char* what);

// Prints "what: result", with the name of errno where the result is negative.
void say(const char* what, long result);
// The same for a call that must leave errno alone when it succeeds.
template <typename Call>
long say_call(const char* what, Call call) {
    constexpr int untouched = 4711;
    errno = untouched;
    const long result = static_cast<long>(call());
    say(what, result);
    if (result >= 0 && errno != untouched)
        std::printf("%s: errno changed to %d\n", what, errno);
    return result;
}

struct Name {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;

    Name() = default;
    Name(const char* address, in_port_t port); // port in network byte order

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    std::string address() const;
    in_port_t port() const;
};

Name name_of(int fd);
// For a message to or from `name`, with the data of `part` and no control messages.
msghdr header_for(Name& name, iovec& part);

// A UDP socket bound to `address` and a free port: "0.0.0.0" and "::" are servers, others clients.
int bound(const char* address);
// One at a port of the program's own choice, which lasts when the socket is let go. For own_namespace(),
// where nobody else is.
int bound_at_own_port(const char* address);
// Switches an int-valued option on; the probe ends where that fails.
void switch_on(int fd, int level, int name, int value = 1);
// Waits until `fd` can be read, at most some seconds.
bool readable(int fd, int milliseconds = 5000);

// Somebody who asks a server, from a socket that the shim has no business with.
class Client {
public:
    explicit Client(const char* address = client_address) : fd_(bound(address)) {}
    ~Client() { close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // Sends `text` to `address` at the port of `server`, and waits until it has arrived.
    void ask(int server, const char* address = asked_address, const char* text = "question");
    // Where the next datagram comes from; "nobody" where none comes.
    std::string hear(int milliseconds = 5000);
    // Prints "answer asked=... from=...", the line in which the shim may make a difference.
    void print_answer(const char* asked = asked_address);

    int fd() const { return fd_; }

private:
    int fd_;
};

// recvfrom(), with its result printed: where the datagram is from.
Name say_heard(int server);
// sendto(), with its result printed.
void say_answered(int server, const Name& peer);

// One question, received and answered with recvfrom() and sendto() on (possibly different) descriptors of a
// server.
void echo(int receiver, int sender, const char* asked = asked_address, const char* client = client_address);
inline void echo(int server) {
    echo(server, server);
}

// Addresses whose halves are, as they lie in memory, small numbers.
constexpr const char* address_with_small_first_half = "100::2";
constexpr const char* address_with_small_second_half = "fd00::100:0:0:0";

// Puts the process into a network namespace of its own, with `lo` up and these two, fd00::2, fd00::3 and
// fd00::4 on it.
void own_namespace();
// The same, where each address of fd00:7::/64 is local by a route alone.
void namespace_with_local_route();
// Takes one of those away again.
void remove_address(const char* address);

// Where a server is bound, which two of its addresses are asked, and by whom: on the loopback interface or in
// own_namespace().
struct Addresses {
    const char* server;
    const char* asked;
    const char* other;
    const char* client;
};
inline constexpr Addresses ipv4_addresses{"0.0.0.0", asked_address, other_address, client_address};
inline constexpr Addresses ipv6_addresses{"::", "fd00::2", "fd00::3", "fd00::4"};

// A receive buffer for recvmsg(), all of whose bytes are known before the call, so that print() shows each
// byte that was written.
struct Message {
    std::array<unsigned char, 64> data;
    alignas(cmsghdr) std::array<unsigned char, 2048> control;
    sockaddr_storage name;
    iovec part;
    msghdr header;

    // `control_room`: the length of the control buffer; -1 for none.
    explicit Message(long control_room);
    void prepare(long control_room);
    // Everything that the kernel may have changed. Values that differ from run to run are masked.
    void print(long result) const;
    // Receives by recvmsg(), and prints.
    void show(int fd, int flags = 0);
    // Answers whoever sent it.
    ssize_t answer(int fd) const;
};

// Receives one question and prints all that came with it, then answers it.
void show_and_answer(int server, Client& client, const char* asked, Message& message, int flags = 0);

// What the program sees of IP_PKTINFO.
void say_packet_information(int fd);
// The whole view of a UDP server: what its options say, what a datagram brings, where the answer leaves from.
void look(const char* what, int receiver, int sender);
// A server that has been looked at.
int server_in_use();

// The receive calls that blocked threads are cancelled in, and others are tried with, by number.
constexpr int receive_calls = 3;
const char* receive_call_name(int number);
long receive_by(int number, int fd, Name& peer);

// Waits until this thread of ours sleeps in the kernel, as far as can be seen from outside.
void wait_until_blocked(int thread);

// A TCP socket that listens, and one that is about to call it. What is accepted has SO_OOBINLINE.
class Listener {
public:
    Listener() {
        const Name any("127.0.0.1", 0);
        switch_on(listener_, SOL_SOCKET, SO_OOBINLINE);
        must(bind(listener_, any.get(), any.length) == 0 && listen(listener_, 1) == 0, "listen");
    }

    int caller() const { return caller_; }
    int accept_caller() const {
        const Name at = name_of(listener_);
        must(connect(caller_, at.get(), at.length) == 0, "connect");
        return accept(listener_, nullptr, nullptr);
    }

private:
    int listener_ = socket(AF_INET, SOCK_STREAM, 0);
    int caller_ = socket(AF_INET, SOCK_STREAM, 0);
};

} // namespace probe
