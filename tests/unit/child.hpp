// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <iostream>
#include <unistd.h>

namespace multihome::test {

// fork(), with nothing left in buffers that the child would write a second time.
inline pid_t fork_clean() {
    std::cout.flush();
    std::cerr.flush();
    std::fflush(nullptr);
    return fork();
}

} // namespace multihome::test
