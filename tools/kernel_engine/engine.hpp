// SPDX-License-Identifier: MIT
// The kernel engine as multihomectl sees it: what is attached lives in the kernel, held by files ("pins")
// below /sys/fs/bpf/multihome, one directory for each control group. No process has to go on running.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/kernel_engine/control_group.hpp"
#include "tools/kernel_engine/model.h"

namespace multihome::tools::engine {

/// Whether this multihomectl was built with the engine. Without it all functions below throw Impossible, but
/// attachments(), which finds none.
bool built_in();

/// The rights that this process lacks to see what is attached and to take it away, for an operator; empty if
/// it has them all. In a user namespace they are no rights on the host: what they do not reach throws.
std::string missing_rights();
/// Those that it lacks to attach.
std::string missing_rights_to_attach();

struct Request {
    ControlGroup group;
    std::vector<ControlGroup> except;        ///< no identity: not there yet, and `path` is the unit's name
    std::optional<std::bitset<65536>> ports; ///< only these local ports
    std::uint32_t peers = 262144;            ///< conversations to remember
    std::uint32_t question_seconds = 30;
    std::uint32_t spoke_first_seconds = 120;
};

using Counters = std::array<std::uint64_t, ENGINE_COUNTERS>;

struct Attachment {
    std::uint64_t identity = 0; ///< of the control group
    std::string path;           ///< of the control group
    bool alive = true;          ///< false: the control group is gone, and the pins are all that is left
    bool is_read = false;       ///< false: another version's, of which no more is known than the path
    std::vector<std::string> hooks;
    Counters counters{};
    std::vector<std::string> except;         ///< control groups below it that are not served
    std::optional<std::bitset<65536>> ports; ///< only these local ports
    std::uint32_t question_ticks = 0;
    std::uint32_t spoke_first_ticks = 0;

    /// Whether a socket on `port` is served: `made_in` is the control group in which it was made, where the
    /// programs run for it; `used_in` that of the process that sends, which may be excepted.
    [[nodiscard]] bool serves(const std::string& made_in, const std::string& used_in,
                              std::uint16_t port) const;
    /// Whether this is the control group, or it lies below.
    [[nodiscard]] bool holds(const std::string& control_group) const;
};

struct Conversation {
    engine_key key{};
    engine_conversation known{};
};

/// Attaches all programs that this kernel takes, or none. Returns what is not served on this kernel, a line
/// for each. Throws Impossible if the control group has the engine already.
std::vector<std::string> attach(const Request& request);

/// What is attached, and what is left of control groups that are gone. Throws Impossible.
std::vector<Attachment> attachments();

/// As attachments(), but nothing where this user may not see it, or there is no engine.
std::vector<Attachment> visible_attachments();

/// Removes one of these, and what killed calls of attach() and detach() have left. False: there is none.
bool detach(std::uint64_t identity);

/// Where the whole host is attached to but for this control group, or its unit: `group` is what is called so
/// now. Throws Impossible where it is not.
void renew_exception(const ControlGroup& group);

/// Calls `visit` for each conversation of an attachment, in no order.
void for_each_conversation(std::uint64_t identity, const std::function<void(const Conversation&)>& visit);

} // namespace multihome::tools::engine
