// SPDX-License-Identifier: MIT
// The processes with the library in them that an operator means by a PID, a unit or a port.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tools/processes.hpp"
#include "tools/running_library.hpp"

namespace multihome::tools {

/// One state and the processes that share it: a server and what it has forked.
struct Running {
    Process process; ///< the one with the lowest number
    std::vector<pid_t> others;
    LibraryPresence library;
    std::vector<RunningState>
        state;           ///< one, or none where no socket has been taken over or it cannot be read
    std::string problem; ///< why it cannot be read
};

/// The end of a sentence that says that nothing was found: for an ordinary user, that root may find more.
const char* root_sees_more();

/// A unit's alias is the unit that it stands for. All else that an operator may name stays as it is.
std::string true_target(const std::string& target);

/// `target`: empty for all, a unit, ":PORT", a PID, or a number that is a port because no such process has
/// the library. Throws Impossible where there is none, unless there `may_be_none`.
std::vector<Running> find_running(const std::string& target, bool may_be_none = false);

/// The same again and again, for one who watches. To look into every process of the host is most of the work,
/// so that is done once a second at most; in between only those are looked at that were found.
class Watched {
public:
    explicit Watched(std::string target) : target_(std::move(target)) {}
    std::vector<Running> look(bool may_be_none);

private:
    std::string target_;
    std::vector<pid_t> found_;
    std::chrono::steady_clock::time_point searched_;
};

} // namespace multihome::tools
