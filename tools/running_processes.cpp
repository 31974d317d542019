// SPDX-License-Identifier: MIT
#include "tools/running_processes.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <utility>

#include "tools/output.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

/// Adds the process to those that share its state.
void add(std::vector<Running>& all, pid_t number, LibraryPresence&& library) {
    Running running;
    running.problem = library.problem;
    if (library.state) {
        const auto sharing = std::find_if(all.begin(), all.end(), [&](const Running& other) {
            return other.library.state && other.library.state->inode == library.state->inode;
        });
        if (sharing != all.end()) {
            sharing->others.push_back(number);
            return;
        }
        if (auto state = RunningState::read(number, *library.state, running.problem))
            running.state.push_back(std::move(*state));
    }
    running.process = describe_process(number);
    running.library = std::move(library);
    all.push_back(std::move(running));
}

bool counts_for_port(const Running& running, unsigned port) {
    for (const RunningState& state : running.state)
        for (const PortCounts& counts : state.by_port())
            if (counts.port == port)
                return true;
    return false;
}

void keep_port(std::vector<Running>& all, unsigned port) {
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const Running& running) { return !counts_for_port(running, port); }),
              all.end());
}

/// find_running() among these processes; empty where there is none.
std::vector<Running> find_among(const std::vector<pid_t>& processes, const std::string& target) {
    std::string number_text = target;
    const bool is_port = target.starts_with(':');
    if (is_port)
        number_text.erase(0, 1);
    unsigned number = 0;
    const char* end = number_text.data() + number_text.size();
    const auto [stop, error] = std::from_chars(number_text.data(), end, number);
    const bool is_number = error == std::errc{} && stop == end;
    if (is_port && (!is_number || number == 0 || number > 65535))
        throw Impossible(fmt::format("'{}' is no port: use a number from 1 to 65535, as in :53", target));
    const std::string unit = target.empty() || is_number ? std::string{} : valid_unit_name(target);

    std::vector<Running> all;
    for (const pid_t process : processes) {
        if (!unit.empty() && unit_of_group(read_whole(fmt::format("/proc/{}/cgroup", process))).unit != unit)
            continue;
        LibraryPresence library = find_library_in(process);
        if (library.mapped)
            add(all, process, std::move(library));
    }
    if (is_number) {
        const auto is_meant = [&](const Running& running) {
            return static_cast<unsigned>(running.process.number) == number ||
                   std::any_of(running.others.begin(), running.others.end(),
                               [&](pid_t other) { return static_cast<unsigned>(other) == number; });
        };
        const auto found = is_port ? all.end() : std::find_if(all.begin(), all.end(), is_meant);
        if (found != all.end()) {
            Running only = std::move(*found);
            all.clear();
            all.push_back(std::move(only));
        } else {
            keep_port(all, number);
        }
    }
    return all;
}

} // namespace

const char* root_sees_more() {
    return geteuid() != 0 ? "; run this as root to see those of other users" : "";
}

std::string true_target(const std::string& target) {
    const bool is_number = target.find_first_not_of("0123456789") == std::string::npos;
    if (is_number || target.starts_with(':'))
        return target;
    const std::string unit = valid_unit_name(target);
    const std::string name = true_unit_name(unit);
    return name != unit ? name : target;
}

std::vector<Running> find_running(const std::string& target, bool may_be_none) {
    std::vector<Running> all = find_among(list_processes(), target);
    if (all.empty() && !target.empty() && !may_be_none)
        throw Impossible(fmt::format(
            "'{}' is no process, unit or port with multihome in it: 'multihomectl stats' shows all{}", target,
            root_sees_more()));
    return all;
}

std::vector<Running> Watched::look(bool may_be_none) {
    constexpr std::chrono::seconds pause{1};
    std::vector<Running> all;
    const auto now = std::chrono::steady_clock::now();
    if (!found_.empty() && now - searched_ < pause)
        all = find_among(found_, target_);
    if (all.empty()) {
        searched_ = now;
        all = find_running(target_, may_be_none);
    }
    found_.clear();
    for (const Running& running : all) {
        found_.push_back(running.process.number);
        found_.insert(found_.end(), running.others.begin(), running.others.end());
    }
    return all;
}

} // namespace multihome::tools
