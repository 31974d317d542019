// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/run_group.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"
#include "tools/program.hpp"

namespace multihome::tools::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "multihome-run-";

/// The process whose group this is; 0: it is no such group.
pid_t owner_of(const fs::path& directory) {
    const std::string name = directory.filename().string();
    pid_t owner = 0;
    if (name.rfind(prefix, 0) != 0)
        return 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, owner);
    return error == std::errc{} && stop == end && owner > 0 ? owner : 0;
}

bool is_running(pid_t process) {
    return fs::exists(fmt::format("/proc/{}", process));
}

} // namespace

std::string run_group_directory() {
    return fmt::format("{}/{}{}", control_group_of_process(getpid()).directory, prefix, getpid());
}

ControlGroup make_run_group() {
    const std::string directory = run_group_directory();
    if (mkdir(directory.c_str(), 0755) != 0)
        throw Impossible(
            fmt::format("cannot make the control group {}: {}", directory, std::strerror(errno)));
    return control_group_at(directory);
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
    for (const fs::path& directory : directories_below(root_control_group().directory))
        if (const pid_t owner = owner_of(directory); owner != 0 && !is_running(owner))
            left.push_back(directory);
    for (const fs::path& directory : left)
        try {
            end_run_group(control_group_at(directory.string()));
        } catch (const Impossible&) {
            // Somebody else has just removed it.
        }
}

} // namespace multihome::tools::engine
