// SPDX-License-Identifier: MIT
// Which control group `attach` and `detach` are about: UNIT, --cgroup, --pid or --all.
#pragma once

#include <optional>
#include <string>

#include "tools/kernel_engine/control_group.hpp"

namespace CLI {
class App;
}

namespace multihome::tools::engine {

struct Target {
    std::string unit;
    std::string path;
    pid_t process = 0;
    bool all = false;
};

/// Adds the options, of which exactly one has to be given. `target` must live as long as `command`.
void add_target_options(CLI::App& command, Target& target, const char* what_all_means);

/// The control group. Throws Impossible if there is none; --all is the root.
ControlGroup resolve(const Target& target);

} // namespace multihome::tools::engine
