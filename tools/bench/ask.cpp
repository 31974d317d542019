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

Load::Answers load_for(const sockaddr_in& server, std::chrono::milliseconds duration) {
    const Load load(server, 1, 32, 512);
    std::this_thread::sleep_for(duration);
    return load.answers();
}

} // namespace

int run_ask(const AskSettings& settings) {
    const sockaddr_in server = address_of(parse(settings.address), settings.port);
    const auto start = std::chrono::steady_clock::now();
    const Load::Answers answers =
        settings.sweep_first.empty()
            ? load_for(server, std::chrono::milliseconds(settings.milliseconds))
            : sweep(server, parse(settings.sweep_first), settings.sweep_count, settings.sweep_passes);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    std::printf("%llu %llu %.6f %.6f\n", static_cast<unsigned long long>(answers.all),
                static_cast<unsigned long long>(answers.right), elapsed.count(),
                static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9);
    return 0;
}

} // namespace multihome::bench
