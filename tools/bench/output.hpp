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
// A picture of those figures that say most, for a page on light or dark ground.
void write_svg(const std::string& path, const Machine& machine, const Figures& figures);

} // namespace multihome::bench
