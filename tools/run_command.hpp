// SPDX-License-Identifier: MIT
// Runs the host's own tools (ip, nft, sysctl): what is printed for an operator to type is what is run.
#pragma once

#include <string>
#include <vector>

namespace multihome::tools {

using Command = std::vector<std::string>;

struct CommandResult {
    int status = 127;   ///< as a shell has it: 127 not found, 128 + N killed by signal N
    std::string output; ///< standard output
    std::string errors; ///< standard error
    [[nodiscard]] bool ok() const { return status == 0; }
};

/// Runs `command`, found in PATH (and in the sbin folders), with `input` on standard input. In the network
/// namespace that the descriptor `network_namespace` names, unless that is negative.
CommandResult run_command(const Command& command, const std::string& input = {}, int network_namespace = -1);

/// For main(): SIGCHLD is not ignored, whoever started this program. Where it is, no child can be waited for.
void hear_of_children();

/// For a child that becomes the operator's own program: SIGCHLD as main() has found it.
void give_back_child_signal();

/// The program that run_command() would start is there.
bool has_command(const std::string& name);

/// As a person would type it: quoted where a shell needs it.
std::string shell_command(const Command& command);

} // namespace multihome::tools
