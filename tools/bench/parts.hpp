// SPDX-License-Identifier: MIT
//
// The parts of the bench, each in a file of its name.
#pragma once

#include "tools/bench/figures.hpp"

#include <string>

namespace multihome::bench {

struct Settings {
    std::string library; // libmultihome.so
    bool quick = false;  // fewer and shorter repetitions
    bool full = false;   // also what takes minutes
};

void measure_instructions(const Settings& settings, Figures& figures);
void measure_system_calls(const Settings& settings, Figures& figures);
void measure_traffic(const Settings& settings, Figures& figures);
void measure_profile(const Settings& settings, Figures& figures);
void measure_growth(const Settings& settings, Figures& figures);
void measure_flood(const Settings& settings, Figures& figures);
void measure_lab(const Settings& settings, Figures& figures);
void measure_table(const Settings& settings, Figures& figures);

} // namespace multihome::bench
