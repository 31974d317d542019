// SPDX-License-Identifier: MIT
//
// What a case is written with: a host of its own, peers on it, and a program that does what it is told.
//
// All is on one host's loopback interface, in a network namespace of its own that goes with the last process
// in it:
//
//   the host      192.0.2.2 (primary), 192.0.2.3, 198.51.100.2
//                 2001:db8:1::2 (primary), 2001:db8:1::3, 2001:db8:2::2
//   its peers     203.0.113.0/24, 2001:db8:ffff::/64: answered from the primary address by route
//   AnyIP routes  198.18.0.0/15, 2001:db8:7::/64: each of these addresses is the host's
#pragma once

#include "tests/conversations/orders.hpp"

#include <array>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace multihome::conversations {

// The test could not be done here; main() says why and ends with the status that ctest takes for a skip.
struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Makes the host. Throws Skip where this user or this kernel cannot.
void become_a_host();
// One command of ip(8): ip("route replace ...").
void ip(const std::string& arguments);
// Gives the host one address more, which it may have already, or takes it away.
void add_address(const std::string& address);
void remove_address(const std::string& address);

enum class Family { v4, v6 };

Name name_of(const std::string& address, in_port_t port);
// The name of a peer that a socket of this family sees.
Name as_seen_by(Family family, const Name& name);
std::string text_of(const Name& name);
bool is_same_address(const Name& one, const Name& other);

// The host's addresses; the first is the primary one.
const std::array<std::string, 3>& addresses(Family family);
// One more, which the host has only where a case gives it to it.
const std::string& address_to_lose(Family family);
// The address of a peer, one of 250.
std::string peer_address(Family family, unsigned number);

struct Question {
    Name asked;
    uint64_t token = 0;
};

// A socket of a peer. What it asks bears a token that nothing else bears.
class Peer {
public:
    explicit Peer(const std::string& address, in_port_t port = 0);
    ~Peer();
    Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)), name_(other.name_) {}
    Peer& operator=(Peer&& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(name_, other.name_);
        return *this;
    }

    const Name& name() const { return name_; }
    Question ask(const std::string& address, in_port_t port);
    // The source of the next datagram that bears this token; fails where none comes in time.
    Name hear(uint64_t token);
    // Throws away what has come.
    void forget_all();

private:
    std::optional<Name> try_to_hear(uint64_t token, int milliseconds);

    int fd_ = -1;
    Name name_;
};

class Program;

// A thread or a worker of the program.
class Actor {
public:
    Outcome carry_out(const Order& order); // fails where the order does
    Outcome try_to(const Order& order);
    // The two halves of that.
    void give(const Order& order) const;
    Outcome take() const;
    // The outcome that a thread has left behind when it was cancelled.
    std::optional<Outcome> take_if_there() const;
    // Many orders, of which many are under way at once.
    std::vector<Outcome> carry_out(const std::vector<Order>& orders);

    int open(Family family, std::initializer_list<Flag> flags = {}, in_port_t port = 0);
    Outcome receive(int fd);
    // Receives once more, and finds nothing.
    void find_empty(int fd);
    // `token` to `name`; fails where the call fails.
    void send(int fd, const Name& name, uint64_t token);
    void connect(int fd, const Name& name);
    void close(int fd);
    in_port_t port_of(int fd);
    void leave();

    void use(std::initializer_list<Flag> calls);
    Order order(Verb verb, int fd) const;

private:
    friend class Program;
    explicit Actor(int channel) : channel_(channel) {}

    int channel_;
    uint32_t calls_ = 0; // Flag::message, Flag::batch
};

// The program under test, bare or with the shim.
class Program {
public:
    // `preload`: the shim, or nothing. `environment`: NAME=VALUE, or nothing.
    Program(const std::string& preload, const std::string& environment);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    bool is_bare() const { return is_bare_; }
    Actor& main() { return actors_[0]; }
    Actor& start_thread() { return start_thread(main()); }
    Actor& start_thread(Actor& by) { return start(by, Verb::thread); }
    Actor& start_worker() { return start_worker(main()); }
    Actor& start_worker(Actor& by) { return start(by, Verb::fork); }
    // Kills a worker with SIGKILL, and waits until it is gone.
    void kill(const Actor& worker);
    // Starts another one in its place, a thread in the place of a cancelled one.
    void start_worker_again(Actor& worker) { start_worker_again(worker, main()); }
    void start_worker_again(Actor& worker, Actor& by) { start_at(by, Verb::fork, worker); }
    void start_thread_again(Actor& thread) { start_at(main(), Verb::thread, thread); }
    // Cancels a thread, and waits until it has ended.
    void cancel(const Actor& thread);

private:
    Actor& start(Actor& by, Verb verb);
    void start_at(Actor& by, Verb verb, Actor& started);
    uint32_t channel_of(const Actor& actor) const { return static_cast<uint32_t>(&actor - actors_.data()); }

    bool is_bare_;
    pid_t process_ = -1;
    std::vector<Actor> actors_;
    std::vector<pid_t> workers_;
    size_t used_ = 1;
};

// How many answers came from another address than the one that was asked.
struct Tally {
    uint64_t answers = 0;
    uint64_t wrong = 0;
    std::string first; // the first wrong one, in words

    void judge(const Question& question, const Name& source) { expect(question.asked, source); }
    void expect(const Name& wanted, const Name& source);
};

// What a bare program is to show.
enum class Bare {
    wrong,     // without the shim, some answers are wrong: else the case shows nothing
    all_right, // without the shim, all are right, and the shim must not spoil them
};

struct Case {
    std::string name;
    Bare bare;
    std::function<void(Program& program, Family family, Tally& tally)> run;
    std::string environment = {}; // NAME=VALUE for the program
};

// The cases of each file, see main.cpp.
std::vector<Case> cases_of_many_sockets();
std::vector<Case> cases_of_many_peers();
std::vector<Case> cases_of_siblings();
std::vector<Case> cases_of_spoofing();
std::vector<Case> cases_of_routing();
std::vector<Case> cases_of_any_ip();
std::vector<Case> cases_of_processes();

// What the kernel of this namespace has counted of lost datagrams, for whoever waits in vain.
std::string lost_datagrams();

[[noreturn]] void fail(const std::string& why);
// Says what errno says as well.
std::string with_errno(const std::string& what);

} // namespace multihome::conversations
