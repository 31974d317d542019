// SPDX-License-Identifier: MIT
//
// A host with more addresses than can be numbered: all of 127/8, and those of an AnyIP route. Anybody may ask
// at each of them, and nobody else may suffer from it.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

constexpr unsigned window = 100;

std::string loopback_address(uint32_t number) {
    return "127." + std::to_string(number >> 16 & 255) + "." + std::to_string(number >> 8 & 255) + "." +
           std::to_string(number & 255);
}

// One of those that are the host's by a route alone.
std::string any_address(Family family, uint32_t number) {
    if (family == Family::v4)
        return "198.18." + std::to_string(number >> 8 & 255) + "." + std::to_string(number & 255);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "2001:db8:7::%x:%x", number >> 16, number & 0xffff);
    return text.data();
}

// `count` requests to as many addresses, from a new port every hundred. A half of them is answered.
template <typename Address>
void flood(Actor& actor, Family family, int server, in_port_t port, uint32_t count, Address address) {
    for (uint32_t first = 0; first < count; first += window) {
        Peer peer{peer_address(family, 249)};
        for (uint32_t number = first; number < first + window; ++number)
            peer.ask(address(number), port);
        Order drain = actor.order(Verb::drain, server);
        drain.count = window;
        if (first / window % 2 == 1)
            drain.flags |= static_cast<uint32_t>(Flag::answer);
        actor.carry_out(drain);
    }
}

// Peers that ask at `asked(number)` and are answered by another thread.
template <typename Asked>
void ask_and_answer_late(Actor& reader, Actor& answerer, Family family, int server, Tally& tally,
                         Asked asked) {
    const in_port_t port = reader.port_of(server);
    std::vector<Peer> peers;
    std::vector<Question> questions;
    for (unsigned number = 0; number < window; ++number) {
        peers.emplace_back(peer_address(family, number));
        questions.push_back(peers.back().ask(asked(number), port));
        reader.receive(server);
    }
    for (size_t number = 0; number < peers.size(); ++number) {
        answerer.send(server, peers[number].name(), questions[number].token);
        tally.judge(questions[number], peers[number].hear(questions[number].token));
    }
}

void after_a_flood(Program& program, Family family, Tally& tally) {
    Actor& reader = program.main();
    Actor& answerer = program.start_thread();
    const int server = reader.open(family);
    const in_port_t port = reader.port_of(server);
    const auto ordinary = [&](unsigned number) { return addresses(family)[number % 3]; };
    ask_and_answer_late(reader, answerer, family, server, tally, ordinary);
    // The bare program has nothing that could run full.
    const uint32_t count = program.is_bare() ? window : family == Family::v4 ? 50'000 : 100'000;
    if (family == Family::v4)
        flood(reader, family, server, port, count, loopback_address);
    flood(reader, family, server, port, count, [&](uint32_t number) { return any_address(family, number); });
    for (unsigned round = 0; round < 3; ++round)
        ask_and_answer_late(reader, answerer, family, server, tally, ordinary);
    // The newest of the many are served like anybody.
    ask_and_answer_late(reader, answerer, family, server, tally,
                        [&](unsigned number) { return any_address(family, count + number % 10); });
}

void each_address(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& answerer = by_thread ? program.start_thread() : reader;
    const int server = reader.open(family);
    const in_port_t port = reader.port_of(server);
    Peer peer{peer_address(family, 0)};
    for (uint32_t number = 0; number < 3000; ++number) {
        const Question question = peer.ask(any_address(family, number), port);
        reader.receive(server);
        answerer.send(server, peer.name(), question.token);
        tally.judge(question, peer.hear(question.token));
    }
}

} // namespace

std::vector<Case> cases_of_any_ip() {
    std::vector<Case> cases{{"any_ip.flood", Bare::wrong, after_a_flood}};
    for (const bool by_thread : {false, true})
        cases.push_back({by_thread ? "any_ip.by_thread" : "any_ip.at_once", Bare::wrong,
                         [=](Program& program, Family family, Tally& tally) {
                             each_address(program, family, tally, by_thread);
                         }});
    return cases;
}

} // namespace multihome::conversations
