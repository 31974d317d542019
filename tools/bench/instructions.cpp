// SPDX-License-Identifier: MIT
//
// Instructions per request and reply: the difference between a long run and a short one, so that what the
// program does once does not count.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/pass_on.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"
#include "tools/bench/subjects.hpp"

#include <array>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

// How the server is written, and who asks it.
struct Style {
    bool ipv6_server = false;
    bool ipv6_client = false;
    bool messages = false; // recvmsg() and sendmsg()
};

class Measurement {
public:
    Measurement(const Settings& settings, Figures& figures) : settings_(settings), figures_(figures) {}

    // `peers`: as ask_in_turn() has it.
    void request_and_reply(const std::string& group, const Style& style, unsigned peers,
                           std::optional<Budget> budget) {
        // Every peer is heard several times before it counts.
        const uint64_t few = std::max<uint64_t>(500, 2 * uint64_t{peers});
        const uint64_t more = settings_.quick ? 2000 : 8000;
        compare(group, budget, [&](const Subject& subject) {
            return (serve(subject, style, peers, few + more) - serve(subject, style, peers, few)) /
                   static_cast<double>(more);
        });
    }

    void batches(const std::string& group, const Style& style, std::optional<Budget> budget) {
        const uint64_t few = 10;
        const uint64_t more = settings_.quick ? 50 : 200;
        compare(group, budget, [&](const Subject& subject) {
            return (serve_batches(subject, style, few + more) - serve_batches(subject, style, few)) /
                   static_cast<double>(more * batch_size);
        });
    }

    void pass_on(const std::string& name) {
        constexpr double calls = 2; // for each of the count
        const auto run = [&](bool shim, uint64_t count) {
            return static_cast<double>(
                callgrind_.count({own_path(), "pass-on", "--kind", name, "--count", std::to_string(count)},
                                 shim ? settings_.library : ""));
        };
        const auto per_call = [&](bool shim) { return (run(shim, 3000) - run(shim, 1000)) / (2000 * calls); };
        const double bare = per_call(false);
        const double shim = per_call(true);
        const std::string group = "a call on what is not ours, " + name;
        figures_.add({group, "bare", "instructions", Sample::exactly(bare)});
        figures_.add({group, "shim", "instructions", Sample::exactly(shim)});
        figures_.add({group, "above bare", "instructions", Sample::exactly(shim - bare), {}, 12});
    }

