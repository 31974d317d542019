// SPDX-License-Identifier: MIT
//
// How many cache lines an operation on a table touches that the processor cannot have at hand: callgrind
// follows each access through a cache of the last 32 lines used. That holds what every operation uses (the
// stack, the table's head, a thread's state) and next to nothing of the table, whatever its size.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/table.hpp"

#include <map>

namespace multihome::bench {

TableLines table_lines(const std::string& kind, size_t peers) {
    const Callgrind callgrind;
    const std::vector<std::string> options = {"--instr-atstart=no", // the filling is not counted, and faster
                                              "--cache-sim=yes", "--D1=2048,32,64", "--I1=32768,8,64",
                                              "--LL=16777216,16,64"};
    const std::map<std::string, Callgrind::Profile> profiles =
        callgrind.profiles(options, {own_path(), "table", "--kind", kind, "--peers", std::to_string(peers)});
    const auto each = [&](const std::string& direction) {
        const Callgrind::Profile& profile = profiles.at(direction);
        return static_cast<double>(profile.at("D1mr") + profile.at("D1mw")) / counted_operations;
    };
    return {each("find"), each("update")};
}

} // namespace multihome::bench
