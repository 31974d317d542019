// SPDX-License-Identifier: MIT
//
// User-space instructions, counted by callgrind. They repeat exactly where the machine's time does not.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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

    // What a program counts that makes profiles of its own (CALLGRIND_DUMP_STATS_AT), by their names: events
    // and how many of each.
    using Profile = std::map<std::string, uint64_t>;
    std::map<std::string, Profile> profiles(const std::vector<std::string>& options,
                                            const std::vector<std::string>& command) const;

private:
    std::string output() const { return folder_ + "/callgrind.out"; }
    void run(const std::vector<std::string>& options, const std::vector<std::string>& command,
             const std::string& library, const std::function<void(Child&)>& meanwhile) const;

    std::string folder_;
};

} // namespace multihome::bench
