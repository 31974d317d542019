// SPDX-License-Identifier: MIT
//
// start LIBRARY PROGRAM: what a program costs more that has nothing to do with UDP when it starts with the
// library: at most ten page faults. (What it costs in instructions the guard of the bench holds.)
#include <algorithm>
#include <climits>
#include <cstdio>
#include <spawn.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>

namespace {

constexpr long allowed = 10;

// The fewest page faults of some runs: where the kernel places a mapping decides about one or two.
long page_faults(const char* program, const char* variable) {
    char* const arguments[] = {const_cast<char*>(program), nullptr};
    char* const environment[] = {const_cast<char*>(variable), nullptr};
    long fewest = LONG_MAX;
    for (int run = 0; run < 30; ++run) {
        pid_t child = -1;
        int status = -1;
        rusage usage{};
        if (posix_spawn(&child, program, nullptr, nullptr, arguments, environment) != 0 ||
            wait4(child, &status, 0, &usage) != child || status != 0) {
            std::printf("%s cannot be run\n", program);
            return LONG_MAX;
        }
        fewest = std::min(fewest, usage.ru_minflt);
    }
    return fewest;
}

} // namespace

int main(int, char** arguments) {
    const std::string preload = std::string{"LD_PRELOAD="} + arguments[1];
    // As long, so that it takes as much of the stack.
    std::string nothing = preload;
    nothing.replace(0, 10, "NO_PRELOAD");
    const long bare = page_faults(arguments[2], nothing.c_str());
    const long with = page_faults(arguments[2], preload.c_str());
    std::printf("page faults: %ld bare, %ld with the library\n", bare, with);
    return with - bare <= allowed ? 0 : 1;
}
