// SPDX-License-Identifier: MIT
//
// The three servers that are compared.
#pragma once

#include "tools/bench/parts.hpp"

#include <array>
#include <string>
#include <vector>

namespace multihome::bench {

struct Subject {
    const char* name;
    bool native; // uses IP_PKTINFO itself
    bool shim;   // has it preloaded

    std::vector<std::string> environment(const Settings& settings) const {
        return shim ? std::vector{"LD_PRELOAD=" + settings.library} : std::vector<std::string>{};
    }
};

constexpr std::array<Subject, 3> subjects = {
    {{"bare", false, false}, {"native", true, false}, {"shim", false, true}}};
// Their places there.
constexpr size_t bare_server = 0;
constexpr size_t native_server = 1;
constexpr size_t shim_server = 2;

} // namespace multihome::bench
