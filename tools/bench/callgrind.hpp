// SPDX-License-Identifier: MIT
//
// User-space instructions, counted by callgrind. They repeat exactly where the machine's time does not. And
// what a program says to callgrind: nothing where its header was missing when the bench was built.
#pragma once

#include "tools/bench/process.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION static_cast<void>(0)
#define CALLGRIND_DUMP_STATS            static_cast<void>(0)
#define RUNNING_ON_VALGRIND             0
#endif

namespace multihome::bench {

class Callgrind {
public:
    // `keep`: a folder for the files of all runs, for callgrind_annotate; empty: they are thrown away.
    explicit Callgrind(std::string keep = "") : keep_(std::move(keep)) {}

    // What a run counts, by events ("Ir": instructions), or the `part` from CALLGRIND_START_INSTRUMENTATION
    // to CALLGRIND_DUMP_STATS. `meanwhile`: what is done to the program while it runs.
    using Counts = std::map<std::string, uint64_t>;
    Counts count(const Words& command, const Words& environment, bool part,
                 const std::function<void(Child&)>& meanwhile = {}, const Words& options = {});

private:
    TemporaryFolder folder_;
    std::string keep_;
    unsigned kept_ = 0;
};

} // namespace multihome::bench
