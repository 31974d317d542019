// SPDX-License-Identifier: MIT
#include "tools/bench/ask.hpp"

#include "tools/bench/client.hpp"

#include <arpa/inet.h>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <stdexcept>

namespace multihome::bench {

namespace {

in_addr_t parse(const std::string& text) {
    in_addr address{};
    if (inet_pton(AF_INET, text.c_str(), &address) != 1)
        throw std::invalid_argument("no IPv4 address: " + text);
    return ntohl(address.s_addr);
}

struct Outcome {
    uint64_t asked = 0; // where that is known
    Load::Answers answers;
};

Outcome load_for(const sockaddr_in& server, const AskSettings& settings) {
    LoadSettings load_settings{.server = server, .window = 32, .size = 512};
    load_settings.peers = settings.count;
    load_settings.first_peer = parse(settings.first);
    const Load load(load_settings);
    std::this_thread::sleep_for(std::chrono::milliseconds(settings.milliseconds));
    return {0, load.answers()};
}

Outcome ask(const sockaddr_in& server, const AskSettings& settings) {
    if (settings.rate != 0) {
        const Paced paced = ask_at_rate(server, parse(settings.first), settings.count, settings.own_port,
                                        settings.rate, std::chrono::milliseconds(settings.milliseconds));
        return {paced.asked, paced.answers};
    }
    if (settings.passes != 0)
        return {settings.count,
                sweep(server, parse(settings.first), settings.count, settings.own_port, settings.passes)};
    return load_for(server, settings);
}

} // namespace

int run_ask(const AskSettings& settings) {
    const sockaddr_in server = address_of(parse(settings.address), settings.port);
    const auto start = std::chrono::steady_clock::now();
    const Outcome outcome = ask(server, settings);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    std::printf("%llu %llu %llu %.6f %.6f\n", static_cast<unsigned long long>(outcome.asked),
                static_cast<unsigned long long>(outcome.answers.all),
                static_cast<unsigned long long>(outcome.answers.right), elapsed.count(),
                static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9);
    return 0;
}

} // namespace multihome::bench
