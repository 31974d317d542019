// SPDX-License-Identifier: MIT
//
// Under the key that a server drew by lot, its clients lie in other places of the table each time, and a
// count is not exact. The bench has a key that is always the same.
#pragma once

#include "shim/peers/shared_state.hpp"

#include <cstdint>
#include <fstream>
#include <random>
#include <string>

namespace multihome::bench {

// Knuth's MMIX generator: the numbers are always the same.
using Random = std::linear_congruential_engine<uint64_t, 6364136223846793005, 1442695040888963407, 0>;

inline HashKey steady_key() {
    HashKey key{};
    Random random(1);
    for (uint64_t& word : key.words) {
        word = random();
        word ^= word >> 32;
    }
    key.make_odd();
    return key;
}

// Called inside a server, after its bind(): gives the shim's table that key. Does nothing where no shim is.
inline void use_steady_key() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find(" rw-s ") == std::string::npos || line.find("/dev/zero") == std::string::npos)
            continue;
        auto* state = reinterpret_cast<SharedState*>(std::stoull(line, nullptr, 16));
        if (std::string_view(state->magic) == SharedState::expected_magic)
            state->key = steady_key();
    }
}

} // namespace multihome::bench
