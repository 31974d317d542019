// SPDX-License-Identifier: MIT
#include "tests/conversations/conversing.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace multihome::conversations {

std::string Conversing::address(Family family, size_t number) {
    return number == coming_and_going ? address_to_lose(family) : addresses(family)[number];
}

std::vector<int>& Conversing::sockets(size_t actor, Port& port) {
    return actor < thread_count ? port.sockets : port.workers[actor - thread_count];
}

Conversing::Conversing(const std::string& library, const std::string& faults, uint64_t seed)
    : family_(seed % 2 == 0 ? Family::v4 : Family::v6), is_dual_(seed % 4 == 3), random_(seed),
      program_(library + ":" + faults, "MULTIHOME_TIMEOUTS=1800,1800"),
      ports_(seed % 5 < 2 ? many_ports : few_ports), generations_(peer_count), run_length_(actor_count),
      has_faults_(!faults.empty()), kind_(kind_of(seed)) {
    actors_.push_back(&program_.main());
    while (actors_.size() < thread_count)
        actors_.push_back(&program_.start_thread());
    for (Port& port : ports_) {
        open_first(port);
        port.workers.resize(worker_count);
    }
    for (size_t worker = 0; worker < worker_count; ++worker) {
        actors_.push_back(&program_.start_worker());
        snapshot_for(worker);
    }
    for (unsigned number = 0; number < peer_count; ++number)
        peers_.emplace_back(peer_address(family_of(number), number));
    set_address(true);
    if (kind_ == Kind::answers_itself) {
        for (size_t peer = 0; peer < peer_count; ++peer)
            settle(peer);
        return;
    }
    // It is known from the first that this program answers late, and in other threads than hear.
    const Question question = peers_[0].ask(address_for(0, 1), ports_[0].port);
    const Outcome heard = actors_[0]->receive(ports_[0].sockets[0]);
    actors_[1]->send(ports_[0].sockets[0], heard.name, question.token);
    peers_[0].hear(question.token);
    renew_peer(0);
}

// A peer becomes known on all ports. One that is new would show that this program answers late, if the shim
// forgot what the program had read before.
void Conversing::settle(size_t peer) {
    const auto answer_all = [&](size_t actor) {
        while (!waiting_.empty())
            answer(actor, 0);
    };
    for (size_t port = 0; port < ports_.size(); ++port) {
        read_in_turn(port, no_question, answer_all); // so that little lies there
        for (int time = 0; time < 2; ++time)
            read_in_turn(port, ask(peer, port, favourite_of(peer)), answer_all);
    }
}

// One actor after the other reads what lies in its sockets of this port, until this question was there. One
// that the threads have closed may be open in a worker. Calls `then` for each actor that has read.
void Conversing::read_in_turn(size_t port, uint64_t token, const std::function<void(size_t actor)>& then) {
    for (size_t actor = kind_ == Kind::one_reads ? 0 : random(thread_count); actor < actor_count; ++actor) {
        for (const int socket : sockets(actor, ports_[port]))
            read_all(actor, socket, Reading::readable);
        then(actor);
        if (token != no_question && !asked_.contains(token))
            return;
    }
    if (token != no_question)
        fail("a question that nobody could read");
}

// On a port that no other one has: the kernel may give the same to two sockets that both set SO_REUSEPORT.
void Conversing::open_first(Port& port) {
    Actor& actor = program_.main();
    for (;;) {
        const int fd =
            actor.open(family_, {Flag::reuse_port, chance(4) ? Flag::asks_more : Flag::reuse_port});
        const in_port_t number = actor.port_of(fd);
        if (std::none_of(ports_.begin(), ports_.end(),
                         [&](const Port& other) { return other.port == number; })) {
            port.port = number;
            port.sockets.push_back(fd);
            return;
        }
        actor.close(fd);
    }
}

void Conversing::snapshot_for(size_t worker) {
    for (Port& port : ports_)
        port.workers[worker] = port.sockets;
}

void Conversing::tell(const char* event, size_t actor, const Known& question, int fd) const {
    if (is_traced_)
        std::printf("%s: actor %zu, peer %zu, port %zu, asked %s, question %llu, descriptor %d\n", event,
                    actor, question.peer, question.conversation_port,
                    address_for(question.peer, question.asked).c_str(),
                    static_cast<unsigned long long>(question.token), fd);
}

void Conversing::ask(size_t peer, size_t port) {
    // Mostly at the peer's favourite address, so that it is known there when it moves.
    ask(peer, port,
        chance(2) ? favourite_of(peer) : random(is_present_ ? coming_and_going + 1 : coming_and_going));
}

