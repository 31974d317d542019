// SPDX-License-Identifier: MIT
// What the kernel asks of who loads and attaches the programs; see capabilities(7).
#include <fmt/core.h>
#include <fmt/format.h>
#include <linux/capability.h>

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "tools/kernel_engine/engine.hpp"

namespace multihome::tools::engine {
namespace {

struct Right {
    unsigned number;
    const char* name;
};
// Debian 11's headers know all of them; older ones do not.
constexpr Right bpf{39, "CAP_BPF"};
constexpr Right net_admin{CAP_NET_ADMIN, "CAP_NET_ADMIN"};
constexpr Right perfmon{38, "CAP_PERFMON"};

std::uint64_t effective_capabilities() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.rfind("CapEff:", 0) == 0)
            return std::stoull(line.substr(7), nullptr, 16);
    return 0;
}

std::string missing_of(std::initializer_list<Right> rights) {
    const std::uint64_t capabilities = effective_capabilities();
    const auto has = [&](unsigned capability) { return (capabilities >> capability & 1) != 0; };
    if (has(CAP_SYS_ADMIN))
        return {};
    std::vector<std::string> missing;
    for (const Right& right : rights)
        if (!has(right.number))
            missing.emplace_back(right.name);
    if (missing.size() < 2)
        return missing.empty() ? std::string{} : missing.front();
    const std::string last = missing.back();
    missing.pop_back();
    return fmt::format("{} and {}", fmt::join(missing, ", "), last);
}

} // namespace

std::string missing_rights() {
    return missing_of({bpf, net_admin});
}

// To who lacks CAP_PERFMON the verifier permits less arithmetic than the programs have.
std::string missing_rights_to_attach() {
    return missing_of({bpf, net_admin, perfmon});
}

} // namespace multihome::tools::engine
