// SPDX-License-Identifier: MIT
//
// The cost of being passed on: calls on descriptors that are none of the shim's business.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace multihome::bench {

struct PassOnKind {
    const char* name;
    void (*run)(uint64_t count); // makes two calls, `count` times
};
const std::vector<PassOnKind>& pass_on_kinds();

int run_pass_on(const std::string& name, uint64_t count);

} // namespace multihome::bench
