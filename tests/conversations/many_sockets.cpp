// SPDX-License-Identifier: MIT
//
// One port of a peer asks many sockets of one program, each at an address of its own and at another one the
// next time.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

struct Server {
    int fd;
    in_port_t port;
};

// Who answers, and when.
enum class Answers {
    at_once,
    in_order,  // after all have been read
    by_thread, // after all have been read, by another thread than the one that read them
    by_worker, // likewise, by a forked worker
};

std::vector<Server> open_servers(Actor& actor, Family family, size_t count, uint32_t cookie_modulus) {
    std::vector<Server> servers;
    for (size_t index = 0; index < count; ++index) {
        Order open;
        open.verb = Verb::open;
        open.family = family == Family::v4 ? AF_INET : AF_INET6;
        open.cookie_modulus = cookie_modulus;
        Server server{actor.carry_out(open).fd, 0};
        Order bind = actor.order(Verb::bind, server.fd);
        bind.name = name_of(family == Family::v4 ? "0.0.0.0" : "::", 0);
        actor.carry_out(bind);
        server.port = actor.port_of(server.fd);
        servers.push_back(server);
    }
    return servers;
}

Actor& who_answers(Program& program, Answers answers) {
    switch (answers) {
    case Answers::by_thread:
        return program.start_thread();
    case Answers::by_worker:
        return program.start_worker();
    case Answers::at_once:
    case Answers::in_order:
        break;
    }
    return program.main();
}

// The peer asks each server, at another address in each round, and `reader` reads each question. With
// `to_the_end`, it finds the socket empty then.
std::vector<Question> ask_each(Peer& peer, Family family, const std::vector<Server>& servers, size_t round,
                               Actor& reader, bool to_the_end) {
    std::vector<Question> questions;
    for (size_t index = 0; index < servers.size(); ++index) {
        questions.push_back(peer.ask(addresses(family)[(index + round) % 3], servers[index].port));
        reader.receive(servers[index].fd);
        if (to_the_end)
            reader.find_empty(servers[index].fd);
    }
    return questions;
}

void answer_each(Peer& peer, const std::vector<Server>& servers, const std::vector<Question>& questions,
                 Actor& answerer, Tally& tally) {
    for (size_t index = 0; index < servers.size(); ++index) {
        answerer.send(servers[index].fd, peer.name(), questions[index].token);
        tally.judge(questions[index], peer.hear(questions[index].token));
    }
}

void ask_all(Program& program, Family family, Tally& tally, size_t count, Answers answers,
             uint32_t cookie_modulus = 0) {
    Actor& reader = program.main();
    const std::vector<Server> servers = open_servers(reader, family, count, cookie_modulus);
    Actor& answerer = who_answers(program, answers);
    Peer peer{peer_address(family, 0)};
    constexpr size_t rounds = 3;
    for (size_t round = 0; round < rounds; ++round) {
        if (answers != Answers::at_once) {
            const std::vector<Question> questions = ask_each(peer, family, servers, round, reader, false);
            answer_each(peer, servers, questions, answerer, tally);
            continue;
        }
        for (size_t index = 0; index < servers.size(); ++index) {
            const std::vector<Server> one{servers[index]};
            answer_each(peer, one, ask_each(peer, family, one, index + round, reader, false), reader, tally);
        }
    }
}

// One thread reads each socket to its end. A worker that is forked anew answers, or another thread, or in
// each third round the thread that reads.
void drain_all(Program& program, Family family, Tally& tally, size_t count, bool forked) {
    Actor& reader = program.main();
    const std::vector<Server> servers = open_servers(reader, family, count, 0);
    Actor& other = forked ? program.start_worker() : program.start_thread();
    Peer peer{peer_address(family, 0)};
    constexpr size_t rounds = 6;
    for (size_t round = 0; round < rounds; ++round) {
        const std::vector<Question> questions = ask_each(peer, family, servers, round, reader, true);
        if (forked) {
            program.kill(other);
            program.start_worker_again(other);
        }
        answer_each(peer, servers, questions, !forked && round % 3 == 2 ? reader : other, tally);
    }
}

