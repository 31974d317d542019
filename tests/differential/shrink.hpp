// SPDX-License-Identifier: MIT
// Cuts a failing sequence down to its shortest form.
#pragma once

#include "tools/differential/step.hpp"

#include <functional>
#include <vector>

namespace multihome::differential {

/// `fails` says whether a sequence still shows a difference. Tries at most `attempts` sequences.
std::vector<Step> shrink(std::vector<Step> steps, const std::function<bool(const std::vector<Step>&)>& fails,
                         int attempts);

} // namespace multihome::differential
