// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/control_group.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tools/output.hpp"
#include "tools/program.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

namespace fs = std::filesystem;

struct Mount {
    std::string top;   ///< what is mounted, as /proc/PID/cgroup would name it: "/.." lies above the namespace
    std::string place; ///< where
};

/// Without the octal numbers that stand for a backslash and for blanks.
std::string unescaped(const std::string& field) {
    std::string text;
    for (std::size_t at = 0; at < field.size(); ++at) {
        if (field[at] == '\\' && at + 3 < field.size()) {
            text += static_cast<char>(std::strtol(field.substr(at + 1, 3).c_str(), nullptr, 8));
            at += 3;
        } else {
            text += field[at];
        }
    }
    return text;
}

Mount find_mount() {
    std::ifstream mounts{"/proc/self/mountinfo"};
    Mount found;
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream fields{line};
        std::string number, parent, device;
        Mount mount;
        fields >> number >> parent >> device >> mount.top >> mount.place;
        mount = {unescaped(mount.top), unescaped(mount.place)};
        // The first place, and there what hides all else.
        if (line.find(" - cgroup2 ") != std::string::npos &&
            (found.place.empty() || found.place == mount.place))
            found = mount;
    }
    if (!found.place.empty())
        return found;
    throw Impossible(
        "no control groups of version 2 are mounted here: mount them (mount -t cgroup2 none "
        "/sys/fs/cgroup), and note that 'ip netns exec' hides the mount ('nsenter --net=FILE' does not)");
}

std::string tree() {
    return find_mount().place;
}

/// As the kernel tells it; empty where there is no such process, or it is in none.
std::string path_as_told(const std::string& process) {
    std::ifstream groups{fmt::format("/proc/{}/cgroup", process)};
    for (std::string line; std::getline(groups, line);)
        if (line.rfind("0::", 0) == 0)
            return line.substr(3);
    return {};
}

/// Where our namespace begins in a tree that is mounted from above it. Only our own process tells.
std::optional<std::string> find_namespace(const std::string& root) {
    std::string own = path_as_told("self");
    if (own == "/")
        own.clear();
    for (const fs::path& directory : directories_below(root)) {
        const std::string path = directory.string().substr(root.size());
        if (!path.ends_with(own))
            continue;
        std::ifstream list{directory / "cgroup.procs"};
        for (pid_t process = 0; list >> process;)
            if (process == getpid())
                return path.substr(0, path.size() - own.size());
    }
    return std::nullopt;
}

/// The kernel's handle of a control group: its identity (kernfs_encode_fh()).
class Handle {
public:
    explicit Handle(std::uint64_t identity = 0) {
        get()->handle_bytes = sizeof identity;
        get()->handle_type = kernfs;
        std::memcpy(place(), &identity, sizeof identity);
    }
    [[nodiscard]] file_handle* get() { return reinterpret_cast<file_handle*>(memory_.data()); }
    [[nodiscard]] bool is_of_control_group() { return get()->handle_type == kernfs; }
    [[nodiscard]] std::uint64_t identity() {
        std::uint64_t identity = 0;
        std::memcpy(&identity, place(), sizeof identity);
        return identity;
    }

private:
    static constexpr int kernfs = 0xfe;
    char* place() { return memory_.data() + sizeof(file_handle); }
    alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof(std::uint64_t)> memory_{};
};

/// On a 32-bit kernel the number of the inode is only half of it.
std::uint64_t identity_of(const std::string& directory, std::uint64_t inode) {
    Handle handle;
    int mount = 0;
    const bool is_known = name_to_handle_at(AT_FDCWD, directory.c_str(), handle.get(), &mount, 0) == 0;
    return is_known && handle.is_of_control_group() ? handle.identity() : inode;
}

ControlGroup make(const std::string& root, const std::string& directory) {
    struct stat status {};
    if (stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
        throw Impossible(fmt::format("there is no control group '{}'", directory));
    ControlGroup group{directory, directory.substr(root.size()), identity_of(directory, status.st_ino)};
    if (group.path.empty())
        group.path.assign(1, '/'); // not = "/": gcc 12 warns of what is not there (PR 105329)
    return group;
}

/// Not valid where there is none, with errno ESTALE, or where it cannot be asked, with another one.
Descriptor open_control_group(const std::string& root, std::uint64_t identity) {
    const Descriptor mount = open_for_reading(root);
    Handle handle{identity};
    const int group = open_by_handle_at(mount.number(), handle.get(), O_PATH | O_CLOEXEC);
    return Descriptor{group};
}

} // namespace

ControlGroup root_control_group() {
    const std::string root = tree();
    return make(root, root);
}

ControlGroup control_group_at(const std::string& path) {
    const std::string root = tree();
    std::error_code error;
    const std::string directory = fs::canonical(path, error).string();
    if (!error && (directory == root || directory.rfind(root + "/", 0) == 0))
        return make(root, directory);
    std::string below = fs::path(path).lexically_normal().string();
    while (!below.empty() && below.back() == '/')
        below.pop_back();
    if (!below.empty() && (below.front() != '/' || below.rfind("/..", 0) == 0))
        throw Impossible(fmt::format("'{}' is no control group: name a directory below {}", path, root));
    const bool is_directory = below.rfind(root + "/", 0) == 0; // which is gone
    return make(root, is_directory ? below : root + below);
}

