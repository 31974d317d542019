// SPDX-License-Identifier: MIT
// What /proc says of processes. All of it may be gone, refused or made up by the process itself at any time:
// what cannot be had is empty, and nothing here throws for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace multihome::tools {

/// Throws Impossible where there is no /proc.
std::vector<pid_t> list_processes();

/// The whole of a file that has no size of its own, up to `limit` bytes. Empty where it cannot be read.
std::string read_whole(const std::string& path, std::size_t limit = std::size_t{1} << 20U);

/// Where a process holds a socket.
struct Owner {
    pid_t process = 0;
    int descriptor = -1;
};

/// Who holds which socket. One pass over /proc for all sockets.
class SocketOwners {
public:
    explicit SocketOwners(const std::unordered_set<std::uint64_t>& inodes);

    /// In the order of their process IDs.
    [[nodiscard]] const std::vector<Owner>& of(std::uint64_t inode) const;
    /// How many processes may not be looked into.
    [[nodiscard]] unsigned unreadable() const { return unreadable_; }

private:
    std::unordered_map<std::uint64_t, std::vector<Owner>> owners_;
    unsigned unreadable_ = 0;
};

/// Whether a descriptor of the process is an io_uring(7).
bool has_io_uring(pid_t process);

struct Process {
    pid_t number = 0;
    std::string name;                   ///< comm, which the process chooses
    std::string unit;                   ///< the systemd unit, as far as the control group tells
    bool is_system_service = false;     ///< `unit` is a service of the host's own systemd
    std::string executable;             ///< a path in the process's own mount namespace
    std::vector<std::string> arguments; ///< which the process may have overwritten
    std::string preload;                ///< LD_PRELOAD as it was started
    bool secure_execution = false;      ///< AT_SECURE: the dynamic loader has ignored LD_PRELOAD
    bool in_container = false;          ///< it has a PID namespace of its own
    std::string control_group;          ///< in the unified tree, as in "/system.slice/unbound.service"
    std::string confinement;            ///< AppArmor's profile, empty where there is none
};

Process describe_process(pid_t number);

/// The unit in the text of /proc/PID/cgroup, and whether it is a service of the system's manager.
struct UnitOfGroup {
    std::string unit;
    bool is_system_service = false;
};
UnitOfGroup unit_of_group(const std::string& cgroup);

/// The value of `name` in an environment as /proc/PID/environ has it. False where it is not set.
bool find_variable(const std::string& environment, const std::string& name, std::string& value);

} // namespace multihome::tools
