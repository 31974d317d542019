// SPDX-License-Identifier: MIT
// One of the two processes that are compared: runs the steps that it finds in its mailbox and records all
// that a program could see of them.
#pragma once

#include <string>

namespace multihome::differential {

/// What a process is told on its command line when it is to be a side: "shimmed:FD:PORT" or "bare:FD:PORT",
/// with the descriptor of the mailbox and the first of the ports to use; port 0 asks for a network of its
/// own. Returns what the process has to exit with.
int run_side(const std::string& assignment);

} // namespace multihome::differential
