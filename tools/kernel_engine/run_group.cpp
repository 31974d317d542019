// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/run_group.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/kernel_engine/locked_directory.hpp"
#include "tools/output.hpp"
#include "tools/program.hpp"

namespace multihome::tools::engine {
namespace {

namespace fs = std::filesystem;

// A group belongs to the process that has locked it. That its number is in the name does not tell whether it
// runs: it may be one of another namespace of processes, which shares the tree.

constexpr std::string_view prefix = "multihome-run-";

bool is_run_group(const fs::path& directory) {
    const std::string name = directory.filename().string();
    return name.rfind(prefix, 0) == 0 && name.size() > prefix.size() &&
           name.find_first_not_of("0123456789-", prefix.size()) == std::string::npos;
}

} // namespace

std::string run_group_directory() {
    ControlGroup above;
    try {
        above = control_group_of_process(getpid());
    } catch (const Impossible&) {
        // Outside of the part that is mounted here, as who has come into a container by nsenter(1).
        above = root_control_group();
    }
    return fmt::format("{}/{}{}", above.directory, prefix, getpid());
}

ControlGroup make_run_group() {
    const std::string wanted = run_group_directory();
    std::string directory = wanted;
    for (unsigned number = 2;;) {
        if (mkdir(directory.c_str(), 0755) == 0) {
            if (open_locked_directory(directory, LOCK_EX) >= 0)
                return control_group_at(directory);
            if (errno == ENOENT) // a sweep came between the two
                continue;
        } else if (errno == EEXIST) {
            // Of a process of another namespace, or of one that is gone, and has left processes in it.
            directory = fmt::format("{}-{}", wanted, number++);
            continue;
        }
        throw Impossible(
            fmt::format("cannot make the control group {}: {}", directory, std::strerror(errno)));
    }
}

bool enter(const ControlGroup& group) {
    const Descriptor list{open((group.directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)};
    return list.valid() && write(list.number(), "0", 1) == 1; // 0: this process
}

bool end_run_group(const ControlGroup& group) {
    // What was made in the group by the command itself, the innermost first.
    const std::vector<fs::path> inside = directories_below(group.directory);
    if (!processes_in(group).empty())
        return false;
    detach(group.identity);
    for (auto directory = inside.rbegin(); directory != inside.rend(); ++directory)
        rmdir(directory->c_str());
    return rmdir(group.directory.c_str()) == 0 || errno == ENOENT;
}

void sweep_run_groups() {
    std::vector<fs::path> left;
    try {
        for (const fs::path& directory : directories_below(root_control_group().directory))
            if (is_run_group(directory))
                left.push_back(directory);
    } catch (const Impossible&) {
        return; // no tree is mounted here
    }
    for (const fs::path& directory : left) {
        const Descriptor group{open_locked_directory(directory.string(), LOCK_EX | LOCK_NB)};
        if (!group.valid())
            continue;
        try {
            end_run_group(control_group_at(directory.string()));
        } catch (const Impossible&) {
            // Somebody else has just removed it.
        }
    }
    // Who sees another bpf file system, as a container does, removes the group alone.
    try {
        for (const Attachment& one : attachments())
            if (!one.alive && is_run_group(one.path))
                detach(one.identity);
    } catch (const Impossible&) {
        // `multihomectl detach` says why, where it is asked to.
    }
}

} // namespace multihome::tools::engine
