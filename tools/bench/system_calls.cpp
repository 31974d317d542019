// SPDX-License-Identifier: MIT
//
// System calls per request and reply, counted by strace: the difference between a long run and a short one.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <unistd.h>

namespace multihome::bench {

namespace {

// A file that is removed at the end.
class TemporaryFile {
public:
    TemporaryFile()
        : path_(std::filesystem::temp_directory_path() /
                ("multihome-bench-strace-" + std::to_string(getpid()))) {}
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    const std::string& path() const { return path_; }
    uint64_t lines() const {
        std::ifstream file(path_);
        uint64_t count = 0;
        for (std::string line; std::getline(file, line);)
            ++count;
        return count;
    }

private:
    std::string path_;
};

bool strace_works() {
    Child child({"strace", "-o", "/dev/null", "true"}, {}, true);
    int status = 0;
    child.finish(status);
    return status == 0;
}

struct Case {
    const char* name;
    bool batch;
    unsigned peers;
};

uint64_t count(const Case& what, bool native, const std::string& library, uint64_t requests) {
    const TemporaryFile output;
    std::vector<std::string> command = {"strace", "-f", "-qq", "-o", output.path()};
    if (!library.empty())
        command.insert(command.end(), {"-E", "LD_PRELOAD=" + library});
    command.insert(command.end(), {own_path(), "server", "--requests", std::to_string(requests)});
    if (native)
        command.push_back("--native");
    if (what.batch)
        command.insert(command.end(), {"--batch", "--gated"});
    Child child(command, {});
    const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
    const uint64_t right = what.batch ? ask_in_batches(port, child.input(), requests / batch_size)
                                      : ask_in_turn(port, what.peers, requests);
    int status = 0;
    child.finish(status);
    if (status != 0 || (right != requests && (native || !library.empty())))
        throw std::runtime_error(std::string("strace: the server answered wrongly, ") + what.name);
    return output.lines();
}

} // namespace

void measure_system_calls(const Settings& settings, Figures& figures) {
    figures.begin("System calls per request and reply (strace)");
    if (find_program("strace").empty())
        return figures.skip("system calls", "strace is not installed");
    if (!strace_works())
        return figures.skip("system calls", "strace is not permitted to trace here");
    constexpr uint64_t few = 10 * batch_size;
    constexpr uint64_t more = 20 * batch_size;
    constexpr double rounding = 0.001;
    for (const Case& what : {Case{"one peer", false, 1}, Case{"100 peers in turn", false, 100},
                             Case{"new peers", false, 0}, Case{"batches of 32", true, 1}}) {
        const auto each = [&](bool native, const std::string& library) {
            return static_cast<double>(count(what, native, library, few + more) -
                                       count(what, native, library, few)) /
                   static_cast<double>(more);
        };
        const double native = each(true, "");
        figures.add({what.name, "bare", "calls", Sample::exactly(each(false, ""))});
        figures.add({what.name, "native", "calls", Sample::exactly(native)});
        figures.add({what.name,
                     "shim",
                     "calls",
                     Sample::exactly(each(false, settings.library)),
                     {},
                     native + rounding});
    }
}

} // namespace multihome::bench
