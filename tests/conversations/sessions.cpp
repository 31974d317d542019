// SPDX-License-Identifier: MIT
//
// Answers from a socket that the program makes for one client.
#include "tests/conversations/conversing.hpp"

#include <algorithm>

namespace multihome::conversations {

// A socket on the port that was asked, connected to the client (DTLS, iperf3).
int Conversing::open_for(size_t actor, const Known& question) {
    Actor& program = *actors_[actor];
    const int fd = program.open(family_, {Flag::reuse_port}, ports_[question.conversation_port].port);
    tell("a socket for this client", actor, question, fd);
    program.connect(fd, question.name);
    return fd;
}

// What this socket sends goes to its client, by name or without.
void Conversing::send_connected(size_t actor, int fd, const Known& question, uint64_t token) {
    Order send = order(actor, Verb::send, fd);
    send.name = question.name;
    if (chance(2))
        send.name.length = 0; // to whom it is connected
    send.token = token;
    add_own_messages(send, family_of(question.peer), true);
    actors_[actor]->carry_out(send);
    run_length_[actor] = 0;
}

// The client's socket goes, or becomes one of those that serve the port. An IPv6 socket that has lost its
// peer goes on hearing that one alone: the kernel does not forget the address.
void Conversing::let_go(size_t actor, size_t port, int fd) {
    std::vector<int>& others = sockets(actor, ports_[port]);
    if (family_ == Family::v6 || others.size() > 5 || chance(2))
        return actors_[actor]->close(fd);
    tell("serves all again", actor, {}, fd);
    actors_[actor]->connect(fd, Name{});
    others.push_back(fd);
}

// Nobody asks while the socket is there.
void Conversing::answer_connected() {
    if (waiting_.empty())
        return;
    const size_t actor = random(actor_count);
    const Known question = take_waiting(random(waiting_.size()));
    if (question.generation != generations_[question.peer])
        return; // the peer has gone
    const Addresses allowed = sources_for(actor, question, false);
    const int fd = open_for(actor, question);
    send_connected(actor, fd, question, question.token);
    let_go(actor, question.conversation_port, fd);
    model_.answered(actor, conversation(question), question.token);
    judge_answer(allowed, question);
}

// A new client gets a socket of its own, and goes on asking there. Then it goes.
void Conversing::hold_session() {
    const size_t peer = random(peer_count);
    renew_peer(peer);
    const size_t port = random_port();
    const Known question = take_waiting(read_question(ask(peer, port, random(coming_and_going))));
    const size_t actor = random(actor_count);
    const int fd = open_for(actor, question);
    send_connected(actor, fd, question, question.token);
    model_.answered(actor, conversation(question), question.token);
    judge_answer(only(question.asked), question);
    for (size_t rounds = random(3); rounds > 0; --rounds) {
        const Question next = peers_[peer].ask(address_for(peer, question.asked), ports_[port].port);
        actors_[actor]->carry_out(order(actor, Verb::receive, fd));
        send_connected(actor, fd, question, next.token);
        judge(only(question.asked), peers_[peer].hear(next.token), peer, port, "an answer in a session");
    }
    let_go(actor, port, fd);
    renew_peer(peer);
}

// Some actor reads this question. Returns its place among those that wait.
size_t Conversing::read_question(uint64_t token) {
    read_in_turn(asked_.at(token).conversation_port, token, [](size_t) {});
    const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const Known& question) { return question.token == token; });
    return static_cast<size_t>(found - waiting_.begin());
}

// A new client asks one port, and is answered from another one (TFTP). Then it goes.
void Conversing::hand_over() {
    const size_t peer = random(peer_count);
    renew_peer(peer);
    const size_t port = random_port();
    const Known question = take_waiting(read_question(ask(peer, port, random(coming_and_going))));
    const size_t actor = random(actor_count);
    Actor& program = *actors_[actor];
    const int fd = program.open(family_);
    tell("answer from another port", actor, question, fd);
    Order send = order(actor, Verb::send, fd);
    send.name = question.name;
    send.token = question.token;
    add_own_messages(send, family_of(peer));
    program.carry_out(send);
    const Name source = peers_[peer].hear(question.token);
    program.close(fd);
    run_length_[actor] = 0;
    model_.answered(actor, conversation(question), question.token);
    Name expected = name_of(address_for(peer, question.asked), source.v4.sin_port);
    if (!is_same_address(expected, source))
        fail("an answer from another port came from " + text_of(source) + ", should be " + text_of(expected));
    ++answers;
    ++exact;
    renew_peer(peer);
}

} // namespace multihome::conversations
