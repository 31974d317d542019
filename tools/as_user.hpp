// SPDX-License-Identifier: MIT
// Does something in a child process: as another user, or where else there is no way back.
#pragma once

#include <functional>
#include <string>

namespace multihome::tools {

/// Runs `work` in a child process and hands on what it returns, as an exit status. What it throws is said, as
/// by main().
int in_child(const std::function<int()>& work);

/// Runs `work` as the user and hands on what it returns, as an exit status. `name` may be a number; empty: as
/// this user, in this process. `group` may be empty. Throws Impossible where there is no such user or it is
/// not permitted.
int as_user(const std::string& name, const std::string& group, const std::function<int()>& work);

} // namespace multihome::tools
