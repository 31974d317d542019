// SPDX-License-Identifier: MIT
// The network namespaces of this host, and a visit to one of them.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/program.hpp"

namespace multihome::tools {

struct NetworkNamespace {
    std::string name; ///< empty: the one that this program was started in
    ino_t inode = 0;  ///< tells it from others
    std::shared_ptr<const Descriptor> file;
};

/// Throws Impossible.
NetworkNamespace own_network_namespace();
/// One that `ip netns` knows. Throws Impossible.
NetworkNamespace named_network_namespace(const std::string& name);
/// That of a process; without an inode where it cannot be told.
NetworkNamespace network_namespace_around(pid_t process);
/// This one first, then the named ones, then those that only processes hold. `unreadable` counts the
/// processes whose namespace may not be looked at.
std::vector<NetworkNamespace> all_network_namespaces(unsigned& unreadable);
/// 0 where it cannot be told.
ino_t network_namespace_of(pid_t process);

/// This thread is in the namespace as long as the object lives.
class Visit {
public:
    /// Throws Impossible.
    explicit Visit(const NetworkNamespace& place);
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit();

private:
    NetworkNamespace home_;
    bool away_;
};

} // namespace multihome::tools