uint64_t Conversing::ask(size_t peer, size_t port, size_t asked) {
    const Question question = peers_[peer].ask(address_for(peer, asked), ports_[port].port);
    asked_[question.token] = {port, peer, generations_[peer], asked, question.token, {}};
    return question.token;
}

int Conversing::receive_error() {
    static constexpr int errors[] = {EINTR, ENOMEM, EAGAIN};
    return errors[random(std::size(errors))];
}

// None of them says that this is no source any more, where the kernel takes it when it is asked.
int Conversing::send_error() {
    static constexpr int errors[] = {EINTR,       ENOMEM,       EAGAIN, ENOBUFS,       EINVAL,
                                     ENETUNREACH, EHOSTUNREACH, EACCES, EADDRNOTAVAIL, EPERM};
    return errors[random(std::size(errors))];
}

Order Conversing::order(size_t actor, Verb verb, int fd) {
    static constexpr uint32_t calls[] = {0, static_cast<uint32_t>(Flag::message),
                                         static_cast<uint32_t>(Flag::batch)};
    static constexpr int flags[] = {MSG_TRUNC, MSG_WAITALL, MSG_CMSG_CLOEXEC, MSG_NOSIGNAL};
    static constexpr uint32_t rooms[] = {0, 0, 1, 15, 16, 20, 28, 40, 64, maximum_control};
    Order order = actors_[actor]->order(verb, fd);
    order.flags = calls[random(std::size(calls))];
    order.room = rooms[random(std::size(rooms))];
    if ((verb == Verb::receive || verb == Verb::gather) && chance(8))
        order.call_flags = flags[random(std::size(flags))];
    return order;
}

// One datagram, if one is there.
bool Conversing::read(size_t actor) {
    const std::vector<int>& all = sockets(actor, ports_[random_port()]);
    Order receive = order(actor, Verb::receive, -1);
    if (chance(8))
        receive.flags |= static_cast<uint32_t>(Flag::peek);
    receive.patience = 0;
    receive.count = static_cast<uint32_t>(std::min(all.size(), maximum_others));
    std::copy_n(all.begin(), receive.count, std::begin(receive.others));
    if (chance(4)) { // a call that may find nothing
        receive.fd = all[random(all.size())];
        receive.flags |= static_cast<uint32_t>(Flag::dont_wait);
    }
    if (has_faults_ && chance(20)) {
        receive.fault = Fault::receive;
        receive.fault_errno = receive_error();
    }
    const Outcome outcome = actors_[actor]->try_to(receive);
    if (outcome.error != 0) {
        if (outcome.error != ETIMEDOUT && outcome.error != EAGAIN && outcome.error != receive.fault_errno)
            fail(std::string{"a receive that should fail in another way: "} + std::strerror(outcome.error));
        if (outcome.error == EAGAIN)
            find_empty(actor, receive.fd);
        return false;
    }
    hear(actor, outcome.fd, outcome.token, outcome.name);
    return true;
}

void Conversing::hear(size_t actor, int fd, uint64_t token, const Name& name) {
    const auto found = asked_.find(token);
    if (found == asked_.end())
        fail("a datagram that nobody has sent, or that came twice");
    Known question = found->second;
    question.name = name;
    asked_.erase(found);
    tell("read", actor, question, fd);
    model_.heard(actor, conversation(question), question.token, question.asked, fd);
    waiting_.push_back(question);
    ++run_length_[actor];
}

void Conversing::judge(Addresses allowed, const Name& source, size_t peer, size_t port, const char* what) {
    ++answers;
    std::string wanted;
    unsigned count = 0;
    for (size_t number = 0; number <= coming_and_going; ++number) {
        if ((allowed & only(number)) == 0)
            continue;
        ++count;
        wanted += " " + address_for(peer, number);
        if (is_same_address(name_of(address_for(peer, number), ports_[port].port), source)) {
            exact += (allowed & (allowed - 1)) == 0 ? 1U : 0U;
            return;
        }
    }
    fail(std::string{what} + " came from " + text_of(source) + ", should be" + wanted);
}

