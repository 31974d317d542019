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
After=sys-fs-bpf.mount local-fs.target
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={0} attach --quiet{1} --all
ExecStop={0} detach --quiet --cgroup /

[Install]
WantedBy=multi-user.target
)";

constexpr const char* host_unit_name = "multihome-engine.service";

std::string file_for(const Target& target, const std::string& systemd_directory) {
    if (target.all)
        return fmt::format("{}/{}", systemd_directory, host_unit_name);
    if (target.unit.empty())
        throw Impossible("--persist needs a UNIT or --all: nothing starts other control groups again");
    if (target.unit.find('/') != std::string::npos)
        throw Impossible(fmt::format("'{}' is no unit's name", target.unit));
    return fmt::format("{}/{}.d/multihome-engine.conf", systemd_directory, unit_name(target.unit));
}

/// The link of [Install], where it leads nowhere any more.
void remove_dangling_link(const std::string& systemd_directory) {
    const fs::path link = fmt::format("{}/multi-user.target.wants/{}", systemd_directory, host_unit_name);
    std::error_code error;
    if (fs::is_symlink(fs::symlink_status(link, error)) && !fs::exists(link, error))
        fs::remove(link, error);
}

} // namespace

void require_persistable(const Target& target) {
    (void)file_for(target, "");
    if (const std::string unit = target.all ? host_unit_name : unit_name(target.unit);
        !unit.ends_with(".service"))
        throw Impossible(fmt::format("{} starts no program: --persist needs a service, or --all", unit));
}

std::string persistent_file(const Target& target, const std::string& systemd_directory) {
    std::string file = file_for(target, systemd_directory);
    require_own_file(file, mark);
    return file;
}

bool is_plain(const std::string& word) {
    return word.find_first_of(" \t\n%$\"'\\") == std::string::npos;
}

std::string make_persistent(const Target& target, const std::string& systemd_directory,
                            const std::string& options) {
    std::string file = persistent_file(target, systemd_directory);
    std::error_code error;
    const std::string tool = fs::read_symlink("/proc/self/exe", error).string();
    if (error || !is_plain(tool))
        throw Impossible(
            fmt::format("a unit cannot name this program's path '{}': install it elsewhere", tool));
    write_file(file, fmt::format(fmt::runtime(target.all ? host_unit : drop_in), tool, options));
    return file;
}

bool end_persistence(const Target& target, const std::string& systemd_directory) {
    const fs::path file = persistent_file(target, systemd_directory);
    std::error_code error;
    const bool removed = fs::remove(file, error);
    if (error)
        throw Impossible(fmt::format("cannot remove {}: {}", file.string(), error.message()));
    if (target.all)
        remove_dangling_link(systemd_directory);
    else if (removed)
        fs::remove(file.parent_path(), error); // fails where it holds other drop-ins
    return removed;
}

} // namespace multihome::tools::engine
