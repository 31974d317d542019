// SPDX-License-Identifier: MIT
//
// Answers from a wrong source, counted. Each test asks a bare server first, where there must be some, then
// the same server with the shim, where there must be none.
//
//   multihome_stress many_ports|one_port --server PROGRAM --style STYLE --library FILE
//                    [--requests N] [--ports N] [--window N]

#include "client.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

using namespace multihome::stress; // NOLINT(google-build-using-namespace)

namespace {

constexpr uint64_t bare_requests = 2'000;

uint64_t number(const std::map<std::string, std::string>& options, const char* name) {
    const std::string& text = options.at(name);
    char* end = nullptr;
    const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || value == 0 || value > 100'000'000)
        fail(std::string{name} + " is not a number from 1 to 100000000: " + text);
    return value;
}

} // namespace

int main(int count, char** arguments) {
    std::map<std::string, std::string> options{{"--server", ""},     {"--style", "reply"},
                                               {"--library", ""},    {"--requests", "100000"},
                                               {"--ports", "20000"}, {"--window", "100"}};
    errno = 0;
    const std::string test = count > 1 ? arguments[1] : "";
    for (int index = 2; index < count; index += 2) {
        const auto option = options.find(arguments[index]);
        if (option == options.end() || index + 1 == count)
            fail(std::string{"unknown or incomplete option "} + arguments[index]);
        option->second = arguments[index + 1];
    }
    if (options["--server"].empty() || options["--library"].empty())
        fail("--server and --library are needed");
    const uint64_t requests = number(options, "--requests");
    const auto ports = static_cast<unsigned>(number(options, "--ports"));
    const auto window = static_cast<unsigned>(number(options, "--window"));

    const auto run = [&](uint64_t limit, const std::string& preload) {
        const Server server{options["--server"], options["--style"], preload};
        Result result;
        if (test == "many_ports")
            result = ask_from_many_ports(server, std::min<unsigned>(ports, static_cast<unsigned>(limit)),
                                         limit, window);
        else if (test == "one_port")
            result = ask_from_one_port(server, limit, window);
        else
            fail("the test is many_ports or one_port, not '" + test + "'");
        std::printf("%-11s %9llu requests, %9llu answers, %9llu from a wrong source\n",
                    preload.empty() ? "bare:" : "with shim:", static_cast<unsigned long long>(limit),
                    static_cast<unsigned long long>(result.answers),
                    static_cast<unsigned long long>(result.wrong));
        std::fflush(stdout);
        errno = 0;
        if (result.answers != limit)
            fail("not every request was answered once");
        return result;
    };
    if (run(std::min(requests, bare_requests), "").wrong == 0)
        fail("the bare server was never wrong: this shows nothing");
    if (run(requests, options["--library"]).wrong != 0)
        fail("answers from a wrong source");
    return 0;
}
