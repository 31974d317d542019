// SPDX-License-Identifier: MIT
//
// What the figures were measured on.
#pragma once

#include <string>

namespace multihome::bench {

struct Machine {
    std::string processor;
    unsigned processors = 0;
    std::string kernel;
    std::string compiler; // that the bench was built with, and so the library beside it
    std::string libc;

    static Machine here();
    std::string line() const;
};

} // namespace multihome::bench
