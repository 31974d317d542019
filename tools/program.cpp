// SPDX-License-Identifier: MIT
#include "tools/program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fmt/core.h>
#include <utility>

namespace multihome::tools {
namespace {

constexpr std::size_t script_line_limit = 256; // the kernel's BINPRM_BUF_SIZE: it reads no more of a #! line
constexpr int script_depth_limit = 5;          // the kernel gives up after as many interpreters

constexpr std::string_view blanks = " \t";

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// The first blank-separated word, taken off the front of `text`.
std::string_view take_word(std::string_view& text) {
    text = trim(text);
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    text.remove_prefix(word.size());
    return word;
}

Lookup examine(const std::string& path) {
    Lookup lookup;
    lookup.path = path;
    if (stat(path.c_str(), &lookup.status) != 0) {
        const int reason = errno;
        lookup.problem = std::strerror(reason); // NOLINT(concurrency-mt-unsafe): this program has one thread
        const bool absent = reason == ENOENT || reason == ENOTDIR;
        lookup.result = absent ? Lookup::Result::not_found : Lookup::Result::not_executable;
        if (absent)
            lookup.problem = "not found";
        return lookup;
    }
    lookup.result = Lookup::Result::not_executable;
    if (S_ISDIR(lookup.status.st_mode))
        lookup.problem = "it is a directory";
    else if (!S_ISREG(lookup.status.st_mode))
        lookup.problem = "it is not a regular file";
    else if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)
        lookup.problem = "it may not be executed (no permission, or a file system mounted noexec)";
    else
        lookup.result = Lookup::Result::found;
    return lookup;
}

std::string search_path() {
    if (const char* path = std::getenv("PATH")) // NOLINT(concurrency-mt-unsafe): this program has one thread
        return path;
    std::array<char, 256> standard{};
    confstr(_CS_PATH, standard.data(), standard.size());
    return standard.data();
}

/// A file without "#!" is handed to /bin/sh by shells and by execvp(3), when it looks like text.
bool looks_like_text(std::string_view beginning) {
    return beginning.find('\0') == std::string_view::npos;
}

} // namespace

Descriptor::~Descriptor() {
    if (valid())
        close(number_);
}

Descriptor open_for_reading(const std::string& path) {
    // O_NONBLOCK: a FIFO must not stop us.
    return Descriptor{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
}

Lookup find_program(const std::string& name) {
    if (name.empty()) {
        Lookup lookup;
        lookup.problem = "not found: the program's name is empty";
        return lookup;
    }
    if (name.find('/') != std::string::npos)
        return examine(name);
    const std::string directories = search_path();
    Lookup best;
    best.path = name;
    best.problem = "not found in PATH";
    for (std::size_t begin = 0; begin <= directories.size();) {
        const std::size_t end = std::min(directories.find(':', begin), directories.size());
        std::string directory = directories.substr(begin, end - begin);
        begin = end + 1;
        if (directory.empty())
            directory = "."; // that is what an empty element means
        Lookup candidate = examine(directory.append("/").append(name));
        if (candidate.result == Lookup::Result::found)
            return candidate;
        // As a shell: directories that may not be searched, and what is no file, do not count as found.
        if (S_ISREG(candidate.status.st_mode) && best.result == Lookup::Result::not_found)
            best = std::move(candidate);
    }
    return best;
}

ScriptLine parse_script_line(std::string_view beginning) {
    if (!beginning.starts_with("#!"))
        return {};
    std::string_view line = beginning.substr(2, script_line_limit - 2);
    line = trim(line.substr(0, line.find_first_of(std::string_view{"\n\0", 2})));
    const std::string_view interpreter = take_word(line);
    return {std::string{interpreter}, std::string{trim(line)}};
}

std::string plain_env_word(std::string_view word) {
    std::string plain{word};
    while (plain.size() > 2 && (plain.starts_with("-v") || plain.starts_with("-0")))
        plain.erase(1, 1);
    struct Option {
        std::string_view shortest, name;
    };
    constexpr std::array options{Option{"--ignore-e", "--ignore-environment"}, Option{"--u", "--unset"},
                                 Option{"--c", "--chdir"}, Option{"--s", "--split-string"},
                                 Option{"--a", "--argv0"}};
    const std::string_view given = word.substr(0, word.find('='));
    for (const Option& option : options)
        if (given.starts_with(option.shortest) && option.name.starts_with(given))
            plain.replace(0, given.size(), option.name);
    return plain;
}

EnvTarget parse_env_argument(std::string_view given) {
    const std::string plain = plain_env_word(given);
    std::string_view argument = plain;
    EnvTarget target;
    const auto strip = [&](std::string_view prefix) {
        if (!argument.starts_with(prefix))
            return false;
        argument.remove_prefix(prefix.size());
        return true;
    };
    if (!strip("-S") && !strip("--split-string=")) {
        // Without -S the kernel hands over the whole rest of the line as one word.
        if (!argument.starts_with('-'))
            target.program = argument;
        target.clears_environment =
            argument.starts_with("-i") || argument == "-" || argument == "--ignore-environment";
        return target;
    }
    for (;;) {
        const std::string word = plain_env_word(take_word(argument));
        if (word.empty())
            return target;
        if (word.starts_with("-i") || word == "-" || word == "--ignore-environment") {
            target.clears_environment = true;
        } else if (word == "-u" || word == "--unset" || word == "-C" || word == "--chdir" || word == "-a" ||
                   word == "--argv0") {
            if (take_word(argument) == "LD_PRELOAD" && (word == "-u" || word == "--unset"))
                target.clears_environment = true;
        } else if (word.starts_with("-u") || word.starts_with("--unset=")) {
            target.clears_environment |= word.ends_with("LD_PRELOAD");
        } else if (!word.starts_with('-') && word.find('=') == std::string::npos) {
            target.program = word;
            return target;
        }
    }
}

Resolution follow_scripts(Lookup start) {
    Resolution resolution;
    resolution.program = std::move(start);
    for (int depth = 0; resolution.program.result == Lookup::Result::found; ++depth) {
        std::array<char, script_line_limit> buffer{};
        const Descriptor file = open_for_reading(resolution.program.path);
        const ssize_t size = file.valid() ? pread(file.number(), buffer.data(), buffer.size(), 0) : 0;
        if (size <= 0)
            return resolution; // unreadable or empty: the caller says so
        const std::string_view beginning{buffer.data(), static_cast<std::size_t>(size)};
        if (beginning.starts_with("\177ELF"))
            return resolution;
        ScriptLine line = parse_script_line(beginning);
        if (line.interpreter.empty()) {
            if (!looks_like_text(beginning))
                return resolution;
            line.interpreter = "/bin/sh";
        }
        resolution.scripts.push_back(resolution.program.path);
        if (depth == script_depth_limit) {
            resolution.program.result = Lookup::Result::not_executable;
            resolution.program.problem = "its #! lines lead from script to script without an end";
            return resolution;
        }
        const bool through_env = line.interpreter == "env" || line.interpreter.ends_with("/env");
        // The kernel does not use PATH for an interpreter: a bare name is a file in the working directory.
        resolution.program = examine(line.interpreter);
        if (!through_env || resolution.program.result != Lookup::Result::found)
            continue;
        const EnvTarget target = parse_env_argument(line.argument);
        resolution.clears_environment |= target.clears_environment;
        if (!target.program.empty())
            resolution.program = find_program(target.program);
    }
    return resolution;
}

} // namespace multihome::tools
