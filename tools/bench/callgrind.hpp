// SPDX-License-Identifier: MIT
//
// User-space instructions, counted by callgrind. They repeat exactly where the machine's time does not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace multihome::bench {

class Child;

class Callgrind {
public:
    Callgrind();
    ~Callgrind();
    Callgrind(const Callgrind&) = delete;
    Callgrind& operator=(const Callgrind&) = delete;

    // Instructions of a whole run. `library`: preloaded, unless empty. `meanwhile`: what is done to the
    // program while it runs.
    uint64_t count(const std::vector<std::string>& command, const std::string& library,
                   const std::function<void(Child&)>& meanwhile = {}) const;

private:
    std::string folder_;
};

} // namespace multihome::bench
