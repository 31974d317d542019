// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/target.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <fmt/core.h>

#include "tools/output.hpp"

namespace multihome::tools::engine {

void add_target_options(CLI::App& command, Target& target, const char* what_all_means) {
    CLI::Option_group* group = command.add_option_group("Where");
    group->add_option("UNIT", target.unit, "A systemd unit that runs, as in unbound or unbound.service");
    group->add_option("--cgroup", target.path, "A control group: its directory, or its path in the tree")
        ->type_name("PATH");
    group->add_option("--pid", target.process, "The control group of this process")
        ->type_name("PID")
        ->check(CLI::PositiveNumber);
    group->add_flag("--all", target.all, what_all_means);
    group->require_option(1);
}

ControlGroup resolve(const Target& target) {
    if (target.all)
        return root_control_group();
    if (!target.unit.empty())
        return control_group_of_unit(target.unit);
    ControlGroup group =
        target.path.empty() ? control_group_of_process(target.process) : control_group_at(target.path);
    // What was meant to be one process must not become the whole host.
    if (group.path == "/" && target.path.empty())
        throw Impossible(
            fmt::format("process {} is in the root control group, which is the whole host: move it to one "
                        "of its own, or use --all",
                        target.process));
    return group;
}

} // namespace multihome::tools::engine
