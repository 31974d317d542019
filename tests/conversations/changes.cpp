// SPDX-License-Identifier: MIT
//
// What changes around the conversations: sockets, peers, addresses, threads and workers.
#include "tests/conversations/conversing.hpp"

#include <iterator>
#include <optional>

namespace multihome::conversations {

// Copies and siblings come and go, in the program or in a worker.
void Conversing::change_sockets() {
    Port& port = ports_[random_port()];
    // What a worker opens, it alone could read.
    const size_t actor = random(kind_ == Kind::one_reads ? thread_count : actor_count);
    Actor& program = *actors_[actor];
    std::vector<int>& all = sockets(actor, port);
    if (all.size() > 1 && (all.size() > 5 || chance(2))) {
        const size_t index = random(all.size());
        program.close(all[index]);
        tell("close", actor, {}, all[index]);
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (chance(2)) {
        all.push_back(program.carry_out(program.order(Verb::copy, all[random(all.size())])).fd);
        tell("copy", actor, {}, all.back());
    } else {
        const Flag also = chance(4) ? Flag::asks_arrival : chance(4) ? Flag::asks_more : Flag::reuse_port;
        all.push_back(program.open(family_, {Flag::reuse_port, also}, port.port));
        tell("open", actor, {}, all.back());
    }
}

// The actor is to wait in a call, or has just come back from it. Returns when it has begun.
void Conversing::begin_receiving(size_t actor) {
    const size_t port = random_port();
    Order receive = order(actor, Verb::receive, any_socket(actor, port));
    receive.flags |= static_cast<uint32_t>(Flag::announced);
    actors_[actor]->give(receive);
    actors_[actor]->take();
    // What comes there may be lost with the actor, before or after the shim has seen it. Then the peer waits
    // for an answer, which may come from any port.
    for (const auto& [token, question] : asked_)
        if (question.conversation_port == port)
            for (size_t any_port = 0; any_port < ports_.size(); ++any_port)
                model_.forget({question.peer * 1'000'000 + question.generation, any_port});
}

// What the actor has read before it ended, if it was so quick.
void Conversing::collect(size_t actor) {
    if (const std::optional<Outcome> outcome = actors_[actor]->take_if_there())
        asked_.erase(outcome->token);
}

// A thread is cancelled in a call, or just after it.
void Conversing::cancel_thread() {
    if (kind_ == Kind::one_reads)
        return;
    const size_t actor = 1 + random(thread_count - 1);
    if (chance(2))
        ask();
    begin_receiving(actor);
    program_.cancel(*actors_[actor]);
    tell("cancelled", actor, {});
    collect(actor);
    program_.start_thread_again(*actors_[actor]);
    model_.begin_again(actor);
    run_length_[actor] = 0;
}

void Conversing::kill_worker() {
    const size_t worker = random(worker_count);
    const size_t actor = thread_count + worker;
    if (kind_ != Kind::one_reads && chance(2))
        begin_receiving(actor);
    replace_worker(worker, random(thread_count));
}

// A worker is killed, and this thread forks another one in its place, which knows what the thread knows.
void Conversing::replace_worker(size_t worker, size_t parent) {
    const size_t actor = thread_count + worker;
    program_.kill(*actors_[actor]);
    tell("killed", actor, {});
    collect(actor);
    program_.start_worker_again(*actors_[actor], *actors_[parent]);
    model_.begin_again(actor, parent);
    run_length_[actor] = run_length_[parent];
    snapshot_for(worker);
}

void Conversing::set_address(bool present) {
    if (is_present_ == present)
        return;
    is_present_ = present;
    tell(present ? "address added" : "address removed", 0, {});
    for (const Family family : {Family::v4, Family::v6}) {
        if (family != family_ && !is_dual_)
            continue;
        if (present)
            add_address(address(family, coming_and_going));
        else
            remove_address(address(family, coming_and_going));
    }
    model_.forget_all_that_asked(coming_and_going);
}

// Longer than anything counts. Not so long in all that the times of what the program has sent first go round
// (multihome(7)).
void Conversing::be_silent() {
    static constexpr uint32_t times[] = {2'000, 4'096, 5'000, 6'300, 8'192};
    static constexpr uint32_t longest = 60'000;
    const uint32_t seconds = times[random(std::size(times))];
    if (!has_faults_ || passed_ + seconds > longest)
        return;
    passed_ += seconds;
    if (kind_ != Kind::answers_itself)
        hear_new_peer();
    Order wait = actors_[0]->order(Verb::wait, -1);
    wait.count = seconds;
    actors_[0]->carry_out(wait);
    tell("silence", 0, {});
    model_.be_silent();
    // Who was never answered is answered now, before others ask: peers may share the place where it is kept
    // how old their questions are.
    for (size_t index = waiting_.size(); index-- > 0;)
        if (model_.has_lapsed(conversation(waiting_[index])))
            answer(random(actor_count), index);
}

void Conversing::hear_new_peer() {
    const size_t peer = random(peer_count);
    renew_peer(peer);
    const size_t port = random_port();
    read_in_turn(port, ask(peer, port, favourite_of(peer)), [](size_t) {});
}

// Another peer in the place of one. A program that answers itself keeps those that it knows, and gets to know
// the new one at once (settle()).
void Conversing::renew_somebody() {
    if (kind_ != Kind::answers_itself)
        return renew_peer(random(peer_count));
    const auto vague_ones = [&](size_t peer) { return model_.vague_ones(conversation(peer, 0).first); };
    size_t vaguest = 0;
    for (size_t peer = 1; peer < peer_count; ++peer)
        if (vague_ones(peer) > vague_ones(vaguest))
            vaguest = peer;
    if (vague_ones(vaguest) == 0)
        return;
    renew_peer(vaguest);
    settle(vaguest);
}

void Conversing::renew_peer(size_t peer) {
    tell("new peer", 0, {0, peer, generations_[peer], 0, 0, {}});
    model_.forget_peer(conversation(peer, 0).first);
    ++generations_[peer];
    // With a port of its own: with one that it has had before it would be the same peer.
    used_ports_.insert({peer, peers_[peer].name().v4.sin_port});
    do
        peers_[peer] = Peer{peer_address(family_of(peer), static_cast<unsigned>(peer))};
    while (used_ports_.contains({peer, peers_[peer].name().v4.sin_port}));
}

} // namespace multihome::conversations
