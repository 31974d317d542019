// SPDX-License-Identifier: MIT
#include "tools/bench/callgrind.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace multihome::bench {

Callgrind::Counts Callgrind::count(const Words& command, const Words& environment, bool part,
                                   const std::function<void(Child&)>& meanwhile, const Words& options) {
    const std::string output = folder_.path() + "/callgrind.out";
    // Its remarks are about caches that no processor has and the like.
    Words whole = {"valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=" + output,
                   "--log-file=" + folder_.path() + "/log"};
    if (part)
        whole.emplace_back("--instr-atstart=no");
    if (!keep_.empty())
        append(whole, {"--dump-instr=yes", "--collect-jumps=yes"});
    append(whole, options);
    append(whole, command);
    Child child(whole, environment);
    if (meanwhile)
        meanwhile(child);
    if (child.finish() != 0)
        throw std::runtime_error("valgrind failed on " + command.at(0));
    const std::string counts = part ? output + ".1" : output;
    if (!keep_.empty()) {
        std::filesystem::create_directories(keep_);
        std::filesystem::copy_file(counts, keep_ + "/callgrind.out." + std::to_string(++kept_),
                                   std::filesystem::copy_options::overwrite_existing);
    }
    std::ifstream file(counts);
    std::istringstream events;
    Counts found;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("events: "))
            events.str(line.substr(8));
        if (!line.starts_with("summary: "))
            continue;
        std::istringstream numbers(line.substr(9));
        std::string event;
        for (uint64_t number = 0; events >> event && numbers >> number;)
            found[event] = number;
    }
    if (found.empty())
        throw std::runtime_error("callgrind counted nothing in " + command.at(0));
    return found;
}

} // namespace multihome::bench
