// SPDX-License-Identifier: MIT
#include "tools/bench/callgrind.hpp"

#include "tools/bench/process.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>

namespace multihome::bench {

Callgrind::Callgrind() {
    std::string pattern = (std::filesystem::temp_directory_path() / "multihome-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
        fail(pattern);
    folder_ = pattern;
}

Callgrind::~Callgrind() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

uint64_t Callgrind::count(const std::vector<std::string>& command, const std::string& library,
                          const std::function<void(Child&)>& meanwhile) const {
    const std::string output = folder_ + "/callgrind.out";
    std::vector<std::string> whole = {"valgrind", "--quiet", "--tool=callgrind",
                                      "--callgrind-out-file=" + output};
    whole.insert(whole.end(), command.begin(), command.end());
    std::vector<std::string> environment;
    if (!library.empty())
        environment.push_back("LD_PRELOAD=" + library);
    Child child(whole, environment);
    if (meanwhile)
        meanwhile(child);
    int status = 0;
    child.finish(status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error("valgrind failed on " + command.at(0));
    // For callgrind_annotate: the files of all runs, in a folder of the user's choice.
    if (const char* keep = std::getenv("MULTIHOME_BENCH_KEEP")) {
        static int runs = 0;
        std::filesystem::copy_file(output, std::string(keep) + "/callgrind.out." + std::to_string(++runs));
    }
    std::ifstream file(output);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string name;
        uint64_t total = 0;
        if (words >> name >> total && name == "summary:")
            return total;
    }
    throw std::runtime_error("callgrind counted nothing in " + command.at(0));
}

} // namespace multihome::bench
