// SPDX-License-Identifier: MIT
//
// Many questions that are read before any of them is answered.
#include "tests/conversations/conversing.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace multihome::conversations {

void Conversing::ask_often() {
    for (size_t count = 1 + random(12); count > 0; --count)
        ask();
}

// A call has found nothing.
void Conversing::find_empty(size_t actor, int socket) {
    tell("empty", actor, {}, socket);
    model_.found_empty(actor, socket);
}

void Conversing::read_all(size_t actor, int socket, Reading reading) {
    for (;;) {
        const bool gathers = reading == Reading::gathered || reading == Reading::gathered_and_drained;
        Order receive = order(actor, gathers ? Verb::gather : Verb::receive, socket);
        receive.patience = 0;
        receive.count = gathers ? maximum_batch : 0;
        if (reading == Reading::drained)
            receive.flags |= static_cast<uint32_t>(Flag::dont_wait);
        const Outcome outcome = actors_[actor]->try_to(receive);
        if (outcome.error == EAGAIN)
            find_empty(actor, socket);
        if (outcome.error == EAGAIN || outcome.error == ETIMEDOUT)
            return;
        if (!gathers)
            hear(actor, outcome.fd, outcome.token, outcome.name);
        for (uint32_t index = 0; index < outcome.count; ++index)
            hear(actor, socket, outcome.tokens[index], outcome.names[index]);
        if (outcome.count > 1)
            model_.gathered(actor);
        if (reading == Reading::gathered && outcome.count < maximum_batch)
            return;
    }
}

// Sockets that one actor reads until they are empty, and then answers in order.
void Conversing::answer_burst() {
    const size_t actor = random_reader();
    const size_t before = waiting_.size();
    ask_often();
    std::vector<int> emptied;
    for (size_t count = 1 + random(3); count > 0; --count) {
        const int socket = any_socket(actor, random_port());
        // A copy that was emptied already would begin another round.
        if (std::find(emptied.begin(), emptied.end(), socket) != emptied.end())
            continue;
        emptied.push_back(socket);
        read_all(actor, socket, Reading::drained);
    }
    const bool in_order = run_length_[actor] <= longest_run && model_.keeps_order(actor);
    while (waiting_.size() > before)
        answer(actor, before, in_order);
}

// Clients that wait for each answer of a port before they ask that port again. Returns the ports.
std::vector<size_t> Conversing::ask_in_turn() {
    std::vector<size_t> ports(ports_.size());
    std::iota(ports.begin(), ports.end(), 0);
    std::shuffle(ports.begin(), ports.end(), random_);
    ports.resize(1 + random(ports.size()));
    const size_t peers = chance(2) ? peer_count : 1 + random(peer_count);
    for (const size_t port : ports)
        for (size_t peer = 0; peer < peers; ++peer)
            if (!model_.is_busy(conversation(peer, port)))
                ask(peer, port);
    return ports;
}

// One actor reads many sockets, each in its way, and then all is answered: by the reader, by another one, by
// a worker that the reader forks now, or by all of them.
void Conversing::play_round() {
    const size_t reader = random_reader();
    const size_t before = waiting_.size();
    const bool is_uniform = chance(2);
    auto reading = static_cast<Reading>(random(4));
    for (const size_t port : ask_in_turn()) {
        if (!is_uniform)
            reading = static_cast<Reading>(random(4));
        for (const int socket : sockets(reader, ports_[port]))
            read_all(reader, socket, reading);
    }
    const bool answers_itself = kind_ == Kind::answers_itself;
    size_t answerer = answers_itself || chance(3) ? reader : random(actor_count);
    if (!answers_itself && reader < thread_count && chance(3)) {
        const size_t worker = random(worker_count);
        replace_worker(worker, reader);
        answerer = thread_count + worker;
    }
    if (chance(2))
        std::shuffle(waiting_.begin() + static_cast<std::ptrdiff_t>(before), waiting_.end(), random_);
    const bool is_mixed = !answers_itself && chance(4);
    while (waiting_.size() > before)
        answer(is_mixed ? random(actor_count) : answerer, before);
}

// What one call brings, one call answers.
void Conversing::answer_batch() {
    const size_t actor = random_reader();
    const size_t port = random_port();
    ask_often();
    Order serve = order(actor, Verb::serve, any_socket(actor, port));
    serve.others[0] = any_socket(actor, port);
    // Room for one is a call for one.
    serve.count = static_cast<uint32_t>(2 + random(maximum_batch - 1));
    add_own_messages(serve, is_dual_ ? Family::v4 : family_); // which do for peers of both families
    if (has_faults_ && chance(5)) {
        serve.fault = chance(3) ? Fault::receive : Fault::send;
        serve.fault_errno = serve.fault == Fault::receive ? receive_error() : send_error();
    }
    const Outcome outcome = actors_[actor]->try_to(serve);
    if (outcome.error == EAGAIN)
        find_empty(actor, serve.fd);
    if (outcome.error == EAGAIN || (outcome.error != 0 && outcome.error == serve.fault_errno))
        return;
    if (outcome.error != 0)
        fail(std::string{"a batch that should not fail: "} + std::strerror(outcome.error));
    const size_t before = waiting_.size();
    for (uint32_t index = 0; index < outcome.count; ++index)
        hear(actor, serve.fd, outcome.tokens[index], outcome.names[index]);
    if (outcome.count > 1)
        model_.gathered(actor);
    const bool in_order = model_.keeps_order(actor);
    for (uint32_t index = 0; index < outcome.count; ++index) {
        const Known question = waiting_[before + index];
        if (question.generation != generations_[question.peer])
            continue; // nobody is there to hear it
        Addresses allowed = sources_for(actor, question, in_order);
        // A packet filter may have dropped the first one for its source.
        if (index == 0 && serve.fault == Fault::send && serve.fault_errno == EPERM)
            allowed = only(Model::routed);
        tell("answer in a batch", actor, question, serve.others[0]);
        model_.answered(actor, conversation(question), question.token);
        judge_answer(allowed, question);
    }
    waiting_.resize(before);
    run_length_[actor] = 0;
}

} // namespace multihome::conversations
