// SPDX-License-Identifier: MIT
//
// Answers from a socket that the program makes for one client.
#include "tests/conversations/conversing.hpp"

#include <algorithm>

namespace multihome::conversations {

// A socket on the same port, connected to the client (DTLS, iperf3). Nobody asks while it is there.
void Conversing::answer_connected() {
    if (waiting_.empty())
        return;
    const size_t actor = random(actor_count);
    const Known question = take_waiting(random(waiting_.size()));
    if (question.generation != generations_[question.peer])
        return; // the peer has gone
    const Addresses allowed = sources_for(actor, question, false);
    Actor& program = *actors_[actor];
    const int fd = program.open(family_, {Flag::reuse_port}, ports_[question.conversation_port].port);
    tell("answer by a connected socket", actor, question, fd);
    program.connect(fd, question.name);
    Order send = order(actor, Verb::send, fd);
    send.name = question.name;
    if (chance(2))
        send.name.length = 0; // to whom it is connected
    send.token = question.token;
    add_own_messages(send, family_of(question.peer), true);
    program.carry_out(send);
    program.close(fd);
    run_length_[actor] = 0;
    model_.answered(actor, conversation(question), question.token);
    judge_answer(allowed, question);
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
