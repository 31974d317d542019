// SPDX-License-Identifier: MIT
// What `attach` and `run` take from their command lines. Both functions throw Impossible.
#pragma once

#include <bitset>
#include <string>

#include "tools/kernel_engine/engine.hpp"

namespace multihome::tools::engine {

/// "53,5000-5100" as the launcher takes it.
std::bitset<65536> parse_ports(const std::string& list);

/// "QUESTION,SPOKE_FIRST" in seconds, as MULTIHOME_TIMEOUTS. The engine's clock goes round after two years.
void parse_timeouts(const std::string& text, Request& request);

} // namespace multihome::tools::engine
