// SPDX-License-Identifier: MIT
//
// start LIBRARY PROGRAM: what a program costs more that has nothing to do with UDP when it starts with the
// library: at most ten page faults on average, and some, or it was not loaded. (What it costs in instructions
// the guard of the bench holds.)
#include <cstdio>
#include <spawn.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>

namespace {

constexpr double allowed = 10;
constexpr int runs = 400;

// Page faults of one run of the program, or -1.
long page_faults(const char* program, const std::string& variable) {
    char* const arguments[] = {const_cast<char*>(program), nullptr};
    char* const environment[] = {const_cast<char*>(variable.c_str()), nullptr};
    pid_t child = -1;
    int status = -1;
    rusage usage{};
    if (posix_spawn(&child, program, nullptr, nullptr, arguments, environment) != 0 ||
        wait4(child, &status, 0, &usage) != child || status != 0) {
        return -1;
    }
    return usage.ru_minflt;
}

} // namespace

int main(int, char** arguments) {
    const char* program = arguments[2];
    const std::string preload = std::string{"LD_PRELOAD="} + arguments[1];
    // As long, so that it takes as much of the stack.
    std::string nothing = preload;
    nothing.replace(0, 10, "NO_PRELOAD");
    // Where the kernel places the mappings decides about three faults in either direction. So the average
    // counts: with this many runs it is exact to a tenth, where the fewest of some runs is a matter of luck.
    long bare = 0;
    long with = 0;
    for (int run = 0; run < runs; ++run) {
        const long bare_now = page_faults(program, nothing);
        const long with_now = page_faults(program, preload);
        if (bare_now < 0 || with_now < 0) {
            std::printf("%s cannot be run\n", program);
            return 1;
        }
        bare += bare_now;
        with += with_now;
    }
    const double more = static_cast<double>(with - bare) / runs;
    std::printf("page faults: %.1f bare, %.1f more with the library\n", static_cast<double>(bare) / runs,
                more);
    return with > bare && more <= allowed ? 0 : 1;
}
