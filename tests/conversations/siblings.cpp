// SPDX-License-Identifier: MIT
//
// Several sockets on one port, of which one hears a peer and another one answers: to the peer they are one.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

// A DTLS server's listener answers with a cookie. When the peer comes back with it, the server makes a socket
// for this peer alone: bound to the same port, and connected.
void dtls(Program& program, Family family, Tally& tally) {
    Actor& actor = program.main();
    const int listener = actor.open(family, {Flag::reuse_address});
    const in_port_t port = actor.port_of(listener);
    for (unsigned number = 0; number < 30; ++number) {
        Peer peer{peer_address(family, number)};
        const std::string& address = addresses(family)[number % 3];
        const Question hello = peer.ask(address, port);
        actor.receive(listener);
        actor.send(listener, peer.name(), hello.token);
        tally.judge(hello, peer.hear(hello.token));

        const Question again = peer.ask(address, port);
        actor.receive(listener);
        const int own = actor.open(family, {Flag::reuse_address}, port);
        actor.connect(own, peer.name());
        Order send = actor.order(Verb::send, own);
        send.name.length = 0;
        send.token = again.token;
        actor.carry_out(send);
        tally.judge(again, peer.hear(again.token));

        // And what the peer says now has to come to its own socket. Else it was not heard where it should be.
        const Question more = peer.ask(address, port);
        Order receive = actor.order(Verb::receive, own);
        receive.count = 1;
        receive.others[0] = listener;
        const Outcome heard = actor.carry_out(receive);
        if (heard.fd != own) {
            tally.expect(more.asked, Name{});
            actor.send(listener, peer.name(), more.token);
            peer.hear(more.token);
        } else {
            actor.carry_out([&] {
                Order answer = send;
                answer.token = more.token;
                return answer;
            }());
            tally.judge(more, peer.hear(more.token));
        }
        actor.close(own);
    }
}

// The sockets of a group with SO_REUSEPORT answer for each other.
void reuse_port(Program& program, Family family, Tally& tally, uint32_t questions, bool by_thread) {
    constexpr size_t siblings = 4;
    Actor& reader = program.main();
    std::vector<int> group{reader.open(family, {Flag::reuse_port})};
    const in_port_t port = reader.port_of(group[0]);
    while (group.size() < siblings)
        group.push_back(reader.open(family, {Flag::reuse_port}, port));
    Actor& answerer = by_thread ? program.start_thread() : reader;

    Order receive = reader.order(Verb::receive, -1);
    receive.count = siblings;
    std::copy(group.begin(), group.end(), std::begin(receive.others));
    std::vector<Peer> peers;
    for (unsigned number = 0; number < 100; ++number)
        peers.emplace_back(peer_address(family, number));
    for (uint32_t number = 0; number < questions; ++number) {
        Peer& peer = peers[number % peers.size()];
        const Question question = peer.ask(addresses(family)[(number + number / 100) % 3], port);
        const int heard_by = reader.carry_out(receive).fd;
        int other = group[number % siblings];
        if (other == heard_by)
            other = group[(number + 1) % siblings];
        answerer.send(other, peer.name(), question.token);
        tally.judge(question, peer.hear(question.token));
    }
}

int open_connected(Actor& actor, Family family, in_port_t port, const Name& peer) {
    const int fd = actor.open(family, {Flag::reuse_address}, port);
    actor.connect(fd, peer);
    return fd;
}

// A peer has a session at each of two addresses, and the server a connected socket for each. It sends to the
// peer by name all the same.
void two_sessions(Program& program, Family family, Tally& tally) {
    Actor& reader = program.main();
    Actor& pusher = program.start_thread();
    const int listener = reader.open(family, {Flag::reuse_address});
    const in_port_t port = reader.port_of(listener);
    Peer peer{peer_address(family, 0)};
    const std::string asked[] = {addresses(family)[1], addresses(family)[2]};
    std::vector<int> sessions;
    for (const std::string& address : asked) {
        const Question hello = peer.ask(address, port);
        reader.receive(listener);
        reader.send(listener, peer.name(), hello.token);
        tally.judge(hello, peer.hear(hello.token));
        peer.ask(address, port);
        reader.receive(listener);
        sessions.push_back(open_connected(reader, family, port, peer.name()));
    }
    for (unsigned round = 0; round < 5; ++round) {
        std::vector<Question> questions;
        for (size_t number = 0; number < sessions.size(); ++number) {
            questions.push_back(peer.ask(asked[number], port));
            Order receive = reader.order(Verb::receive, listener); // without the shim it hears them all
            receive.count = 2;
            std::copy(sessions.begin(), sessions.end(), std::begin(receive.others));
            reader.carry_out(receive);
        }
        for (Actor* const actor : {&reader, &pusher})
            for (size_t number = 0; number < sessions.size(); ++number) {
                actor->send(sessions[number], peer.name(), questions[number].token);
                tally.judge(questions[number], peer.hear(questions[number].token));
            }
    }
}

// A peer that works without the shim has a connected socket. A stranger asks the listener in its name.
void stranger_at_listener(Program& program, Family family, Tally& tally) {
    Actor& reader = program.main();
    Actor& pusher = program.start_thread();
    const auto& [primary, second, third] = addresses(family);
    const int listener = reader.open(family, {Flag::reuse_address});
    const in_port_t port = reader.port_of(listener);
    Peer peer{peer_address(family, 0)};
    for (unsigned number = 0; number < 3; ++number) {
        const Question question = peer.ask(primary, port);
        reader.receive(listener);
        pusher.send(listener, peer.name(), question.token); // this program answers late
        tally.judge(question, peer.hear(question.token));
    }
    const int session = open_connected(reader, family, port, peer.name());
    uint64_t push = uint64_t{1} << 63; // no question's token
    for (const std::string& address : {second, third, second}) {
        peer.ask(address, port);
        reader.receive(listener);
        pusher.send(session, peer.name(), ++push);
        tally.expect(name_of(primary, port), peer.hear(push));
    }
}

} // namespace

std::vector<Case> cases_of_siblings() {
    std::vector<Case> cases{{"siblings.dtls", Bare::wrong, dtls},
                            {"siblings.connected.two_sessions", Bare::wrong, two_sessions},
                            {"siblings.connected.stranger", Bare::all_right, stranger_at_listener}};
    for (const bool by_thread : {false, true})
        cases.push_back({by_thread ? "siblings.reuse_port.by_thread" : "siblings.reuse_port.at_once",
                         Bare::wrong, [=](Program& program, Family family, Tally& tally) {
                             reuse_port(program, family, tally, 10'000, by_thread);
                         }});
    return cases;
}

} // namespace multihome::conversations