// One thread reads a datagram of each socket, and forks a worker that answers. In each third round it finds
// that there are no more.
void fork_for_all(Program& program, Family family, Tally& tally, size_t count) {
    Actor& reader = program.main();
    const std::vector<Server> servers = open_servers(reader, family, count, 0);
    Actor& worker = program.start_worker();
    Peer peer{peer_address(family, 0)};
    constexpr size_t rounds = 6;
    for (size_t round = 0; round < rounds; ++round) {
        const std::vector<Question> questions =
            ask_each(peer, family, servers, round, reader, round % 3 == 2);
        program.kill(worker);
        program.start_worker_again(worker);
        answer_each(peer, servers, questions, worker, tally);
    }
}

// One thread empties two sockets, one after the other or in turn, and answers in the order in which it read.
// The peer asks each of them at several addresses.
void drain_two(Program& program, Family family, Tally& tally, bool in_turn) {
    Actor& actor = program.main();
    const std::vector<Server> servers = open_servers(actor, family, 2, 0);
    std::vector<Peer> peers;
    for (unsigned number = 0; number < 3; ++number)
        peers.emplace_back(peer_address(family, number));
    constexpr size_t questions_each = 8;
    struct Asked {
        Question question;
        size_t peer;
        size_t server;
    };
    for (size_t round = 0; round < 10; ++round) {
        std::vector<Asked> asked;
        for (size_t number = 0; number < questions_each; ++number) {
            for (size_t index = 0; index < 2; ++index) {
                const size_t server = in_turn ? index : (2 * number + index) / questions_each;
                const size_t peer = (number + round) % peers.size();
                // Each socket is asked at addresses in an order of its own.
                const size_t address = (number * (server + 1) + index + round) % 3;
                asked.push_back(
                    {peers[peer].ask(addresses(family)[address], servers[server].port), peer, server});
            }
        }
        std::array<size_t, 2> read{};
        for (const Asked& one : asked) {
            actor.receive(servers[one.server].fd);
            if (++read[one.server] == questions_each)
                actor.find_empty(servers[one.server].fd);
        }
        for (const Asked& one : asked) {
            actor.send(servers[one.server].fd, peers[one.peer].name(), one.question.token);
            tally.judge(one.question, peers[one.peer].hear(one.question.token));
        }
    }
}

} // namespace

std::vector<Case> cases_of_many_sockets() {
    std::vector<Case> cases;
    const std::pair<const char*, Answers> ways[] = {{"at_once", Answers::at_once},
                                                    {"in_order", Answers::in_order},
                                                    {"by_thread", Answers::by_thread},
                                                    {"by_worker", Answers::by_worker}};
    for (const auto& [name, answers] : ways) {
        for (const size_t count : {size_t{9}, size_t{40}, size_t{150}})
            cases.push_back({"sockets." + std::to_string(count) + "." + name, Bare::wrong,
                             [=, answers = answers](Program& program, Family family, Tally& tally) {
                                 ask_all(program, family, tally, count, answers);
                             }});
        cases.push_back({std::string{"sockets.alike."} + name, Bare::wrong,
                         [answers = answers](Program& program, Family family, Tally& tally) {
                             ask_all(program, family, tally, 200, answers, 128);
                         }});
    }
    for (const bool in_turn : {false, true})
        cases.push_back({in_turn ? "sockets.drained.in_turn" : "sockets.drained.one_by_one", Bare::wrong,
                         [=](Program& program, Family family, Tally& tally) {
                             drain_two(program, family, tally, in_turn);
                         }});
    for (const size_t count : {size_t{1}, size_t{9}})
        cases.push_back({"sockets.drained.now_and_then." + std::to_string(count), Bare::wrong,
                         [=](Program& program, Family family, Tally& tally) {
                             fork_for_all(program, family, tally, count);
                         }});
    for (const bool forked : {false, true})
        for (const size_t count : {size_t{9}, size_t{40}})
            cases.push_back(
                {"sockets.drained." + std::to_string(count) + (forked ? ".by_worker" : ".by_thread"),
                 Bare::wrong, [=](Program& program, Family family, Tally& tally) {
                     drain_all(program, family, tally, count, forked);
                 }});
    return cases;
}

} // namespace multihome::conversations
