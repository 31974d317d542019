// SPDX-License-Identifier: MIT
//
// A thousand peers ask one socket, each at another address than the time before.
#include "tests/conversations/script.hpp"

namespace multihome::conversations {

namespace {

constexpr size_t peer_count = 1000;
constexpr size_t rounds = 3;
// So many datagrams fit into a socket before it is read.
constexpr size_t window = 100;

enum class Answers { at_once, in_order, by_thread };

void ask_from_all(Program& program, Family family, Tally& tally, Answers answers,
                  std::initializer_list<Flag> calls) {
    Actor& reader = program.main();
    reader.use(calls);
    const int server = reader.open(family);
    const in_port_t port = reader.port_of(server);
    Actor& answerer = answers == Answers::by_thread ? program.start_thread() : reader;
    std::vector<Peer> peers;
    for (unsigned number = 0; number < peer_count; ++number)
        peers.emplace_back(peer_address(family, number));
    // An answer to each of those that have not been answered yet, in order.
    const auto answer = [&](const std::vector<Question>& questions, size_t begin) {
        for (size_t first = begin; first < questions.size(); first += window) {
            const size_t end = std::min(questions.size(), first + window);
            std::vector<Order> orders;
            for (size_t index = first; index < end; ++index) {
                orders.push_back(answerer.order(Verb::send, server));
                orders.back().name = peers[index].name();
                orders.back().token = questions[index].token;
            }
            answerer.carry_out(orders);
            for (size_t index = first; index < end; ++index)
                tally.judge(questions[index], peers[index].hear(questions[index].token));
        }
    };
    for (size_t round = 0; round < rounds; ++round) {
        std::vector<Question> questions;
        while (questions.size() < peers.size()) {
            const size_t begin = questions.size();
            const size_t end = std::min(peers.size(), begin + (answers == Answers::at_once ? 1 : window));
            for (size_t index = begin; index < end; ++index)
                questions.push_back(peers[index].ask(addresses(family)[(index + round) % 3], port));
            reader.carry_out(std::vector<Order>(end - begin, reader.order(Verb::receive, server)));
            if (answers == Answers::at_once)
                answer(questions, begin);
        }
        if (answers != Answers::at_once)
            answer(questions, 0);
    }
}

} // namespace

std::vector<Case> cases_of_many_peers() {
    std::vector<Case> cases;
    const std::pair<const char*, Answers> ways[] = {
        {"at_once", Answers::at_once}, {"in_order", Answers::in_order}, {"by_thread", Answers::by_thread}};
    for (const auto& [name, answers] : ways) {
        cases.push_back({std::string{"peers.thousand."} + name, Bare::wrong,
                         [answers = answers](Program& program, Family family, Tally& tally) {
                             ask_from_all(program, family, tally, answers, {});
                         }});
        cases.push_back({std::string{"peers.thousand.message."} + name, Bare::wrong,
                         [answers = answers](Program& program, Family family, Tally& tally) {
                             ask_from_all(program, family, tally, answers, {Flag::message});
                         }});
    }
    return cases;
}

} // namespace multihome::conversations