    void process_start() {
        const std::vector<std::string> command = {find_program("true")};
        const auto bare = static_cast<double>(callgrind_.count(command, ""));
        const auto shim = static_cast<double>(callgrind_.count(command, settings_.library));
        const std::string group = "process start, true";
        figures_.add({group, "bare", "instructions", Sample::exactly(bare)});
        figures_.add({group, "shim", "instructions", Sample::exactly(shim)});
        figures_.add({group, "above bare", "instructions", Sample::exactly(shim - bare), {}, 120'000});
    }

    // A build keeps its debugging information; what is installed and loaded does not have it.
    void library_size() {
        const std::string strip = find_program("strip");
        if (strip.empty())
            return figures_.skip("the library's size", "strip (binutils) is not installed");
        const std::string stripped =
            std::filesystem::temp_directory_path() / ("multihome-bench-stripped-" + std::to_string(getpid()));
        Child child({strip, "-o", stripped, settings_.library}, {});
        int status = 0;
        child.finish(status);
        if (status != 0)
            throw std::runtime_error("strip failed on " + settings_.library);
        const auto size = static_cast<double>(std::filesystem::file_size(stripped)) / 1024;
        std::filesystem::remove(stripped);
        figures_.add({"the library, stripped", "shim", "KiB", Sample::exactly(size), {}, 800});
    }

private:
    static std::vector<std::string> server(const Subject& subject, const Style& style, uint64_t requests) {
        std::vector<std::string> command = {own_path(), "server", "--requests", std::to_string(requests)};
        if (subject.native)
            command.emplace_back("--native");
        if (style.ipv6_server)
            command.emplace_back("--ipv6");
        if (style.messages)
            command.emplace_back("--messages");
        return command;
    }

    double serve(const Subject& subject, const Style& style, unsigned peers, uint64_t requests) const {
        return static_cast<double>(callgrind_.count(
            server(subject, style, requests), subject.shim ? settings_.library : "", [&](Child& child) {
                const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
                expect_right(subject, style, ask_in_turn(port, peers, requests, style.ipv6_client), requests);
            }));
    }

    // The server waits at a gate, so that each receive call finds a whole batch.
    double serve_batches(const Subject& subject, const Style& style, uint64_t batches) const {
        const uint64_t requests = batches * batch_size;
        std::vector<std::string> command = server(subject, style, requests);
        command.insert(command.end(), {"--batch", "--gated"});
        return static_cast<double>(
            callgrind_.count(command, subject.shim ? settings_.library : "", [&](Child& child) {
                const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
                expect_right(subject, style, ask_in_batches(port, child.input(), batches, style.ipv6_client),
                             requests);
            }));
    }

    // Figures of a server that answers from the wrong address would be figures of something else.
    // The one IPv6 address of the loopback interface cannot be wrong.
    static void expect_right(const Subject& subject, const Style& style, uint64_t right, uint64_t requests) {
        const uint64_t wanted = subject.native || subject.shim || style.ipv6_client ? requests : 0;
        if (right != wanted)
            throw std::runtime_error(
                std::string(subject.name) + ": " + std::to_string(right) + " of " + std::to_string(requests) +
                " answers came from the address that was asked, not " + std::to_string(wanted));
    }

    template <typename Run>
    void compare(const std::string& group, std::optional<Budget> budget, const Run& run) {
        std::array<double, subjects.size()> values{};
        for (size_t index = 0; index < subjects.size(); ++index) {
            values[index] = run(subjects[index]);
            figures_.add({group, subjects[index].name, "instructions", Sample::exactly(values[index])});
        }
        figures_.add({group,
                      "shim above native",
                      "instructions",
                      Sample::exactly(values[shim_server] - values[native_server]),
                      {},
                      budget});
    }

    const Settings& settings_;
    Figures& figures_;
    Callgrind callgrind_;
};

} // namespace

void measure_instructions(const Settings& settings, Figures& figures) {
    figures.begin("User-space instructions (callgrind)");
    if (find_program("valgrind").empty())
        return figures.skip("instructions", "valgrind is not installed");
    Measurement measurement(settings, figures);
    constexpr double budget = 100;
    measurement.request_and_reply("request and reply, one peer", {}, 1, budget);
    measurement.request_and_reply("request and reply, 1000 peers in turn", {}, 1000, budget);
    measurement.request_and_reply("request and reply, new peers", {}, 0, {});
    measurement.request_and_reply("request and reply, one peer, recvmsg and sendmsg", {.messages = true}, 1,
                                  budget);
    measurement.request_and_reply("request and reply, 1000 peers in turn, recvmsg and sendmsg",
                                  {.messages = true}, 1000, budget);
    const Style ipv6{.ipv6_server = true, .ipv6_client = true};
    measurement.request_and_reply("request and reply, one peer, IPv6", ipv6, 1, budget);
    measurement.request_and_reply("request and reply, one peer, IPv4 on an IPv6 socket",
                                  {.ipv6_server = true}, 1, budget);
    measurement.request_and_reply("request and reply, 1000 peers in turn, IPv6", ipv6, 1000, budget);
    measurement.batches("request and reply, batches of 32", {}, budget);
    measurement.batches("request and reply, batches of 32, IPv6", ipv6, budget);
    for (const PassOnKind& kind : pass_on_kinds())
        measurement.pass_on(kind.name);
    measurement.process_start();
    measurement.library_size();
}

} // namespace multihome::bench
