// SPDX-License-Identifier: MIT
// What the kernel asks of who loads and attaches the programs; see capabilities(7).
#include <fmt/core.h>
#include <linux/capability.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "tools/kernel_engine/engine.hpp"

namespace multihome::tools::engine {
namespace {

// Debian 11's headers know it; older ones do not.
constexpr unsigned capability_bpf = 39;

std::uint64_t effective_capabilities() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.rfind("CapEff:", 0) == 0)
            return std::stoull(line.substr(7), nullptr, 16);
    return 0;
}

} // namespace

std::string missing_rights() {
    const std::uint64_t capabilities = effective_capabilities();
    const auto has = [&](unsigned capability) { return (capabilities >> capability & 1) != 0; };
    if (has(CAP_SYS_ADMIN))
        return {};
    std::string missing;
    if (!has(capability_bpf))
        missing = "CAP_BPF";
    if (!has(CAP_NET_ADMIN))
        missing += missing.empty() ? "CAP_NET_ADMIN" : " and CAP_NET_ADMIN";
    return missing;
}

} // namespace multihome::tools::engine
