// SPDX-License-Identifier: MIT
#include "tools/check_program.hpp"

#include <fmt/core.h>

namespace multihome::tools {
namespace {

void report_unusable(const std::string& name, const Resolution& resolution, ProgramCheck& check) {
    const Lookup& program = resolution.program;
    check.subject = program.path.empty() ? name : program.path;
    check.problem = program.problem;
    check.status = program.result == Lookup::Result::not_found ? not_found : not_executable;
    if (!resolution.scripts.empty()) {
        // The script exists, so this is never "not found", whatever its interpreter is.
        if (check.subject.ends_with('\r')) {
            check.subject.pop_back();
            check.problem += ", because the script's first line ends with a carriage return: take it away";
        }
        check.problem = fmt::format("it is a script for {}: {}", check.subject, check.problem);
        check.subject = resolution.scripts.front();
        check.status = not_executable;
    }
}

} // namespace

ProgramCheck check_program(const std::string& program, const std::string& library) {
    ProgramCheck check;
    const LibraryFile to_load = look_at_library(library);
    const Resolution resolution = follow_scripts(find_program(program));
    const Lookup& found = resolution.program;
    if (found.result != Lookup::Result::found) {
        report_unusable(program, resolution, check);
        return check;
    }
    check.subject = found.path;
    if (!resolution.scripts.empty())
        check.subject = fmt::format("{} (a script, run by {})", resolution.scripts.front(), found.path);
    const Descriptor file = open_for_reading(found.path);
    check.may_be_read = file.valid();
    if (file.valid()) {
        try {
            look_at_file(found.path, file.number(), to_load, check.obstacles);
        } catch (const ElfError& error) {
            check.problem = error.what();
            check.status = not_executable;
            return check;
        }
    }
    look_at_privileges(found, check.obstacles);
    if (resolution.clears_environment)
        check.obstacles.push_back({"its #! line makes env(1) clear the environment, and LD_PRELOAD with it",
                                   "start the interpreter with the script as its argument instead",
                                   "env -i in its #! line"});
    if (!check.obstacles.empty())
        check.status = not_reachable;
    return check;
}

} // namespace multihome::tools
