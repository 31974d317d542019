// SPDX-License-Identifier: MIT
// Whether LD_PRELOAD reaches the programs that a systemd unit starts.
#pragma once

#include <string>
#include <vector>

#include "tools/check_program.hpp"
#include "tools/units.hpp"

namespace multihome::tools {

/// One ExecStart=.
struct UnitProgram {
    ProgramCheck check;
    bool elsewhere = false; ///< it asks another process to start the server
};

/// For each ExecStart=, as the user who runs this.
std::vector<UnitProgram> check_unit_programs(const Unit& unit, const std::string& library);

/// All of them as one, which is as bad as the worst.
ProgramCheck in_one(const std::vector<UnitProgram>& programs);

} // namespace multihome::tools
