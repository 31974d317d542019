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

void Callgrind::run(const std::vector<std::string>& options, const std::vector<std::string>& command,
                    const std::string& library, const std::function<void(Child&)>& meanwhile) const {
    std::vector<std::string> whole = {"valgrind", "--quiet", "--tool=callgrind",
                                      "--callgrind-out-file=" + output(),
                                      // Its remarks, about caches that no processor has and the like.
                                      "--log-file=" + folder_ + "/log"};
    whole.insert(whole.end(), options.begin(), options.end());
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
}

uint64_t Callgrind::count(const std::vector<std::string>& command, const std::string& library,
                          const std::function<void(Child&)>& meanwhile) const {
    run({}, command, library, meanwhile);
    // For callgrind_annotate: the files of all runs, in a folder of the user's choice.
    if (const char* keep = std::getenv("MULTIHOME_BENCH_KEEP")) {
        static int runs = 0;
        std::filesystem::copy_file(output(), std::string(keep) + "/callgrind.out." + std::to_string(++runs));
    }
    std::ifstream file(output());
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string name;
        uint64_t total = 0;
        if (words >> name >> total && name == "summary:")
            return total;
    }
    throw std::runtime_error("callgrind counted nothing in " + command.at(0));
}

std::map<std::string, Callgrind::Profile> Callgrind::profiles(const std::vector<std::string>& options,
                                                              const std::vector<std::string>& command) const {
    run(options, command, "", {});
    std::map<std::string, Profile> found;
    for (int number = 1;; ++number) {
        std::ifstream file(output() + '.' + std::to_string(number));
        if (!file)
            return found;
        const std::string trigger = "desc: Trigger: Client Request: ";
        std::string name;
        std::istringstream events;
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with(trigger))
                name = line.substr(trigger.size());
            else if (line.starts_with("events: "))
                events.str(line.substr(8));
            else if (line.starts_with("summary: ")) {
                std::istringstream counts(line.substr(9));
                std::string event;
                for (uint64_t count = 0; events >> event && counts >> count;)
                    found[name][event] = count;
            }
        }
    }
}

} // namespace multihome::bench
