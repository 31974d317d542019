// SPDX-License-Identifier: MIT
// Programs of musl's that inherit LD_PRELOAD: their loader ends them where it finds a library of glibc's.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tools/processes.hpp"

namespace multihome::tools {

/// What is to be said of `preload`, a value of LD_PRELOAD, where it names the library by its full path and
/// programs of musl's may inherit it; else empty. They may where there is a loader of musl's below `root`, or
/// where one of the processes `started` is such a program.
std::string note_on_musl(const std::string& preload, const std::string& root,
                         const std::vector<pid_t>& started);

/// The same of a process, with what it has started.
std::string note_on_musl(const Process& process);

} // namespace multihome::tools
