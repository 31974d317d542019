// SPDX-License-Identifier: MIT
//
// Conversations: which address each answer leaves from, in the cases in which what is known of a peer could
// be mistaken for what is known of another one. Each case is played twice by the same script: with a bare
// program, which must show what is wrong without the shim (or that nothing is), and with the shim, where
// every answer must be right.
//
//   multihome_conversations --library FILE CASE v4|v6   CASE or the beginning of several cases' names
//   multihome_conversations --list

#include "tests/conversations/script.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace multihome::conversations; // NOLINT(google-build-using-namespace)

namespace {

constexpr int skipped = 77; // what ctest takes for "could not run here"

std::vector<Case> all_cases() {
    std::vector<Case> all;
    for (const auto cases : {cases_of_many_sockets, cases_of_many_peers, cases_of_siblings, cases_of_spoofing,
                             cases_of_routing, cases_of_any_ip, cases_of_processes})
        for (Case& one : cases())
            all.push_back(std::move(one));
    return all;
}

Tally play(const Case& one, Family family, const std::string& preload) {
    Tally tally;
    {
        Program program{preload, one.environment};
        one.run(program, family, tally);
    }
    std::printf("%-10s %llu answers, %llu from a wrong source%s%s\n",
                preload.empty() ? "bare:" : "with shim:", static_cast<unsigned long long>(tally.answers),
                static_cast<unsigned long long>(tally.wrong), tally.first.empty() ? "" : "; ",
                tally.first.c_str());
    std::fflush(stdout);
    if (tally.answers == 0)
        fail("nothing was answered");
    return tally;
}

// Returns whether it went as it should.
bool play_twice(const Case& one, Family family, const std::string& library) {
    std::printf("%s\n", one.name.c_str());
    std::fflush(stdout);
    bool is_judged = false;
    try {
        if ((play(one, family, "").wrong == 0) != (one.bare == Bare::all_right))
            fail("the bare program does not show what it is there to show");
        const uint64_t wrong = play(one, family, library).wrong;
        is_judged = true;
        if (wrong != 0)
            fail("answers from a wrong source");
        return true;
    } catch (const std::runtime_error& error) {
        std::printf("FAIL: %s: %s\n%s", one.name.c_str(), error.what(),
                    is_judged ? "" : lost_datagrams().c_str());
        std::fflush(stdout);
        return false;
    }
}

int play_all(const std::string& beginning, Family family, const std::string& library) {
    become_a_host();
    unsigned played = 0;
    unsigned failed = 0;
    for (const Case& one : all_cases())
        if (one.name.starts_with(beginning)) {
            ++played;
            failed += play_twice(one, family, library) ? 0U : 1U;
        }
    if (played == 0)
        fail("no case begins with " + beginning);
    std::printf("%u of %u cases failed\n", failed, played);
    return failed == 0 ? 0 : 1;
}

} // namespace

int main(int count, char** arguments) {
    // What the caller's shell has set must not decide what a test sees.
    for (const char* name : {"MULTIHOME_LOG", "MULTIHOME_LOG_FILE", "MULTIHOME_PORTS", "MULTIHOME_PEERS",
                             "MULTIHOME_SAME_INTERFACE", "MULTIHOME_DISABLE", "MULTIHOME_TIMEOUTS"})
        unsetenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    try {
        if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
            for (const Case& one : all_cases())
                std::puts(one.name.c_str());
            return 0;
        }
        if (count != 5 || std::strcmp(arguments[1], "--library") != 0)
            fail("usage: multihome_conversations --library FILE CASE v4|v6");
        return play_all(arguments[3], std::strcmp(arguments[4], "v6") == 0 ? Family::v6 : Family::v4,
                        arguments[2]);
    } catch (const Skip& skip) {
        std::printf("SKIP: %s\n", skip.what());
        return skipped;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAIL: %s\n", error.what());
        return 1;
    }
}
