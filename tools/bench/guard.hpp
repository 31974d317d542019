// SPDX-License-Identifier: MIT
//
// The instruction counts that are kept in the repository, and the comparison with them.
#pragma once

#include "tools/bench/figures.hpp"
#include "tools/bench/machine.hpp"

#include <string>

namespace multihome::bench {

// What a test ends with that had nothing to test.
constexpr int exit_skipped = 77;

// Writes what the guard looks at to `path`.
void keep_figures(const std::string& path, const Machine& machine, const Figures& figures);

// True where the figures in `path` were made by the same compiler, libc and kind of build; prints a SKIP line
// and returns false otherwise, because other figures are then to be expected.
bool are_comparable(const std::string& path, const Machine& machine);

// 0, or 1 where an instruction count is more than a tenth above the one in `path`, or other budgets are
// exceeded than when those were kept. Prints all of them.
int compare_figures(const std::string& path, const Figures& figures);

} // namespace multihome::bench
