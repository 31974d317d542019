// SPDX-License-Identifier: MIT
//
// What the bench does with its figures: the counts that are kept in the repository, the tables, the picture.
#pragma once

#include "tools/bench/figures.hpp"

#include <functional>
#include <string>

namespace multihome::bench {

// What a test ends with that had nothing to test.
constexpr int exit_skipped = 77;

// Writes the instruction counts to `path`, and what misses its budget, with the reasons that are there
// already.
void keep_figures(const std::string& path, const Figures& figures);

// True where the figures in `path` were made by the same compiler, libc and kind of build; prints a SKIP line
// and returns false otherwise, because other figures are then to be expected.
bool are_comparable(const std::string& path);

// 0, or 1 where an instruction count is more than a tenth above the one in `path`, or other budgets are
// exceeded than are excused there, or a count that `is_wanted` by its group is missing. Prints all of them.
int compare_figures(const std::string& path, const Figures& figures,
                    const std::function<bool(const std::string&)>& is_wanted);

// The figures as tables, between the marks bench:begin and bench:end of the file: one for each part, a row
// for each group, a column for each subject.
void write_tables(const std::string& path, const Figures& figures);
// 0, or 1 where what is between the marks is something else. Prints that.
int check_tables(const std::string& path, const Figures& figures);

// Draws what picture.gp wants, for light and dark ground.
void write_picture(const std::string& path, const Figures& figures);

} // namespace multihome::bench
