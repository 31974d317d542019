// SPDX-License-Identifier: MIT
// Whether LD_PRELOAD reaches a program that this user starts.
#pragma once

#include <string>
#include <vector>

#include "tools/obstacles.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {

struct ProgramCheck {
    ExitStatus status = success;    ///< success, not_reachable, not_executable or not_found
    std::string subject;            ///< the program, and the script that it runs
    std::string problem;            ///< why it cannot be started
    std::vector<std::string> notes; ///< what else is to be said; no obstacle
    std::vector<Obstacle> obstacles;
    bool may_be_read = true; ///< false: whether it is static or Go is not known
};

/// `library`: the one that would be preloaded, or empty. Throws Impossible where that is no library.
ProgramCheck check_program(const std::string& program, const std::string& library);

} // namespace multihome::tools
