// SPDX-License-Identifier: MIT
#include "tools/mend.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/network_namespace.hpp"
#include "tools/output.hpp"
#include "tools/recipe_plan.hpp"
#include "tools/run_command.hpp"
#include "tools/verdict.hpp"

namespace multihome::tools {
namespace {

/// What the file of a running program says. The link leads to it in whatever mount namespace it is, and also
/// when it has been removed since.
std::vector<Obstacle> obstacles_in_file(const Process& process, const LibraryFile& library) {
    std::vector<Obstacle> obstacles;
    const Descriptor file = open_for_reading(fmt::format("/proc/{}/exe", process.number));
    try {
        if (file.valid())
            look_at_file(process.executable, file.number(), library, obstacles);
    } catch (const ElfError& error) {
        obstacles.push_back({error.what(), "", "an unusual program"});
    }
    return obstacles;
}

/// Also where it cannot be told.
bool is_in_our_network(pid_t process) {
    const ino_t ours = network_namespace_of(getpid());
    const ino_t theirs = network_namespace_of(process);
    return ours == 0 || theirs == 0 || ours == theirs;
}

bool has_second_uplink_around(pid_t process) {
    try {
        const Visit visit(network_namespace_around(process));
        return recipes::has_second_uplink();
    } catch (const Impossible&) {
        return false; // what cannot be looked at, the recipe cannot mend
    }
}

/// Several addresses of one family.
bool has_several_on_one_interface(const HostNetwork& network) {
    std::set<std::pair<std::uint32_t, bool>> seen;
    return std::any_of(network.addresses().begin(), network.addresses().end(), [&](const OwnAddress& own) {
        return !seen.emplace(own.interface, own.address.is_ipv4()).second;
    });
}

/// One that has something to do where the process is; empty where none has.
std::string recipe_for(const HostNetwork& network, pid_t process) {
    const char* recipe = nullptr;
    if (has_second_uplink_around(process))
        recipe = "two-interfaces";
    else if (has_several_on_one_interface(network))
        recipe = "one-interface";
    else
        return {};
    return fmt::format("sudo {}multihomectl recipe {} --apply",
                       is_in_our_network(process) ? "" : fmt::format("nsenter --target {} --net ", process),
                       recipe);
}

/// Neither the whole host nor outside of what is seen from here.
bool is_part_of_host(const std::string& control_group) {
    return !control_group.empty() && control_group != "/" && !control_group.starts_with("/..");
}

/// The command line with which a process was started, as it can be given again. Empty where it names no
/// program that can be found, as that of a worker, "(squid-1)".
std::vector<std::string> command_line_of(const Process& process) {
    std::vector<std::string> line = process.arguments;
    const auto is_program = [](const std::string& name) {
        return find_program(name).result == Lookup::Result::found;
    };
    if (line.empty() || is_program(line.front()))
        return line;
    // It may be found in another directory, or in another PATH.
    const std::filesystem::path executable{process.executable};
    if (std::filesystem::path{line.front()}.filename() != executable.filename() || !is_program(executable))
        return {};
    line.front() = executable;
    return line;
}

/// A command with sudo in front would start as root what runs as another user.
std::string said_of_user(const Process& process) {
    struct stat status {};
    if (stat(fmt::format("/proc/{}", process.number).c_str(), &status) != 0 || status.st_uid == 0)
        return {};
    return fmt::format("; it runs as user {} now, and would run as root", status.st_uid);
}

} // namespace

void find_mend(Server& server, const LibraryPresence& presence, const LibraryFile& library,
               const HostNetwork& network) {
    const Process& process = server.process;
    const bool has_engine = engine::built_in();
    const std::string& made_in = server.made_in.empty() ? process.control_group : server.made_in;
    bool is_reachable = true;
    for (const Obstacle& obstacle : obstacles_in_file(process, library)) {
        server.obstacles.push_back(obstacle.in_short);
        is_reachable = false;
    }
    if (process.secure_execution) {
        server.obstacles.push_back(reason_of_secure_execution(process).in_short);
        is_reachable = false;
    }
    const bool was_preloaded = process.preload.find("libmultihome.so") != std::string::npos;
    if (was_preloaded && is_reachable && !presence.mapped && server.reason.empty())
        // The name is in the environment, the library is not in memory: the dynamic loader could not load it.
        server.obstacles.emplace_back("preloading failed, see its log for \"ld.so\"");
    if (!process.confinement.empty())
        server.obstacles.push_back(fmt::format("confined by AppArmor profile {}", process.confinement));
    if (process.in_container)
        server.obstacles.emplace_back("in a container");

    // It is loaded, and nothing keeps it from serving but that it does not see what the program does.
    if (presence.mapped && !presence.alive && server.setting.empty())
        is_reachable = false;

    const std::vector<std::string> line = command_line_of(process);
    if (process.is_system_service && !server.setting.empty()) {
        server.command = fmt::format("sudo systemctl edit {}", shell_command({process.unit}));
        server.remark = fmt::format("change or remove {}, then restart it", server.setting);
    } else if (!server.setting.empty() && !process.in_container && !line.empty()) {
        server.command = fmt::format("env -u {} multihome {}", server.setting, shell_command(line));
        server.remark = "instead of starting it with that setting";
    } else if (process.is_system_service && is_reachable && !process.in_container) {
        server.command = fmt::format("sudo multihomectl enable --now {}", shell_command({process.unit}));
    } else if (process.is_system_service && has_engine && !server.made_in.empty()) {
        server.command = fmt::format("sudo multihomectl attach --cgroup {}", shell_command({server.made_in}));
        server.remark = "preloading cannot reach it; there its socket was made";
    } else if (process.is_system_service && has_engine) {
        server.command = fmt::format("sudo multihomectl attach {}", shell_command({process.unit}));
        server.remark = "preloading cannot reach it";
    } else if (is_reachable && !process.in_container && !line.empty()) {
        server.command = fmt::format("multihome {}", shell_command(line));
        server.remark = "instead of starting it alone";
    } else if (has_engine && !process.in_container && !line.empty()) {
        server.command = fmt::format("sudo multihome --engine kernel {}", shell_command(line));
        server.remark = "instead of starting it alone; preloading cannot reach it" + said_of_user(process);
    } else if (!process.in_container && (is_reachable || has_engine)) {
        // Nothing that could be typed.
        server.remark =
            fmt::format("{}{}",
                        is_reachable ? "start it by multihome"
                                     : "preloading cannot reach it; start it by multihome --engine kernel",
                        server.setting.empty() ? "" : fmt::format(", and without {}", server.setting));
    } else if (has_engine && process.in_container && is_part_of_host(made_in)) {
        server.command = fmt::format("sudo multihomectl attach --cgroup {}", shell_command({made_in}));
        server.remark = "preloading cannot reach it";
    } else {
        server.command = recipe_for(network, process.number);
        server.remark = server.command.empty()
                            ? "preloading cannot reach it; if there is a second uplink: multihomectl recipe "
                              "two-interfaces --gateway ROUTER"
                            : "preloading cannot reach it";
    }
}

} // namespace multihome::tools
