// SPDX-License-Identifier: MIT
//
// The peer table alone, against what one would take off the shelf. Each runs in a process of its own, so that
// its memory can be told, and measures when it is told to.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace multihome::bench {

struct TableKind {
    const char* name;
    const char* package; // null: always there
    bool built_in;       // false: the package was not there when the bench was built
};
const std::vector<TableKind>& table_kinds();

// Fills the table with `peers` peers, prints "BYTES-PER-PEER INSERTIONS-PER-SECOND SHARE-FOUND", and then
// answers each line "find THREADS MILLISECONDS" or "update THREADS MILLISECONDS" on standard input with
// operations per second. Inside callgrind it makes two profiles instead, "find" and "update", each of
// counted_operations.
int run_table(const std::string& kind, size_t peers);
constexpr unsigned counted_operations = 20'000;

// Cache lines touched by one operation, without those that every operation touches.
struct TableLines {
    double find;
    double update;
};
TableLines table_lines(const std::string& kind, size_t peers);

} // namespace multihome::bench
