// SPDX-License-Identifier: MIT
#include "tools/processes.hpp"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <fmt/core.h>
#include <memory>
#include <string_view>

#include "tools/elf_file.hpp"
#include "tools/kernel_engine/control_group.hpp"
#include "tools/output.hpp"
#include "tools/program.hpp"

namespace multihome::tools {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

/// -1 where `text` is not just a number.
template <typename Number>
Number number_in(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? number : static_cast<Number>(-1);
}

/// Calls `take` with the name of each entry whose name is a number. False where the directory may not be
/// read.
template <typename Take>
bool for_each_number(const std::string& path, Take&& take) {
    const Directory directory{opendir(path.c_str())};
    if (!directory)
        return errno == ENOENT || errno == ESRCH; // gone is not refused
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
    while (const dirent* entry = readdir(directory.get()))
        if (const int number = number_in<int>(entry->d_name); number >= 0)
            take(number, dirfd(directory.get()), static_cast<const char*>(entry->d_name));
    return true;
}

std::string link_target(const std::string& path) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = readlink(path.c_str(), target.data(), target.size());
    target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return target;
}

std::vector<std::string> split_at_zero(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\0'), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

template <typename Pair>
bool has_secure_pair(const std::string& auxiliary) {
    Pair entry{};
    for (std::size_t at = 0; at + sizeof entry <= auxiliary.size(); at += sizeof entry) {
        std::memcpy(&entry, auxiliary.data() + at, sizeof entry);
        if (entry.a_type == AT_SECURE)
            return entry.a_un.a_val != 0;
    }
    return false;
}

/// The auxiliary vector has no types: pairs of words of the size that the program of the process has. Who may
/// read the one may read the other.
bool is_secure(const std::string& directory) {
    const std::string auxiliary = read_whole(directory + "/auxv", 4096);
    const Descriptor program = open_for_reading(directory + "/exe");
    unsigned char word_size = sizeof(void*) == sizeof(std::uint64_t) ? ELFCLASS64 : ELFCLASS32;
    try {
        if (program.valid())
            word_size = read_elf_machine(program.number()).word_size;
    } catch (const ElfError&) { // NOLINT(bugprone-empty-catch): then it is taken for one like this program
    }
    return word_size == ELFCLASS32 ? has_secure_pair<Elf32_auxv_t>(auxiliary)
                                   : has_secure_pair<Elf64_auxv_t>(auxiliary);
}

/// "/usr/sbin/unbound (enforce)": the profile, where it is enforced.
std::string enforced_profile(std::string label) {
    while (!label.empty() && (label.back() == '\n' || label.back() == '\0'))
        label.pop_back();
    constexpr std::string_view enforced = " (enforce)";
    if (!label.ends_with(enforced))
        return {};
    label.resize(label.size() - enforced.size());
    return label;
}

/// The path by which systemd sorts processes, in the text of /proc/PID/cgroup.
std::string path_of_systemd(const std::string& cgroup) {
    // systemd's own tree is "0::" on a unified host, and "name=systemd" on others.
    std::string path;
    for (const std::string_view key : {":name=systemd:", "0::"}) {
        const std::size_t at = cgroup.find(key);
        if (at == std::string::npos || (key == "0::" && at != 0 && cgroup[at - 1] != '\n'))
            continue;
        const std::size_t begin = at + key.size();
        path = cgroup.substr(begin, cgroup.find('\n', begin) - begin);
        if (path.find(".service") != std::string::npos || path.find(".scope") != std::string::npos)
            break;
    }
    return path;
}

/// Where the system's manager, process 1, has its units: below that.
std::string above_units() {
    std::string path = path_of_systemd(read_whole("/proc/1/cgroup"));
    for (const std::string_view own : {"/init.scope", "/"})
        if (path.ends_with(own))
            path.resize(path.size() - own.size());
    return path;
}

} // namespace

std::vector<pid_t> list_processes() {
    std::vector<pid_t> processes;
    for_each_number("/proc", [&](int number, int, const char*) { processes.push_back(number); });
    if (processes.empty()) // this one is missing as well
        throw Impossible("no process can be seen: is /proc mounted?");
    std::sort(processes.begin(), processes.end());
    return processes;
}

std::string read_whole(const std::string& path, std::size_t limit) {
    std::string content;
    const Descriptor file = open_for_reading(path);
    if (!file.valid())
        return content;
    std::array<char, 16384> piece{};
    while (content.size() < limit) {
        const ssize_t size =
            read(file.number(), piece.data(), std::min(piece.size(), limit - content.size()));
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            break;
        content.append(piece.data(), static_cast<std::size_t>(size));
    }
    return content;
}

