// SPDX-License-Identifier: MIT
// Why LD_PRELOAD does not reach a program: what its file says, and what happens when it is started.
#pragma once

#include <string>
#include <vector>

#include "tools/elf_file.hpp"
#include "tools/processes.hpp"
#include "tools/program.hpp"

namespace multihome::tools {

/// One reason why the program cannot be reached, and what an operator can do about it.
struct Obstacle {
    std::string reason;
    std::string advice;
    std::string in_short; ///< the reason in a table: "statically linked"
};

/// To standard error, below the line that says which program they are of.
void print_obstacles(const std::vector<Obstacle>& obstacles);

/// The library that would be preloaded.
struct LibraryFile {
    std::string path; ///< empty where none is found
    ElfMachine machine;
};

/// What `library` is; where the name is empty, that of this program, for both come from one build. Throws
/// Impossible.
LibraryFile look_at_library(const std::string& library);

/// What the file itself says. Throws ElfError where it is no program that could be started here.
void look_at_file(const std::string& path, int descriptor, const LibraryFile& library,
                  std::vector<Obstacle>& obstacles);

/// What happens when this user starts it.
void look_at_privileges(const Lookup& program, std::vector<Obstacle>& obstacles);

/// Why the kernel has asked for secure execution of a process, as far as its file tells.
Obstacle reason_of_secure_execution(const Process& process);

} // namespace multihome::tools
