// SPDX-License-Identifier: MIT
// From a step to the arguments of its call, with all that they point to laid out in memory.
#pragma once

#include "tools/differential/memory.hpp"
#include "tools/differential/surroundings.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace multihome::differential {

/// The messages of a call and where their parts lie. Also made for calls with a single buffer, which have no
/// header.
struct Layout {
    struct Part {
        std::uintptr_t name = 0;
        std::size_t name_room = 0;
        std::uintptr_t control = 0;
        std::size_t control_room = 0;
    };
    std::vector<Part> parts;
    std::uintptr_t messages = 0;  ///< 0 where there are no headers
    std::size_t message_size = 0; ///< sizeof(msghdr) or sizeof(mmsghdr)
    std::uintptr_t timeout = 0;
    bool timeout_runs = false; ///< the kernel may write what is left of it
};

struct PreparedCall {
    Symbol symbol = Symbol::syscall;
    std::array<std::uint64_t, maximum_arguments> arguments{};
    Layout layout;
};

/// `serial` makes the data of one step different from another's.
PreparedCall prepare(const Step& step, Memory& memory, const Surroundings& surroundings,
                     std::uint32_t serial);

/// Builds the control messages that `contents` stands for; returns their length, and in `unpadded` the length
/// without the last one's padding.
std::size_t build_control(std::uint32_t contents, std::array<unsigned char, 1024>& target,
                          std::size_t& unpadded);

/// The number of the system call that the function makes; -1 where there is none.
long system_call_of(Symbol symbol);

} // namespace multihome::differential
