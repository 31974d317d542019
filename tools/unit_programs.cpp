// SPDX-License-Identifier: MIT
#include "tools/unit_programs.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <utility>

#include "tools/starters.hpp"

namespace multihome::tools {
namespace {

/// With a root directory of its own, the program is another file than here.
ProgramCheck check_in_root(const Unit& unit, const std::string& program, const std::string& library) {
    if (!unit.has_own_root() || !program.starts_with('/'))
        return check_program(program, library);
    ProgramCheck check;
    if (unit.get("RootImage").empty())
        check = check_program(unit.get("RootDirectory") + program, library);
    if (check.subject.empty() || check.status == not_found || check.status == not_executable) {
        check = {};
        check.subject = program;
        check.notes.emplace_back(
            "the unit has a root directory of its own, and this program was not looked at");
    }
    return check;
}

UnitProgram check_command(const Unit& unit, const UnitCommand& command, const std::string& library) {
    UnitProgram program;
    program.check = check_in_root(unit, command.program, library);
    ProgramCheck& check = program.check;
    if (check.status != success && check.status != not_reachable)
        return program;
    const Started started = look_at_starters(command.words);
    if (started.obstacle) {
        // Alone: sudo is set-user-ID, and what is said of that would be bad advice for it.
        check.obstacles = {*started.obstacle};
        program.elsewhere = started.elsewhere;
    } else if (!started.program.empty() && started.program != command.program) {
        for (Obstacle obstacle : check_in_root(unit, started.program, library).obstacles) {
            obstacle.reason = fmt::format("it starts {}: {}", started.program, obstacle.reason);
            check.obstacles.push_back(obstacle);
        }
    }
    check.status = check.obstacles.empty() ? success : not_reachable;
    return program;
}

} // namespace

std::vector<UnitProgram> check_unit_programs(const Unit& unit, const std::string& library) {
    std::vector<UnitProgram> programs;
    const std::vector<UnitCommand> commands = unit.commands();
    for (const UnitCommand& command : commands) {
        UnitProgram program = check_command(unit, command, library);
        // One that may be missing: the others are what the unit is for.
        if (program.check.status != not_found || !command.may_fail || commands.size() == 1)
            programs.push_back(std::move(program));
    }
    if (programs.empty())
        programs.push_back(check_command(unit, commands.front(), library));
    return programs;
}

ProgramCheck in_one(const std::vector<UnitProgram>& programs) {
    if (programs.size() == 1)
        return programs.front().check;
    ProgramCheck all;
    for (const auto& [check, elsewhere] : programs) {
        const auto named = [&, subject = check.subject](const std::string& text) {
            return fmt::format("{}: {}", subject, text);
        };
        all.subject += (all.subject.empty() ? "" : ", ") + check.subject;
        all.status = std::max(all.status, check.status); // the worst is the highest
        if (!check.problem.empty())
            all.problem += (all.problem.empty() ? "" : "; ") + named(check.problem);
        for (const Obstacle& obstacle : check.obstacles)
            all.obstacles.push_back({named(obstacle.reason), obstacle.advice, obstacle.in_short});
        for (const std::string& note : check.notes)
            all.notes.push_back(named(note));
        all.may_be_read = all.may_be_read && check.may_be_read;
    }
    return all;
}

} // namespace multihome::tools
