// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/pins.hpp"

#include <fmt/core.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include "tools/kernel_engine/locked_directory.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"

namespace multihome::tools::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* file_system = "/sys/fs/bpf";
// bpffs takes no name with a dot in it.
constexpr std::string_view unfinished_prefix = "unfinished-";

/// The pins belong to root. In a user namespace root is another user, whatever its capabilities.
[[noreturn]] void refuse(const char* what, const std::string& path, int error = errno) {
    const bool is_denied = error == EACCES || error == EPERM;
    throw Impossible(fmt::format("{} {}: {}{}", what, path, std::strerror(error),
                                 is_denied ? ": run this as the host's root" : ""));
}

bool is_bpf(const std::string& place) {
    struct statfs status {};
    return statfs(place.c_str(), &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

/// As /proc numbers them, which may be of another namespace of processes than ours.
pid_t parent_of(const std::string& process) {
    const std::string status = read_whole(fmt::format("/proc/{}/status", process));
    const std::size_t line = status.find("\nPPid:");
    return line != std::string::npos ? std::atoi(status.c_str() + line + 6) : 0;
}

/// `ip netns exec` puts another /sys in front of the host's. Who has called it still has the host's, where
/// what is pinned stays when the command has ended.
std::string mounted_place() {
    std::string place = file_system;
    for (pid_t caller = parent_of("self"); !is_bpf(place) && caller > 0;
         caller = parent_of(std::to_string(caller)))
        place = fmt::format("/proc/{}/root{}", caller, file_system);
    return is_bpf(place) ? place : std::string{};
}

std::string top() {
    const std::string place = mounted_place();
    return (place.empty() ? std::string{file_system} : place) + "/multihome";
}

void mount_file_system() {
    if (!mounted_place().empty())
        return;
    // Another call may be at it as well: a second mount would hide what is pinned in the first.
    const Descriptor place = open_for_reading(file_system);
    flock(place.number(), LOCK_EX);
    if (is_bpf(file_system))
        return;
    // As bpftool does where no init system has mounted it.
    if (mount("bpf", file_system, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
        throw Impossible(fmt::format("the pins need the bpf file system at {}, and it cannot be mounted: {}",
                                     file_system, std::strerror(errno)));
}

/// The number that a name is, or none.
std::optional<std::uint64_t> number_in(std::string_view name) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size())
        return std::nullopt;
    return number;
}

int make_and_lock() {
    const std::string directory = top();
    for (;;) {
        if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
            refuse("cannot make", directory);
        const int descriptor = open_locked_directory(directory, LOCK_EX);
        if (descriptor >= 0)
            return descriptor;
        if (errno != ENOENT) // else whoever held the lock has removed it
            refuse("cannot open", directory);
    }
}

bool remove_directory(const std::string& directory) {
    std::error_code error;
    const auto removed = fs::remove_all(directory, error);
    if (error)
        throw Impossible(fmt::format("cannot remove {}: {}", directory, error.message()));
    return removed > 0;
}

} // namespace

Pins::Pins() : lock_((mount_file_system(), make_and_lock())) {}

std::string Pins::directory_of(std::uint64_t identity) {
    return fmt::format("{}/{}", top(), identity);
}

std::string Pins::unfinished(std::uint64_t identity) {
    return fmt::format("{}/{}{}", top(), unfinished_prefix, identity);
}

std::vector<std::uint64_t> Pins::identities() {
    std::vector<std::uint64_t> found;
    std::error_code error;
    for (fs::directory_iterator entry{top(), error}, end; !error && entry != end; entry.increment(error))
        if (const auto number = number_in(entry->path().filename().string()))
            found.push_back(*number);
    // No directory: nothing is attached.
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
        refuse("cannot look into", top(), error.value());
    return found;
}

void Pins::begin(std::uint64_t identity) {
    remove_directory(unfinished(identity));
    if (mkdir(unfinished(identity).c_str(), 0700) != 0)
        refuse("cannot make", unfinished(identity));
}

void Pins::finish(std::uint64_t identity) {
    if (rename(unfinished(identity).c_str(), directory_of(identity).c_str()) != 0)
        refuse("cannot make", directory_of(identity));
}

bool Pins::remove(std::uint64_t identity) {
    std::error_code error;
    if (!fs::exists(directory_of(identity), error))
        return false;
    // Renamed first: a process that is killed in between leaves what the next sweep takes away.
    remove_directory(unfinished(identity));
    if (rename(directory_of(identity).c_str(), unfinished(identity).c_str()) != 0)
        refuse("cannot remove", directory_of(identity));
    return remove_directory(unfinished(identity));
}

void Pins::sweep() {
    std::vector<std::string> left;
    std::error_code error;
    for (fs::directory_iterator entry{top(), error}, end; !error && entry != end; entry.increment(error))
        if (entry->path().filename().string().rfind(unfinished_prefix, 0) == 0)
            left.push_back(entry->path().string());
    for (const std::string& directory : left)
        remove_directory(directory);
    rmdir(top().c_str()); // fails where something else is attached
}

} // namespace multihome::tools::engine
