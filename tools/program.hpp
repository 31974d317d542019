// SPDX-License-Identifier: MIT
// From the name that an operator types to the file that the kernel will map.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

namespace multihome::tools {

/// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor(Descriptor&&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor();
    [[nodiscard]] int number() const { return number_; }
    [[nodiscard]] bool valid() const { return number_ >= 0; }

private:
    int number_;
};

Descriptor open_for_reading(const std::string& path);

struct Lookup {
    enum class Result { found, not_found, not_executable };
    Result result = Result::not_found;
    std::string path;      ///< what would be started, or what was found instead
    std::string problem;   ///< why not, in words for an operator
    struct stat status {}; ///< of `path`, links followed, when found
};

/// Looks for a program as a shell does: a name with a slash is a path, any other is looked up in PATH.
Lookup find_program(const std::string& name);

/// What the `#!` line of a script asks for.
struct ScriptLine {
    std::string interpreter; ///< empty: the file is no script
    std::string argument;    ///< all of the rest of the line, as the kernel hands it on
};
ScriptLine parse_script_line(std::string_view beginning);

/// A word of env(1)'s as its manual has it. getopt_long(3) also takes flags in front of another one ("-vi"),
/// and the beginning of a long option ("--ignore-env").
std::string plain_env_word(std::string_view word);

/// What `#!/usr/bin/env ...` goes on to start.
struct EnvTarget {
    std::string program;             ///< empty when it cannot be told
    bool clears_environment = false; ///< -i: LD_PRELOAD would be gone
};
EnvTarget parse_env_argument(std::string_view argument);

/// Follows `#!` lines from `start` to the program that is really run. `scripts` holds the scripts on the way;
/// an unsuccessful result speaks of the last interpreter.
struct Resolution {
    Lookup program;
    std::vector<std::string> scripts;
    bool clears_environment = false;
};
Resolution follow_scripts(Lookup start);

} // namespace multihome::tools