SocketOwners::SocketOwners(const std::unordered_set<std::uint64_t>& inodes) {
    for (const pid_t process : list_processes()) {
        const auto look = [&](int descriptor, int directory, const char* name) {
            std::array<char, 64> target{};
            constexpr std::string_view prefix = "socket:[";
            const ssize_t size = readlinkat(directory, name, target.data(), target.size());
            if (size <= static_cast<ssize_t>(prefix.size()))
                return;
            std::string_view text{target.data(), static_cast<std::size_t>(size)};
            if (!text.starts_with(prefix) || text.back() != ']')
                return;
            text = text.substr(prefix.size(), text.size() - prefix.size() - 1);
            const auto inode = number_in<std::uint64_t>(text);
            // A process may hold thousands of copies of one socket; the first one is as good as any.
            if (inodes.count(inode) == 0)
                return;
            std::vector<Owner>& owners = owners_[inode];
            if (owners.empty() || owners.back().process != process)
                owners.push_back({process, descriptor});
        };
        if (!for_each_number(fmt::format("/proc/{}/fd", process), look))
            ++unreadable_;
    }
}

const std::vector<Owner>& SocketOwners::of(std::uint64_t inode) const {
    static const std::vector<Owner> nobody;
    const auto found = owners_.find(inode);
    return found != owners_.end() ? found->second : nobody;
}

bool has_io_uring(pid_t process) {
    bool found = false;
    for_each_number(fmt::format("/proc/{}/fd", process), [&](int, int directory, const char* name) {
        std::array<char, 64> target{};
        const ssize_t size = readlinkat(directory, name, target.data(), target.size());
        found = found || (size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) ==
                                          "anon_inode:[io_uring]");
    });
    return found;
}

UnitOfGroup unit_of_group(const std::string& cgroup) {
    static const std::string above = above_units();
    const std::string path = path_of_systemd(cgroup);
    UnitOfGroup result;
    bool of_user = false;
    bool is_of_system = path.starts_with(above + '/');
    // A service may make groups of its own below its unit's. The manager of a user is a unit of the system,
    // with the user's units below it.
    for (std::size_t begin = is_of_system ? above.size() + 1 : 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        begin = end + 1;
        if (part.starts_with("user@") && part.ends_with(".service")) {
            of_user = true;
            result.unit = part;
        } else if (part.ends_with(".service") || part.ends_with(".scope")) {
            result.unit = part;
            if (!of_user)
                break;
        } else if (!part.ends_with(".slice")) {
            is_of_system = false; // a container's manager has its units there
        }
    }
    result.is_system_service = is_of_system && !of_user && result.unit.ends_with(".service");
    return result;
}

bool find_variable(const std::string& environment, const std::string& name, std::string& value) {
    for (const std::string& assignment : split_at_zero(environment))
        if (assignment.size() > name.size() && assignment[name.size()] == '=' &&
            assignment.starts_with(name)) {
            value = assignment.substr(name.size() + 1);
            return true;
        }
    return false;
}

Process describe_process(pid_t number) {
    Process process;
    process.number = number;
    const std::string directory = fmt::format("/proc/{}", number);
    process.name = read_whole(directory + "/comm", 64);
    if (!process.name.empty() && process.name.back() == '\n')
        process.name.pop_back();
    const std::string groups = "\n" + read_whole(directory + "/cgroup");
    constexpr std::string_view unified = "\n0::";
    if (const std::size_t at = groups.find(unified); at != std::string::npos) {
        const std::size_t begin = at + unified.size();
        process.control_group = groups.substr(begin, groups.find('\n', begin) - begin);
        try {
            // Told of one that is not in the tree, "/" would hold it as well, which is not the whole host.
            process.control_group = path_in_tree(process.control_group).value_or(std::string{});
        } catch (const Impossible&) { // NOLINT(bugprone-empty-catch): no tree, and it is as told
        }
    }
    const UnitOfGroup group = unit_of_group(groups);
    process.unit = group.unit;
    process.is_system_service = group.is_system_service;
    process.executable = link_target(directory + "/exe");
    process.arguments = split_at_zero(read_whole(directory + "/cmdline"));
    find_variable(read_whole(directory + "/environ"), "LD_PRELOAD", process.preload);
    process.secure_execution = is_secure(directory);
    process.confinement = enforced_profile(read_whole(directory + "/attr/apparmor/current", 4096));
    const std::string own = link_target("/proc/self/ns/pid");
    const std::string other = link_target(directory + "/ns/pid");
    process.in_container = !other.empty() && other != own;
    return process;
}

} // namespace multihome::tools
