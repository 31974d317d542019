// SPDX-License-Identifier: MIT
//
// multihome-bench-programs PROGRAM SETTINGS: what multihome-bench starts. Of no use to anybody else.
#include "tools/bench/programs.hpp"

#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace multihome::bench {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Server, native, ipv6, calls, memory, room, threads, workers,
                                                warm_up, requests, gated, marks, port)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Client, address, port, addresses, alternating, first, count,
                                                own_port, size, patience, window, warm_up, requests, gate,
                                                exact, right, milliseconds, rate, threads, settle, watch)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(PassOn, kind, count)

namespace {

template <typename Settings>
int run_with(const char* text) {
    const auto given = nlohmann::json::parse(text);
    nlohmann::json all = Settings{};
    const size_t known = all.size();
    all.update(given);
    if (all.size() != known)
        throw std::invalid_argument(given.dump() + " has a setting that does not exist");
    return run(all.get<Settings>());
}

const std::map<std::string, int (*)(const char*)> programs = {
    {"server", run_with<Server>}, {"client", run_with<Client>}, {"pass-on", run_with<PassOn>}};

} // namespace

} // namespace multihome::bench

int main(int argc, char** argv) {
    try {
        return multihome::bench::programs.at(argc > 1 ? argv[1] : "")(argc > 2 ? argv[2] : "{}");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multihome-bench-programs: %s\n", error.what());
        return 1;
    }
}
