// SPDX-License-Identifier: MIT
// A control group of its own for one command, below the caller's own, so that the limits of that one go on
// counting.
#pragma once

#include "tools/kernel_engine/control_group.hpp"

namespace multihome::tools::engine {

/// Where it would be made; it is named after this process, and numbered where there is such a group already.
/// Throws Impossible.
std::string run_group_directory();

/// Makes it. It is locked until this process ends. Throws Impossible.
ControlGroup make_run_group();

/// Moves this process there. False, and errno says why not.
bool enter(const ControlGroup& group);

/// Detaches the engine and removes the group. False: processes go on running in it, and all stays as it is.
bool end_run_group(const ControlGroup& group);

/// Ends the groups that are not locked, in which nothing runs any more. Detaches from those that are gone.
void sweep_run_groups();

} // namespace multihome::tools::engine
