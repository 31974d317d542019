// SPDX-License-Identifier: MIT
#include "tools/bench/machine.hpp"

#include <fstream>
#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <thread>

namespace multihome::bench {

namespace {

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos)
            return line.substr(colon + 2);
    }
    return "unknown processor";
}

} // namespace

Machine Machine::here() {
    Machine machine;
    machine.processor = processor_name();
    machine.processors = std::thread::hardware_concurrency();
    utsname name{};
    uname(&name);
    machine.kernel = std::string(name.sysname) + ' ' + name.release + ' ' + name.machine;
#ifdef __clang__
    machine.compiler = "clang " __clang_version__;
#else
    machine.compiler = "gcc " __VERSION__;
#endif
    machine.libc = std::string("glibc ") + gnu_get_libc_version();
    return machine;
}

std::string Machine::line() const {
    return processor + ", " + std::to_string(processors) + " processors; " + kernel + "; " + compiler + "; " +
           libc;
}

} // namespace multihome::bench
