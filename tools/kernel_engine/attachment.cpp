// SPDX-License-Identifier: MIT
#include <algorithm>

#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"

namespace multihome::tools::engine {
namespace {

bool is_or_holds(const std::string& group, const std::string& other) {
    return group == "/" || other == group || other.rfind(group + "/", 0) == 0;
}

} // namespace

bool Attachment::holds(const std::string& control_group) const {
    return !control_group.empty() && is_or_holds(path, control_group);
}

bool Attachment::serves(const std::string& made_in, const std::string& used_in, std::uint16_t port) const {
    return alive && is_read && holds(made_in) && (!ports || ports->test(port)) &&
           std::none_of(except.begin(), except.end(),
                        [&](const std::string& group) { return is_or_holds(group, used_in); });
}

std::vector<Attachment> visible_attachments() {
    if (!missing_rights().empty())
        return {};
    try {
        return attachments();
    } catch (const Impossible&) {
        return {}; // a kernel without the engine's means serves nothing with it
    }
}

} // namespace multihome::tools::engine
