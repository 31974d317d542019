// SPDX-License-Identifier: MIT
//
// Resident memory. From the page tables: the counters in /proc/PID/statm and status are off by up to some
// hundred pages, because each processor keeps a part of them to itself.
#pragma once

#include <sys/types.h>

namespace multihome::bench {

// Bytes of memory that no file is mapped into.
double resident_memory(pid_t process);
// Those of it that are shared with other processes, or could be.
double resident_shared_memory(pid_t process);

} // namespace multihome::bench
