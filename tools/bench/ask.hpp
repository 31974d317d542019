// SPDX-License-Identifier: MIT
//
// The client for servers in another network namespace, started by lab.sh.
#pragma once

#include <cstdint>
#include <string>

namespace multihome::bench {

struct AskSettings {
    std::string address;
    uint16_t port = 0;
    unsigned milliseconds = 0;
    std::string sweep_first; // with it: once from each of `sweep_count` addresses from this one on
    uint32_t sweep_count = 0;
    unsigned sweep_passes = 1;
};

// Prints "ANSWERS RIGHT SECONDS PROCESSOR-SECONDS".
int run_ask(const AskSettings& settings);

} // namespace multihome::bench