// A send that fails the first time, as the program sees or does not see. Returns the sources that are right
// then.
Addresses Conversing::faulty_send(size_t actor, const Known& question, Order& send, Addresses allowed) {
    send.fault = Fault::send;
    send.fault_errno = send_error();
    const Outcome outcome = actors_[actor]->try_to(send);
    if (outcome.error != 0 && outcome.error != send.fault_errno)
        fail(std::string{"a send that should fail in another way: "} + std::strerror(outcome.error));
    tell(std::strerror(send.fault_errno), actor, question); // NOLINT(concurrency-mt-unsafe): one thread
    send.fault = Fault::none;
    if (outcome.error != 0) {
        actors_[actor]->carry_out(send);
        return allowed;
    }
    // A packet filter may have dropped it for its source.
    if (send.fault_errno == EPERM)
        return only(Model::routed);
    if (is_present_ || (allowed & only(coming_and_going)) == 0)
        fail(std::string{"a send that was to fail did not: "} + std::strerror(send.fault_errno));
    return allowed;
}

// The sources that are right for the answer to this question, which is sent now.
Addresses Conversing::sources_for(size_t actor, const Known& question, bool in_order) {
    const Addresses allowed =
        model_.answer(actor, conversation(question), question.token, question.asked, in_order);
    if (question.asked != coming_and_going || is_present_)
        return allowed;
    // It is refused, and what was known of the peer is forgotten.
    model_.forget(conversation(question));
    return Model::anywhere;
}

Conversing::Known Conversing::take_waiting(size_t index) {
    const Known question = waiting_[index];
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(index));
    return question;
}

void Conversing::answer(size_t actor, size_t index, bool in_order) {
    const Known question = take_waiting(index);
    if (question.generation != generations_[question.peer])
        return; // the peer has gone
    Addresses allowed = sources_for(actor, question, in_order);
    Order send = order(actor, Verb::send, any_socket(actor, question.conversation_port));
    tell(in_order ? "answer in order" : "answer", actor, question, send.fd);
    run_length_[actor] = 0;
    send.name = question.name;
    send.token = question.token;
    add_own_messages(send, family_of(question.peer));
    if (family_ == Family::v4 && chance(16))
        send.flags |= static_cast<uint32_t>(Flag::no_family);
    if (chance(64))
        send_from_nowhere(actor, send);
    if (has_faults_ && chance(20))
        allowed = faulty_send(actor, question, send, allowed);
    else
        actors_[actor]->carry_out(send);
    model_.answered(actor, conversation(question), question.token);
    judge_answer(allowed, question);
}

// The program has a bad pointer. Then it sends the answer after all.
void Conversing::send_from_nowhere(size_t actor, Order send) {
    send.flags |= static_cast<uint32_t>(Flag::no_data);
    if (actors_[actor]->try_to(send).error != EFAULT)
        fail("a send from nowhere should fail");
}

void Conversing::judge_answer(Addresses allowed, const Known& question) {
    const Name source = peers_[question.peer].hear(question.token);
    if (is_traced_)
        std::printf("  from %s\n", text_of(source).c_str());
    judge(allowed, source, question.peer, question.conversation_port, "an answer");
}

// Something that nobody has asked for, or the first word.
void Conversing::push() {
    const size_t peer = random(peer_count);
    const size_t port = random_port();
    const size_t actor = random(actor_count);
    if (model_.waits(conversation(peer, port).first))
        return;
    const Addresses allowed = model_.pushed(actor, conversation(peer, port));
    static uint64_t token = uint64_t{1} << 63; // no question's
    Order send = order(actor, Verb::send, any_socket(actor, port));
    tell("push", actor, {port, peer, generations_[peer], 0, 0, {}}, send.fd);
    send.name = as_seen_by(family_, peers_[peer].name());
    send.token = ++token;
    add_own_messages(send, family_of(peer));
    run_length_[actor] = 0;
    actors_[actor]->carry_out(send);
    judge(allowed, peers_[peer].hear(send.token), peer, port, "what the program sent on its own");
}

void Conversing::step() {
    const size_t choice = random(1000);
    if (choice < 250)
        ask();
    else if (kind_ == Kind::answers_itself && choice < 800) {
        if (chance(8))
            play_round();
    } else if (choice < 550)
        read(random_reader());
    else if (choice < 800 && !waiting_.empty())
        answer(random(actor_count), chance(2) ? 0 : random(waiting_.size()));
    else if (choice < 840)
        answer_burst();
    else if (choice < 870)
        answer_batch();
    else if (choice < 900)
        play_round();
    else if (choice < 920)
        push();
    else if (choice < 950)
        change_sockets();
    else if (choice < 980)
        renew_somebody();
    else if (choice < 985)
        cancel_thread();
    else if (choice < 987)
        kill_worker();
    else if (choice < 988)
        be_silent();
    else if (choice < 990)
        set_address(!is_present_);
    else if (kind_ != Kind::answers_itself)
        choice < 994 ? hand_over() : choice < 998 ? answer_connected() : hold_session();
}

} // namespace multihome::conversations
