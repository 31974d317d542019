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
    enum class Calls { plain, messages, batches }; // recvfrom/sendto, recvmsg/sendmsg, recvmmsg/sendmmsg
    Calls calls;
    bool ipv6_server;
    bool ipv6_client;
    unsigned peers; // as ask_in_turn() has it

    std::string name() const {
        const char* call = calls == Calls::plain      ? "recvfrom and sendto"
                           : calls == Calls::messages ? "recvmsg and sendmsg"
                                                      : "recvmmsg and sendmmsg, 32 each";
        const char* family = !ipv6_server ? "IPv4" : ipv6_client ? "IPv6" : "IPv4 on an IPv6 socket";
        const std::string who = peers == 0   ? "new peers"
                                : peers == 1 ? "one peer"
                                             : std::to_string(peers) + " peers in turn";
        return std::string(call) + ", " + family + ", " + who;
    }
};

uint64_t count(const Case& what, bool native, const std::string& library, uint64_t requests) {
    const TemporaryFile output;
    const bool batch = what.calls == Case::Calls::batches;
    std::vector<std::string> command = {"strace", "-f", "-qq", "-o", output.path()};
    if (!library.empty())
        command.insert(command.end(), {"-E", "LD_PRELOAD=" + library});
    command.insert(command.end(), {own_path(), "server", "--requests", std::to_string(requests)});
    if (native)
        command.emplace_back("--native");
    if (what.ipv6_server)
        command.emplace_back("--ipv6");
    if (what.calls == Case::Calls::messages)
        command.emplace_back("--messages");
    if (batch)
        command.insert(command.end(), {"--batch", "--gated"});
    Child child(command, {});
    const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
    const uint64_t right = batch
                               ? ask_in_batches(port, child.input(), requests / batch_size, what.ipv6_client)
                               : ask_in_turn(port, what.peers, requests, what.ipv6_client);
    int status = 0;
    child.finish(status);
    if (status != 0 || (right != requests && (native || !library.empty())))
        throw std::runtime_error("strace: the server answered wrongly, " + what.name());
    return output.lines();
}

std::vector<Case> all_cases() {
    using Calls = Case::Calls;
    std::vector<Case> cases = {{Calls::plain, false, false, 1}, {Calls::plain, false, false, 0}};
    for (const Calls calls : {Calls::plain, Calls::messages, Calls::batches}) {
        const unsigned peers = calls == Calls::batches ? 1 : 100; // a batch comes from one socket
        cases.push_back({calls, false, false, peers});
        cases.push_back({calls, true, true, peers});
        cases.push_back({calls, true, false, peers});
    }
    return cases;
}

} // namespace

void measure_system_calls(const Settings& settings, Figures& figures) {
    figures.begin("System calls per request and reply (strace)");
    if (find_program("strace").empty())
        return figures.skip("system calls", "strace is not installed");
    if (!strace_works())
        return figures.skip("system calls", "strace is not permitted to trace here");
    constexpr uint64_t few = uint64_t{10} * batch_size;
    constexpr uint64_t more = uint64_t{20} * batch_size;
    // A call now and then, once in some hundred packets, is none for each of them.
    constexpr double rounding = 0.005;
    const bool ipv6 = std::filesystem::exists("/proc/net/if_inet6");
    if (!ipv6)
        figures.skip("system calls with IPv6", "this kernel has no IPv6");
    for (const Case& what : all_cases()) {
        if (what.ipv6_server && !ipv6)
            continue;
        const auto each = [&](bool native, const std::string& library) {
            return static_cast<double>(count(what, native, library, few + more) -
                                       count(what, native, library, few)) /
                   static_cast<double>(more);
        };
        const double native = each(true, "");
        const std::string name = what.name();
        figures.add({name, "bare", "calls", Sample::exactly(each(false, ""))});
        figures.add({name, "native", "calls", Sample::exactly(native)});
        figures.add(
            {name, "shim", "calls", Sample::exactly(each(false, settings.library)), {}, native + rounding});
    }
}

} // namespace multihome::bench
