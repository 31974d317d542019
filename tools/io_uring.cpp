// SPDX-License-Identifier: MIT
#include "tools/io_uring.hpp"

#include <algorithm>

#include "tools/processes.hpp"

namespace multihome::tools {

std::string note_on_io_uring(pid_t process, const LibraryPresence& library, std::uint16_t port) {
    if (!library.state || !has_io_uring(process))
        return {};
    std::string problem;
    const auto state = RunningState::read(process, *library.state, problem);
    if (!state)
        return {};
    const auto ports = state->by_port();
    const bool has_heard = std::any_of(ports.begin(), ports.end(), [&](const PortCounts& line) {
        return (line.port == port || line.port == 0 || port == any_port) &&
               line.counts[static_cast<std::size_t>(Counter::requests)] != 0;
    });
    return has_heard ? ""
                     : "it has an io_uring, and the library has seen no question yet. What it receives by "
                       "the io_uring is answered from the wrong address. To find out: multihomectl ask";
}

} // namespace multihome::tools
