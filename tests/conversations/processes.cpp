// SPDX-License-Identifier: MIT
//
// Workers: what one process has heard, another one answers, though the first has ended meanwhile in whatever
// way.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

struct Server {
    int fd;
    in_port_t port;
};

Server open_server(Actor& actor, Family family) {
    const int fd = actor.open(family);
    return {fd, actor.port_of(fd)};
}

Question ask_next(Peer& peer, Family family, const Server& server) {
    static unsigned number = 0;
    return peer.ask(addresses(family)[number++ % 3], server.port);
}

void answer(Actor& actor, const Server& server, Peer& peer, const Question& question, Tally& tally) {
    actor.send(server.fd, peer.name(), question.token);
    tally.judge(question, peer.hear(question.token));
}

// Each worker hears, and each answers, at once or for another one.
void workers(Program& program, Family family, Tally& tally) {
    const Server server = open_server(program.main(), family);
    std::vector<Actor*> crew{&program.main()};
    for (unsigned number = 0; number < 3; ++number)
        crew.push_back(&program.start_worker());
    crew.push_back(&program.start_worker(*crew.back())); // a grandchild
    Peer peer{peer_address(family, 0)};
    for (unsigned round = 0; round < 4; ++round)
        for (Actor* const reader : crew)
            for (Actor* const answerer : crew) {
                const Question question = ask_next(peer, family, server);
                reader->receive(server.fd);
                answer(*answerer, server, peer, question, tally);
            }
}

// A worker dies between what it has heard and its answer, which another one gives.
void death(Program& program, Family family, Tally& tally, bool is_killed) {
    const Server server = open_server(program.main(), family);
    std::vector<Peer> peers;
    for (unsigned number = 0; number < 20; ++number)
        peers.emplace_back(peer_address(family, number));
    for (unsigned round = 0; round < 5; ++round) {
        Actor& worker = program.start_worker();
        std::vector<Question> questions;
        for (Peer& peer : peers) {
            questions.push_back(ask_next(peer, family, server));
            worker.receive(server.fd);
        }
        if (is_killed)
            program.kill(worker);
        else
            worker.leave();
        Actor& successor = round % 2 == 0 ? program.main() : program.start_worker();
        for (size_t number = 0; number < peers.size(); ++number)
            answer(successor, server, peers[number], questions[number], tally);
    }
}

// A worker for each request, which is forked when it has been read.
void fork_to_answer(Program& program, Family family, Tally& tally) {
    const Server server = open_server(program.main(), family);
    Peer peer{peer_address(family, 0)};
    for (unsigned number = 0; number < 9; ++number) {
        const Question question = ask_next(peer, family, server);
        program.main().receive(server.fd);
        Actor& worker = program.start_worker();
        answer(worker, server, peer, question, tally);
        worker.leave();
    }
}

// The process that has made the socket ends, its workers go on.
void orphans(Program& program, Family family, Tally& tally) {
    const Server server = open_server(program.main(), family);
    Peer peer{peer_address(family, 0)};
    Actor& first = program.start_worker();
    Actor& second = program.start_worker();
    const Question question = ask_next(peer, family, server);
    program.main().receive(server.fd);
    program.main().leave();
    answer(first, server, peer, question, tally);
    for (unsigned number = 0; number < 20; ++number) {
        const Question next = ask_next(peer, family, server);
        (number % 2 == 0 ? first : second).receive(server.fd);
        answer(number % 4 < 2 ? first : second, server, peer, next, tally);
    }
}

} // namespace

std::vector<Case> cases_of_processes() {
    const auto die = [](bool is_killed) {
        return
            [=](Program& program, Family family, Tally& tally) { death(program, family, tally, is_killed); };
    };
    return {{"processes.workers", Bare::wrong, workers},
            {"processes.killed", Bare::wrong, die(true)},
            {"processes.ended", Bare::wrong, die(false)},
            {"processes.fork_to_answer", Bare::wrong, fork_to_answer},
            {"processes.orphans", Bare::wrong, orphans}};
}

} // namespace multihome::conversations
