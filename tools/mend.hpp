// SPDX-License-Identifier: MIT
// What stands in the way of preloading into a running server, and the one command that mends it.
#pragma once

#include "tools/host_network.hpp"
#include "tools/obstacles.hpp"
#include "tools/running_library.hpp"

namespace multihome::tools {

struct Server;

/// Fills in `obstacles`, `command` and `remark`.
void find_mend(Server& server, const LibraryPresence& presence, const LibraryFile& library,
               const HostNetwork& network);

} // namespace multihome::tools