ControlGroup control_group_of_process(pid_t process) {
    // A /proc of another namespace of processes has another number for us.
    const std::string name = process == getpid() ? "self" : std::to_string(process);
    if (std::error_code error; !fs::exists("/proc/" + name, error))
        throw Impossible(fmt::format("there is no process {}", process));
    const std::string told = path_as_told(name);
    if (told.empty())
        throw Impossible(fmt::format("process {} is in no control group of version 2", process));
    const std::string root = tree();
    const auto path = path_in_tree(told);
    if (!path)
        throw Impossible(fmt::format(
            "process {} is in the control group {}, which is not among those below {}", process, told, root));
    return make(root, *path == "/" ? root : root + *path);
}

std::optional<std::string> path_in_tree(const std::string& told) {
    static const Mount mount = find_mount(); // once, for a host with many mounts and processes
    const std::string top = mount.top == "/" ? "" : mount.top;
    std::string path;
    if (told == top || told.rfind(top + "/", 0) == 0) {
        path = told.substr(top.size());
    } else if (top.rfind("/..", 0) == 0 && top.ends_with("/..")) {
        static const auto beginning = find_namespace(mount.place);
        if (!beginning)
            return std::nullopt;
        path = fs::path(*beginning + told).lexically_normal().string();
    } else {
        return std::nullopt;
    }
    if (path.rfind("/..", 0) == 0)
        return std::nullopt;
    while (path.ends_with('/'))
        path.pop_back();
    return path.empty() ? "/" : path;
}

std::string unit_name(const std::string& unit) {
    return true_unit_name(unit.find('.') == std::string::npos ? unit + ".service" : unit);
}

bool is_below_slices(const std::string& path) {
    const fs::path above = fs::path(path).relative_path().parent_path();
    return std::all_of(above.begin(), above.end(),
                       [](const fs::path& part) { return part.extension() == ".slice"; });
}

std::optional<ControlGroup> find_control_group_of_unit(const std::string& unit) {
    const std::string root = tree();
    const std::string wanted = unit_name(unit);
    std::vector<std::string> found;
    for (const fs::path& directory : directories_below(root))
        if (directory.filename() == wanted)
            found.push_back(directory.string());
    if (found.empty())
        return std::nullopt;
    const auto is_of_host = [&](const std::string& directory) {
        return is_below_slices(directory.substr(root.size()));
    };
    if (std::count_if(found.begin(), found.end(), is_of_host) == 1)
        return make(root, *std::find_if(found.begin(), found.end(), is_of_host));
    if (found.size() > 1)
        throw Impossible(
            fmt::format("several control groups are called {}: name one with --cgroup, as in --cgroup {}",
                        wanted, found.front()));
    return make(root, found.front());
}

ControlGroup control_group_of_unit(const std::string& unit) {
    if (const auto group = find_control_group_of_unit(unit))
        return *group;
    throw Impossible(
        fmt::format("no control group is called {}: start the unit first, or name the control group "
                    "with --cgroup PATH or one of its processes with --pid PID",
                    unit_name(unit)));
}

bool control_group_may_exist(std::uint64_t identity) {
    try {
        return open_control_group(tree(), identity).valid() || errno != ESTALE;
    } catch (const Impossible&) {
        return true;
    }
}

std::optional<std::string> control_group_path(std::uint64_t identity) {
    std::string root;
    try {
        root = tree();
    } catch (const Impossible&) {
        return std::nullopt;
    }
    const Descriptor group = open_control_group(root, identity);
    if (!group.valid())
        return errno == ESTALE ? std::optional<std::string>{"/"} : std::nullopt;
    std::error_code error;
    const std::string directory =
        fs::read_symlink(fmt::format("/proc/self/fd/{}", group.number()), error).string();
    if (error)
        return std::nullopt;
    if (static_cast<std::uint32_t>(identity) == 1) // the inode of the root of all, which holds this part, too
        return "/";
    if (directory != root && directory.rfind(root + "/", 0) != 0)
        return std::string{};
    const std::string path = directory.substr(root.size());
    return path.empty() ? "/" : path;
}

// Not by a recursive_directory_iterator: that ends where one directory cannot be opened.
std::vector<fs::path> directories_below(const fs::path& root) {
    std::vector<fs::path> found{root};
    for (std::size_t next = 0; next < found.size(); ++next) {
        std::error_code error;
        for (fs::directory_iterator entry{found[next], error}, end; !error && entry != end;
             entry.increment(error))
            if (std::error_code unknown; entry->is_directory(unknown))
                found.push_back(entry->path());
    }
    found.erase(found.begin());
    return found;
}

std::vector<pid_t> processes_in(const ControlGroup& group) {
    std::vector<pid_t> processes;
    const auto add = [&](const fs::path& directory) {
        std::ifstream list{directory / "cgroup.procs"};
        for (pid_t process = 0; list >> process;)
            processes.push_back(process);
    };
    add(group.directory);
    for (const fs::path& directory : directories_below(group.directory))
        add(directory);
    return processes;
}

} // namespace multihome::tools
