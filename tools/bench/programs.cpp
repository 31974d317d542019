// SPDX-License-Identifier: MIT
//
// multihome-bench-programs PROGRAM NAME=VALUE...: what multihome-bench starts. Of no use to anybody else.
#include "tools/bench/programs.hpp"

#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace multihome::bench {

using Json = nlohmann::json;

NLOHMANN_JSON_SERIALIZE_ENUM(Calls, {{Calls::plain, "plain"},
                                     {Calls::messages, "messages"},
                                     {Calls::batches, "batches"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Memory,
                             {{Memory::stack, "stack"}, {Memory::heap, "heap"}, {Memory::fixed, "fixed"}})
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Server, native, ipv6, calls, memory, room, threads, workers,
                                                warm_up, requests, gated, marks, port)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Client, address, port, addresses, alternating, first, count,
                                                own_port, size, patience, window, requests, warm_up, gate,
                                                exact, right, milliseconds, rate, threads, heard, settle,
                                                watch)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PassOn, kind, count)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Connector, count, information, steer)

namespace {

// Each value is JSON, or a word that is none.
template <typename Settings>
int run_with(const std::vector<std::string>& words) {
    Json json = Settings{};
    for (const std::string& word : words) {
        const size_t end = std::min(word.find('='), word.size() - 1);
        const std::string text = word.substr(end + 1);
        const Json value = Json::parse(text, nullptr, false);
        json.at(word.substr(0, end)) = value.is_discarded() ? Json(text) : value;
    }
    return run(json.get<Settings>());
}

const std::map<std::string, int (*)(const std::vector<std::string>&)> programs = {
    {"server", run_with<Server>},
    {"client", run_with<Client>},
    {"pass-on", run_with<PassOn>},
    {"connector", run_with<Connector>}};

} // namespace

} // namespace multihome::bench

int main(int argc, char** argv) {
    try {
        return multihome::bench::programs.at(argc > 1 ? argv[1] : "")({argv + 2, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multihome-bench-programs: %s\n", error.what());
        return 1;
    }
}
