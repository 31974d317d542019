// SPDX-License-Identifier: MIT
// Control groups of version 2, as an operator names them: by unit, by process, by path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace multihome::tools {

struct ControlGroup {
    std::string directory;      ///< where it is in the file system
    std::string path;           ///< below the tree's root: "/" is the whole host
    std::uint64_t identity = 0; ///< what the kernel calls it; never used twice while the host runs
};

/// All of these throw Impossible with what to do about it.
ControlGroup root_control_group();
ControlGroup control_group_at(const std::string& path); ///< a directory, or a path below the tree's root
ControlGroup control_group_of_process(pid_t process);
/// "unbound", "unbound.service", "docker-0123.scope": the control group of that name. Of several it is that
/// of the host's own systemd, the others being in containers or a user's.
ControlGroup control_group_of_unit(const std::string& unit);
/// The same; nothing where the unit does not run.
std::optional<ControlGroup> find_control_group_of_unit(const std::string& unit);

/// False where the kernel has no control group of this identity any more; true where it cannot be asked.
bool control_group_may_exist(std::uint64_t identity);

/// The path of this control group below the tree's root; empty: it is not below what is mounted here; "/",
/// too, for the root of all, which holds that. One that is gone is given as the root, below which it was;
/// nothing where the kernel cannot be asked.
std::optional<std::string> control_group_path(std::uint64_t identity);

/// What /proc/PID/cgroup tells, below the tree's root: it is told from where this process's namespace of
/// control groups begins, and the tree may be mounted from above that, or from below. Nothing where it is not
/// in the tree, or that cannot be known. Throws Impossible without a tree.
std::optional<std::string> path_in_tree(const std::string& told);

/// Whether a path below the tree's root can be that of a unit of the host's own systemd: all above it are
/// slices.
bool is_below_slices(const std::string& path);

/// A name without a suffix is that of a service, as for systemctl(1).
std::string unit_name(const std::string& unit);

/// Those that can be seen; one that vanishes meanwhile is passed over. A directory comes before what is in
/// it.
std::vector<std::filesystem::path> directories_below(const std::filesystem::path& root);

/// The processes in it and in the control groups below it.
std::vector<pid_t> processes_in(const ControlGroup& group);

} // namespace multihome::tools
