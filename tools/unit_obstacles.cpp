// SPDX-License-Identifier: MIT
// See systemd.exec(5) for each setting.
#include "tools/unit_obstacles.hpp"

#include <glob.h>

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <fmt/format.h>
#include <set>
#include <sstream>
#include <string_view>

#include "tools/processes.hpp"

namespace multihome::tools {
namespace {

/// What the library calls besides what its program calls: see `needs` in shim/sockets/system_call_filter.cpp.
constexpr std::array system_calls = {
    "recvmsg",     "sendmsg", "getsockopt",    "setsockopt",      "getsockname",  "getpid",
    "futex",       "mmap",    "munmap",        "madvise",         "getrandom",    "rt_sigprocmask",
    "bind",        "connect", "close",         "socket",          "sendto",       "recvfrom",
    "sched_yield", "ioctl",   "rt_sigpending", "rt_sigtimedwait", "ppoll",        "write",
    "openat",      "openat2", "fstat",         "geteuid",         "clock_gettime"};

bool names_library(const std::string& unit_paths, const std::string& library) {
    const std::vector<std::string> paths = split_words(unit_paths);
    return std::any_of(paths.begin(), paths.end(), [&](std::string path) {
        path.erase(0, path.find_first_not_of("-+")); // "if it exists", "inside RootDirectory="
        return is_below(library, path.substr(0, path.find(':')));
    });
}

/// A list without "~" in front lets nothing else through.
void look_at_system_calls(const Unit& unit, std::vector<UnitObstacle>& obstacles) {
    const std::string text = unit.get("SystemCallFilter");
    if (text.empty())
        return;
    const bool is_deny_list = text.front() == '~';
    std::set<std::string> listed;
    for (const std::string& word : split_words(is_deny_list ? text.substr(1) : text))
        listed.insert(word.substr(0, word.find(':')));
    std::vector<std::string> missing;
    for (const char* call : system_calls)
        if ((listed.count(call) != 0) == is_deny_list)
            missing.emplace_back(call);
    if (!missing.empty())
        obstacles.push_back({fmt::format("SystemCallFilter= does not permit {}, and would end the program",
                                         fmt::join(missing, ", ")),
                             "",
                             {fmt::format("SystemCallFilter={}", fmt::join(missing, " "))}});
}

void look_at_files(const Unit& unit, const std::string& library, std::vector<UnitObstacle>& obstacles) {
    const std::string path = without_specifiers(library);
    const std::string bind = "BindReadOnlyPaths=" + path;
    for (const char* root : {"RootDirectory", "RootImage"})
        if (const std::string place = unit.get(root);
            !place.empty() && place != "/" && !names_library(unit.get("BindReadOnlyPaths"), library))
            obstacles.push_back({fmt::format("{}={} hides the library", root, place), "", {bind}});
    for (const char* hidden : {"InaccessiblePaths", "TemporaryFileSystem"})
        if (names_library(unit.get(hidden), library))
            obstacles.push_back({fmt::format("{}= hides the library", hidden), "", {bind}});
    const std::string home = unit.get("ProtectHome");
    if ((home == "yes" || home == "tmpfs") &&
        (is_below(library, "/home") || is_below(library, "/root") || is_below(library, "/run/user")))
        obstacles.push_back({fmt::format("ProtectHome={} hides the library", home), "", {bind}});
    if (unit.get("PrivateTmp") == "yes" && (is_below(library, "/tmp") || is_below(library, "/var/tmp")))
        obstacles.push_back({"PrivateTmp=yes hides the library", "", {bind}});
    if (names_library(unit.get("NoExecPaths"), library) && !names_library(unit.get("ExecPaths"), library))
        obstacles.push_back(
            {"NoExecPaths= forbids to map the library executable", "", {"ExecPaths=" + path}});
}

/// systemd takes the name of an environment file for a pattern, as a shell does.
std::vector<std::string> files_like(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> files;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
        files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    globfree(&found);
    return files;
}

/// Blanks in front of a line, and around a name, mean nothing.
bool sets_preload(const std::string& text) {
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        const std::vector<std::string> words = split_words(line.substr(0, line.find('=')));
        if (line.find('=') != std::string::npos && words == std::vector<std::string>{"LD_PRELOAD"})
            return true;
    }
    return false;
}

void look_at_environment(const Unit& unit, std::vector<UnitObstacle>& obstacles) {
    const std::vector<std::string> unset = split_words(unit.get("UnsetEnvironment"));
    for (const std::string& name : unset)
        if (name == "LD_PRELOAD" || name.starts_with("LD_PRELOAD="))
            obstacles.push_back({"UnsetEnvironment= takes LD_PRELOAD away",
                                 "remove it from the unit (systemctl edit --full)",
                                 {}});
    // What a file sets counts more than Environment=.
    for (const std::string& word : split_words(unit.get("EnvironmentFiles"))) {
        if (!word.starts_with('/'))
            continue; // (ignore_errors=yes)
        for (const std::string& file : files_like(word))
            if (sets_preload(read_whole(file)))
                obstacles.push_back(
                    {fmt::format("the environment file {} sets LD_PRELOAD, which counts more than a drop-in",
                                 file),
                     fmt::format("add the library to LD_PRELOAD in {}", file),
                     {}});
    }
}

} // namespace

bool is_below(const std::string& path, const std::string& directory) {
    if (directory.empty() || !path.starts_with(directory))
        return false;
    return directory.back() == '/' || path.size() == directory.size() || path[directory.size()] == '/';
}

std::vector<UnitObstacle> obstacles_of_unit(const Unit& unit, const std::string& library) {
    std::vector<UnitObstacle> obstacles;
    look_at_system_calls(unit, obstacles);
    look_at_files(unit, library, obstacles);
    look_at_environment(unit, obstacles);
    return obstacles;
}

} // namespace multihome::tools
