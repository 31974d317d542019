// SPDX-License-Identifier: MIT
#include "tools/network_namespace.hpp"

#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/core.h>
#include <utility>

#include "tools/output.hpp"
#include "tools/processes.hpp"

namespace multihome::tools {
namespace {

constexpr const char* own_file = "/proc/thread-self/ns/net";

/// Where `ip netns` keeps a file for each name, see ip-netns(8).
const std::filesystem::path named_directory = "/run/netns";

std::string reason() {
    return std::strerror(errno);
} // NOLINT(concurrency-mt-unsafe): this program has one thread

/// Without an inode where `path` is none or may not be opened; errno says why.
NetworkNamespace open_namespace(const std::string& path, std::string name) {
    NetworkNamespace result;
    result.name = std::move(name);
    result.file = std::shared_ptr<const Descriptor>(new Descriptor(open_for_reading(path)));
    struct stat status {};
    if (result.file->valid() && fstat(result.file->number(), &status) == 0)
        result.inode = status.st_ino;
    return result;
}

/// Of a file among the names. A name that is left over from an `ip netns` that was killed is an empty file on
/// another file system. The kernel tells the kind of a namespace since Linux 4.11; before that, each one
/// among the names is taken for one of the network.
bool is_network_namespace(const Descriptor& file) {
    const int kind = ioctl(file.number(), NS_GET_NSTYPE);
    struct statfs where {};
    return kind == CLONE_NEWNET ||
           (kind < 0 && errno == ENOTTY && fstatfs(file.number(), &where) == 0 && where.f_type == NSFS_MAGIC);
}

} // namespace

NetworkNamespace own_network_namespace() {
    NetworkNamespace result = open_namespace(own_file, "");
    if (result.inode == 0)
        throw Impossible(fmt::format("{}: {}: is /proc mounted?", own_file, reason()));
    return result;
}

NetworkNamespace named_network_namespace(const std::string& name) {
    if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
        throw Impossible(
            fmt::format("'{}' is no name of a network namespace: 'ip netns list' shows them", name));
    NetworkNamespace result = open_namespace(named_directory / name, name);
    if (result.inode == 0)
        throw Impossible(
            fmt::format("network namespace '{}': {}: 'ip netns list' shows the names", name, reason()));
    return result;
}

NetworkNamespace network_namespace_around(pid_t process) {
    return open_namespace(fmt::format("/proc/{}/ns/net", process), fmt::format("of process {}", process));
}

std::vector<NetworkNamespace> all_network_namespaces(unsigned& unreadable) {
    std::vector<NetworkNamespace> result{own_network_namespace()};
    const auto is_known = [&](ino_t inode) {
        return std::any_of(result.begin(), result.end(),
                           [&](const auto& known) { return known.inode == inode; });
    };
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(named_directory, error)) {
        NetworkNamespace found = open_namespace(entry.path(), entry.path().filename().string());
        if (found.inode != 0 && !is_known(found.inode) && is_network_namespace(*found.file))
            result.push_back(std::move(found));
    }
    unreadable = 0;
    for (const pid_t process : list_processes()) {
        const ino_t inode = network_namespace_of(process);
        if (inode == 0) {
            ++unreadable;
        } else if (!is_known(inode)) {
            NetworkNamespace found = network_namespace_around(process);
            if (found.inode == inode)
                result.push_back(std::move(found));
        }
    }
    return result;
}

ino_t network_namespace_of(pid_t process) {
    struct stat status {};
    return stat(fmt::format("/proc/{}/ns/net", process).c_str(), &status) == 0 ? status.st_ino : 0;
}

Visit::Visit(const NetworkNamespace& place)
    : home_(own_network_namespace()), away_(place.inode != home_.inode) {
    if (away_ && setns(place.file->number(), CLONE_NEWNET) != 0)
        throw Impossible(fmt::format("cannot enter the network namespace '{}': {}{}", place.name, reason(),
                                     errno == EPERM ? ": run this as root" : ""));
}

Visit::~Visit() {
    // Whatever was to follow would be said of the wrong namespace.
    if (away_ && setns(home_.file->number(), CLONE_NEWNET) != 0)
        std::abort();
}

} // namespace multihome::tools
