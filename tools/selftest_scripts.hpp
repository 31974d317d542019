// SPDX-License-Identifier: MIT
// What `multihomectl selftest` runs: for each interposed function the steps that call it, as text (see
// differential/step.hpp).
#pragma once

#include <span>
#include <string_view>

namespace multihome::tools {

struct SelftestScript {
    std::string_view symbol;
    std::string_view steps;
};

std::span<const SelftestScript> descriptor_scripts(); ///< sockets, their descriptors and options
std::span<const SelftestScript> packet_scripts();     ///< receiving and sending

} // namespace multihome::tools
