// SPDX-License-Identifier: MIT
// Does a recipe work, with this host's addresses and routes, on this kernel? Tried in two network namespaces
// that are joined by veth pairs, one for each interface: nothing of the host is touched.
#pragma once

#include "tools/output.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {

/// Prints what a client gets before and after. Returns `success`, `failure` where the recipe does not help or
/// where one that is applied is no longer in place, and `bad_usage` where it cannot be tried.
int verify(const Plan& plan, const Host& host, const OutputOptions& output);

} // namespace multihome::tools::recipes
