// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/persist.hpp"

#include <fmt/core.h>

#include <filesystem>

#include "tools/drop_in.hpp"
#include "tools/output.hpp"

namespace multihome::tools::engine {
namespace {

namespace fs = std::filesystem;

/// In each of the files.
constexpr const char* mark = "# Written by 'multihomectl attach ";

constexpr const char* drop_in = R"(# SPDX-License-Identifier: MIT
# Written by 'multihomectl attach --persist'; 'multihomectl detach --persist' removes it.
# "+": with root's rights, whatever User= says. "-": the service starts, also where the engine cannot be attached.
[Service]
ExecStartPre=-+{0} attach --quiet{1} %n
ExecStopPost=-+{0} detach --quiet %n
)";

constexpr const char* host_unit = R"(# SPDX-License-Identifier: MIT
# Written by 'multihomectl attach --all --persist'; 'multihomectl detach --all --persist' removes it.
[Unit]
Description=Answer UDP clients from the address that they asked (kernel engine of multihome)
DefaultDependencies=no
After=sys-fs-bpf.mount local-fs.target{2}
Before=network-pre.target
Wants=network-pre.target{2}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={0} attach --quiet{1} --all
ExecStop={0} detach --quiet --cgroup /

[Install]
WantedBy=multi-user.target
)";

constexpr const char* except_drop_in = R"(# SPDX-License-Identifier: MIT
# Written by 'multihomectl attach --all --persist'; 'multihomectl detach --all --persist' removes it.
# The service has a control group of its own each time that it starts: the engine is told not to serve this one.
[Unit]
After={1}

[Service]
ExecStartPre=-+{0} attach --quiet --all --except %n --renew
)";

constexpr const char* host_unit_name = "multihome-engine.service";
constexpr const char* except_drop_in_name = "multihome-engine-except.conf";

std::string file_for(const Target& target, const std::string& systemd_directory) {
    if (target.all)
        return fmt::format("{}/{}", systemd_directory, host_unit_name);
    if (target.unit.empty())
        throw Impossible("--persist needs a UNIT or --all: nothing starts other control groups again");
    if (target.unit.find('/') != std::string::npos)
        throw Impossible(fmt::format("'{}' is no unit's name", target.unit));
    return fmt::format("{}/{}.d/multihome-engine.conf", systemd_directory, unit_name(target.unit));
}

/// That keeps the exception; empty for a slice, whose control group systemd keeps until the slice is stopped.
std::string file_for_exception(const std::string& unit, const std::string& systemd_directory) {
    if (unit.ends_with(".slice"))
        return {};
    return fmt::format("{}/{}.d/{}", systemd_directory, unit, except_drop_in_name);
}

bool remove_if_there(const fs::path& file) {
    std::error_code error;
    const bool removed = fs::remove(file, error);
    if (error)
        throw Impossible(fmt::format("cannot remove {}: {}", file.string(), error.message()));
    return removed;
}

bool remove_engine_drop_in(const fs::path& file) {
    const bool removed = remove_if_there(file);
    std::error_code error;
    if (removed)
        fs::remove(file.parent_path(), error); // fails where it holds other drop-ins
    return removed;
}

/// Returns their paths.
std::vector<std::string> remove_exceptions(const std::string& systemd_directory) {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::directory_iterator entry{systemd_directory, error}, end; !error && entry != end;
         entry.increment(error))
        if (std::error_code unknown; fs::exists(entry->path() / except_drop_in_name, unknown))
            files.push_back(entry->path() / except_drop_in_name);
    for (const std::string& file : files) {
        require_own_file(file, mark);
        remove_engine_drop_in(file);
    }
    return files;
}

/// The link of [Install], where it leads nowhere any more.
void remove_dangling_link(const std::string& systemd_directory) {
    const fs::path link = fmt::format("{}/multi-user.target.wants/{}", systemd_directory, host_unit_name);
    std::error_code error;
    if (fs::is_symlink(fs::symlink_status(link, error)) && !fs::exists(link, error))
        fs::remove(link, error);
}

} // namespace

void require_persistable(const Target& target, const Repeated& repeated,
                         const std::string& systemd_directory) {
    const std::string file = file_for(target, systemd_directory);
    if (const std::string unit = target.all ? host_unit_name : unit_name(target.unit);
        !unit.ends_with(".service"))
        throw Impossible(fmt::format("{} starts no program: --persist needs a service, or --all", unit));
    require_own_file(file, mark);
    for (const std::string& unit : repeated.except) {
        if (unit.find('/') != std::string::npos || (!unit.ends_with(".service") && !unit.ends_with(".slice")))
            throw Impossible(fmt::format("--persist with --except needs the name of a service or a slice, "
                                         "and '{}' is none: other control groups have nothing that would "
                                         "except them again",
                                         harmless(unit)));
        if (const std::string drop_in_file = file_for_exception(unit, systemd_directory);
            !drop_in_file.empty())
            require_own_file(drop_in_file, mark);
    }
}

bool is_plain(const std::string& word) {
    return word.find_first_of(" \t\n%$\"'\\") == std::string::npos;
}

std::vector<std::string> make_persistent(const Target& target, const Repeated& repeated,
                                         const std::string& systemd_directory) {
    require_persistable(target, repeated, systemd_directory);
    std::error_code error;
    const std::string tool = fs::read_symlink("/proc/self/exe", error).string();
    if (error || !is_plain(tool))
        throw Impossible(
            fmt::format("a unit cannot name this program's path '{}': install it elsewhere", tool));
    if (target.all)
        remove_exceptions(systemd_directory); // those of an earlier call
    std::vector<std::string> written{file_for(target, systemd_directory)};
    std::string slices;
    for (const std::string& unit : repeated.except) {
        if (const std::string file = file_for_exception(unit, systemd_directory); !file.empty()) {
            write_file(file, fmt::format(fmt::runtime(except_drop_in), tool, host_unit_name));
            written.push_back(file);
        } else {
            slices += " " + unit;
        }
    }
    write_file(written.front(),
               fmt::format(fmt::runtime(target.all ? host_unit : drop_in), tool, repeated.options, slices));
    return written;
}

std::vector<std::string> end_persistence(const Target& target, const std::string& systemd_directory) {
    const fs::path file = file_for(target, systemd_directory);
    require_own_file(file, mark);
    std::vector<std::string> removed;
    if (target.all) {
        removed = remove_exceptions(systemd_directory);
        if (remove_if_there(file))
            removed.insert(removed.begin(), file);
        remove_dangling_link(systemd_directory);
    } else if (remove_engine_drop_in(file)) {
        removed.push_back(file);
    }
    return removed;
}

} // namespace multihome::tools::engine
