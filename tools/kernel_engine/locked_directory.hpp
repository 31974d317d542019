// SPDX-License-Identifier: MIT
// A directory that processes lock, and that whoever holds the lock may remove.
#pragma once

#include <string>

namespace multihome::tools::engine {

/// Opens the directory and locks it (flock(2)): the lock lasts as long as the descriptor. -1, and errno says
/// why: ENOENT where it is gone, or has been made anew meanwhile; EWOULDBLOCK where, with LOCK_NB, another
/// process has locked it.
int open_locked_directory(const std::string& directory, int operation);

} // namespace multihome::tools::engine
