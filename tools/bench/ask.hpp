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
    // The peers that it plays: `count` addresses from `first` on.
    std::string first;
    uint32_t count = 1;
    uint16_t own_port = 0; // 0: any. The same addresses with another port are other peers.
    // As many requests as the server takes, for `milliseconds`. With a rate, so many a second, whether
    // answers come or not. With passes, each peer once in each pass.
    unsigned milliseconds = 0;
    unsigned rate = 0;
    unsigned passes = 0;
};

// Prints "ASKED ANSWERS RIGHT SECONDS PROCESSOR-SECONDS".
int run_ask(const AskSettings& settings);

} // namespace multihome::bench
