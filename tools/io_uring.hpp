// SPDX-License-Identifier: MIT
// Programs that receive by io_uring(7): the library does not see what they hear.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tools/running_library.hpp"

namespace multihome::tools {

constexpr std::uint16_t any_port = 0;

/// What is to be said of a process in which the library has taken the port over (or any), but may not
/// see what it hears there; else empty. A program may have an io_uring for its files alone.
std::string note_on_io_uring(pid_t process, const LibraryPresence& library, std::uint16_t port);

} // namespace multihome::tools
