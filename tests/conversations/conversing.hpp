// SPDX-License-Identifier: MIT
//
// One program, and all that talk to it, at random: see fuzz.cpp.
#pragma once

#include "tests/conversations/model.hpp"
#include "tests/conversations/script.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace multihome::conversations {

class Conversing {
public:
    // What the program is like. What is known of it is otherwise in each of them (shim/peers/usual.hpp).
    enum class Kind : uint8_t {
        all_read,       // and anybody answers
        one_reads,      // the first thread, and anybody answers
        answers_itself, // whoever reads answers all of it before it reads on
    };
    static constexpr size_t kind_count = 3;
    // Ten seeds in a row have each kind, each family, both of them, few ports and many.
    static constexpr Kind kind_of(uint64_t seed) { return static_cast<Kind>(seed % kind_count); }

    // `faults`: the library of faults.cpp; empty where no call is to fail.
    Conversing(const std::string& library, const std::string& faults, uint64_t seed);
    void step();
    void trace() { is_traced_ = true; }
    Conversing(const Conversing&) = delete;
    Conversing& operator=(const Conversing&) = delete;

    uint64_t answers = 0;
    uint64_t exact = 0; // of which only one source was right

private:
    static constexpr size_t few_ports = 4;
    static constexpr size_t many_ports = 40;
    static constexpr size_t peer_count = 6;
    static constexpr size_t thread_count = 3; // the first one too
    static constexpr size_t worker_count = 2;
    static constexpr size_t actor_count = thread_count + worker_count;
    static constexpr size_t coming_and_going = 3; // the number of that address
    static constexpr uint64_t no_question = 0;    // the token of none
    static constexpr size_t longest_run = 96;     // a thread remembers the order of so many (run.hpp)

    struct Port {
        in_port_t port = 0;
        std::vector<int> sockets;              // of the threads
        std::vector<std::vector<int>> workers; // of each worker: those that were there when it was forked
    };
    struct Known {
        size_t conversation_port;
        size_t peer;
        size_t generation; // of the peer
        size_t asked;
        uint64_t token;
        Name name; // as the program has it
    };

    size_t random(size_t below) { return random_() % below; }
    bool chance(size_t one_in) { return random(one_in) == 0; }
    size_t random_port() { return random(ports_.size()); }
    size_t random_reader() { return kind_ == Kind::one_reads ? 0 : random(actor_count); }
    Family family_of(size_t peer) const { return is_dual_ && peer % 2 == 1 ? Family::v4 : family_; }
    static std::string address(Family family, size_t number);
    std::string address_for(size_t peer, size_t number) const { return address(family_of(peer), number); }
    Conversation conversation(const Known& question) const {
        return {question.peer * 1'000'000 + question.generation, question.conversation_port};
    }
    Conversation conversation(size_t peer, size_t port) const {
        return {peer * 1'000'000 + generations_[peer], port};
    }
    std::vector<int>& sockets(size_t actor, Port& port);
    int any_socket(size_t actor, size_t port) {
        std::vector<int>& all = sockets(actor, ports_[port]);
        return all[random(all.size())];
    }
    Order order(size_t actor, Verb verb, int fd);

    void tell(const char* event, size_t actor, const Known& question, int fd = -1) const;
    void ask() { ask(random(peer_count), random_port()); }
    void ask(size_t peer, size_t port);
    uint64_t ask(size_t peer, size_t port, size_t asked);
    size_t favourite_of(size_t peer) const { return peer % coming_and_going; }
    void settle(size_t peer);
    void read_in_turn(size_t port, uint64_t token, const std::function<void(size_t actor)>& then);
    int receive_error();
    int send_error();
    bool read(size_t actor);
    void judge(Addresses allowed, const Name& source, size_t peer, size_t port, const char* what);
    void add_own_messages(Order& send, Family to, bool is_connected = false);
    void send_from_nowhere(size_t actor, Order send);
    Addresses faulty_send(size_t actor, const Known& question, Order& send, Addresses allowed);
    void hear(size_t actor, int fd, uint64_t token, const Name& name);
    void answer(size_t actor, size_t index, bool in_order = false);
    void ask_often();
    // How a server reads a socket. Only a drained one has said that there is no more (EAGAIN).
    enum class Reading : uint8_t { readable, drained, gathered, gathered_and_drained };
    void find_empty(size_t actor, int socket);
    void read_all(size_t actor, int socket, Reading reading);
    void answer_burst();
    std::vector<size_t> ask_in_turn();
    void play_round();
    void answer_batch();
    Addresses sources_for(size_t actor, const Known& question, bool in_order);
    Known take_waiting(size_t index);
    void judge_answer(Addresses allowed, const Known& question);
    void push();
    int open_for(size_t actor, const Known& question);
    void send_connected(size_t actor, int fd, const Known& question, uint64_t token);
    void let_go(size_t actor, size_t port, int fd);
    void answer_connected();
    void hold_session();
    void hand_over();
    size_t read_question(uint64_t token);
    void change_sockets();
    void open_first(Port& port);
    void snapshot_for(size_t worker);
    void begin_receiving(size_t actor);
    void collect(size_t actor);
    void cancel_thread();
    void kill_worker();
    void replace_worker(size_t worker, size_t parent);
    void set_address(bool present);
    void be_silent();
    void hear_new_peer();
    void renew_somebody();
    void renew_peer(size_t peer);

    Family family_;
    bool is_dual_; // of IPv6, and every other peer asks over IPv4
    std::mt19937_64 random_;
    Program program_;
    std::vector<Actor*> actors_;
    std::vector<Port> ports_;
    std::vector<Peer> peers_;
    std::vector<size_t> generations_;
    std::set<std::pair<size_t, in_port_t>> used_ports_;
    std::map<uint64_t, Known> asked_; // and not read yet
    std::vector<Known> waiting_;      // read and not answered yet
    std::vector<size_t> run_length_;  // what each actor has read since it sent last
    Model model_;
    uint32_t passed_ = 0;     // seconds of silence
    bool is_present_ = false; // the address that comes and goes
    bool is_traced_ = false;
    bool has_faults_;
    Kind kind_;
};

} // namespace multihome::conversations
