// SPDX-License-Identifier: MIT
#include "tools/bench/network.hpp"

#include "tools/bench/process.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

Descriptor& network_before() {
    static Descriptor fd;
    return fd;
}

bool unshare_network() {
    network_before() = Descriptor{open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
    const uid_t user = getuid();
    if (user == 0)
        return unshare(CLONE_NEWNET) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    // Root in there, so that ip(8) keeps its capabilities.
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1\n";
    return true;
}

} // namespace

std::string enter_own_network() {
    if (find_program("ip").empty())
        return "ip (iproute2) is not installed";
    if (!unshare_network())
        return std::string("no network namespace can be made: ") + std::strerror(errno);
    std::string script =
        "ip link set lo up && ip -6 route add local " + std::string(client_prefix) + "/64 dev lo";
    for (const char* number : {"2", "3", "4"})
        script += " && ip address add " + std::string(server_prefix) + number + "/128 dev lo nodad";
    // The kernel makes the routes to them by and by, and throws away what is sent to them before.
    script += " && until [ \"$(ip -6 route show table local | grep -c '^local " + std::string(server_prefix) +
              "[234] ')\" -eq 3 ]; do sleep 0.01; done";
    return Child({"sh", "-c", script}).finish() == 0 ? "" : "the network namespace cannot be set up";
}

void leave_own_network() {
    // Only root can: another user's part was made in a user namespace, and ends with the process.
    setns(network_before().get(), CLONE_NEWNET);
}

} // namespace multihome::bench
