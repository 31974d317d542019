// SPDX-License-Identifier: MIT
//
// The peer table alone under a spoofed flood. Time is counted in the flood's datagrams, so that the same
// comes out on every machine. Two kinds of honest peers: those that ask again and again, whose entries are
// known as ones that answers used, and those that ask once, of which a table cannot know that they are
// honest.
#pragma once

#include "tools/bench/figures.hpp"

#include <cstddef>
#include <cstdint>

namespace multihome::bench {

constexpr uint32_t flood_honest_peers = 1000;
constexpr uint64_t flood_times = 10; // the table's size
constexpr double flood_right = 99.9; // percent, the least

// How many entries the table for `peers` peers holds.
uint64_t table_entries(size_t peers);

void flood_table(Figures& figures);

} // namespace multihome::bench
