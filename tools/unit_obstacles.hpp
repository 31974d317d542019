// SPDX-License-Identifier: MIT
// What a systemd unit does to a library that is preloaded into its program, and the lines that mend it.
#pragma once

#include <string>
#include <vector>

#include "tools/units.hpp"

namespace multihome::tools {

struct UnitObstacle {
    std::string reason;
    std::string advice;             ///< where no line mends it
    std::vector<std::string> lines; ///< of a drop-in's [Service] that mend it
};

std::vector<UnitObstacle> obstacles_of_unit(const Unit& unit, const std::string& library);

/// True where `path` is `directory` or lies in it.
bool is_below(const std::string& path, const std::string& directory);

} // namespace multihome::tools
