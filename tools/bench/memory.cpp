// SPDX-License-Identifier: MIT
#include "tools/bench/memory.hpp"

#include <cctype>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace multihome::bench {

namespace {

template <typename Wanted>
double sum(pid_t process, const Wanted& is_wanted) {
    std::ifstream file("/proc/" + std::to_string(process) + "/smaps");
    if (!file)
        throw std::runtime_error("cannot read /proc/PID/smaps");
    double bytes = 0;
    bool counts = false;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        double kibibytes = 0;
        // A mapping begins with its addresses, in small letters; its attributes with capital ones.
        if (!std::isupper(static_cast<unsigned char>(line[0])))
            counts = is_wanted(line);
        else if (counts && words >> key >> kibibytes && key == "Rss:")
            bytes += kibibytes * 1024;
    }
    return bytes;
}

// Shared memory without a file is called so.
bool is_shared(const std::string& mapping) {
    return mapping.ends_with("/dev/zero (deleted)");
}

} // namespace

double resident_memory(pid_t process) {
    return sum(process, [](const std::string& mapping) {
        return mapping.find('/') == std::string::npos || is_shared(mapping);
    });
}

double resident_shared_memory(pid_t process) {
    return sum(process, is_shared);
}

} // namespace multihome::bench
