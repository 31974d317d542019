// SPDX-License-Identifier: MIT
//
// The figures as files.
#pragma once

#include "tools/bench/figures.hpp"
#include "tools/bench/machine.hpp"

#include <string>

namespace multihome::bench {

// Fails where the file cannot be written.
void write_file(const std::string& path, const std::string& text);
void write_json(const std::string& path, const Machine& machine, const Figures& figures);
// What write_json() has written; prints it as it is added to `figures`.
void read_json(const std::string& path, Machine& machine, Figures& figures);
// A picture of those figures that say most, for a page on light or dark ground.
void write_svg(const std::string& path, const Machine& machine, const Figures& figures);
// The main figures as a table, between the marks bench:begin and bench:end of the file.
void write_report(const std::string& path, const Machine& machine, const Figures& figures);
// 0, or 1 where what is between the marks is something else. Prints that.
int check_report(const std::string& path, const Machine& machine, const Figures& figures);

} // namespace multihome::bench
