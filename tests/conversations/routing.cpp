// SPDX-License-Identifier: MIT
//
// What a program asks goes where the routing table says, and follows it when it changes. What answers cannot
// do without is an address that the host still has.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

void prefer(Family family, const std::string& address) {
    ip(family == Family::v4 ? "route replace local 203.0.113.0/24 dev lo src " + address
                            : "-6 route replace local 2001:db8:ffff::/64 dev lo src " + address);
}

// The program speaks first, to peers that answer where they were asked from. Then its host's preferred
// address changes. Its server socket asks too.
void follow_routes(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& speaker = by_thread ? program.start_thread() : reader;
    const int socket = reader.open(family);
    const in_port_t port = reader.port_of(socket);
    std::vector<Peer> peers;
    for (unsigned number = 0; number < 20; ++number)
        peers.emplace_back(peer_address(family, number));
    uint64_t word = uint64_t{1} << 63;
    for (const size_t preferred : {0U, 1U, 2U, 1U, 0U}) {
        const std::string& address = addresses(family)[preferred];
        prefer(family, address);
        for (unsigned round = 0; round < 2; ++round) {
            for (Peer& peer : peers) {
                speaker.send(socket, peer.name(), ++word);
                const Name source = peer.hear(word);
                tally.expect(name_of(address, port), source);
                peer.ask(text_of(source), port);
                reader.receive(socket);
            }
        }
    }
}

// The host loses the address that its peers have asked, while the program goes on to send to them. Then they
// ask at another one.
void lose_address(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& sender = by_thread ? program.start_thread() : reader;
    const int socket = reader.open(family);
    const in_port_t port = reader.port_of(socket);
    const auto ask = [&](Peer& peer, const std::string& address) {
        const Question question = peer.ask(address, port);
        reader.receive(socket);
        return question;
    };
    for (unsigned number = 0; number < 10; ++number) {
        Peer peer{peer_address(family, number)};
        add_address(address_to_lose(family));
        const Question lost = ask(peer, address_to_lose(family));
        remove_address(address_to_lose(family));
        for (unsigned sends = 0; sends < 3; ++sends) {
            sender.send(socket, peer.name(), lost.token);
            peer.hear(lost.token);
        }
        const Question next = ask(peer, addresses(family)[1]);
        sender.send(socket, peer.name(), next.token);
        tally.judge(next, peer.hear(next.token));
    }
}

} // namespace

std::vector<Case> cases_of_routing() {
    std::vector<Case> cases;
    for (const bool by_thread : {false, true}) {
        cases.push_back({std::string{"routing.spoke_first."} + (by_thread ? "by_thread" : "by_reader"),
                         Bare::all_right, [=](Program& program, Family family, Tally& tally) {
                             follow_routes(program, family, tally, by_thread);
                         }});
        cases.push_back({std::string{"routing.address_lost."} + (by_thread ? "by_thread" : "by_reader"),
                         Bare::wrong, [=](Program& program, Family family, Tally& tally) {
                             lose_address(program, family, tally, by_thread);
                         }});
    }
    return cases;
}

} // namespace multihome::conversations
