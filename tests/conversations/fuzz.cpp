// SPDX-License-Identifier: MIT
//
// Random conversations: peers that ask several sockets on several ports at whatever address; copies of these
// sockets and siblings with SO_REUSEPORT; threads and workers that read and answer for each other, at once or
// late, in order or not; calls that fail, addresses that come and go, threads that are cancelled and workers
// that are killed. One program in three has 40 ports; in one of three a single thread reads, and in one of
// three each answers what it has read. One in four has sockets for both families. Some answers leave from a
// socket that was made for one client, as in DTLS and TFTP. The model (model.hpp) says where each answer has
// to come from.
//
//   multihome_conversations_fuzz --library FILE [--faults FILE] [--seed N] [--steps N] [--trace yes]
//
// Without --faults no call fails.
//
// A failure names the seed of its program: with that seed and --trace, what led to it is shown.

#include "tests/conversations/conversing.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>

using namespace multihome::conversations; // NOLINT(google-build-using-namespace)

namespace {

constexpr int skipped = 77; // what ctest takes for "could not run here"
// So many steps with one program; then another one starts.
constexpr unsigned steps_of_a_program = 3000;

struct Options {
    std::string library;
    std::string faults;
    uint64_t seed = std::random_device{}() & 0xffffffffU;
    uint64_t steps = 20'000;
    bool is_traced = false;
};

Options read_options(int count, char** arguments) {
    Options options;
    for (int index = 1; index < count; index += 2) {
        const std::string name = arguments[index];
        if (index + 1 == count)
            fail(name + " needs a value");
        const std::string value = arguments[index + 1];
        if (name == "--library")
            options.library = value;
        else if (name == "--faults")
            options.faults = value;
        else if (name == "--seed")
            options.seed = std::stoull(value);
        else if (name == "--steps")
            options.steps = std::stoull(value);
        else if (name == "--trace")
            options.is_traced = value == "yes";
        else
            fail("unknown option " + name);
    }
    if (options.library.empty())
        fail("usage: multihome_conversations_fuzz --library FILE [--faults FILE] [--seed N] [--steps N] "
             "[--trace yes]");
    return options;
}

int fuzz(const Options& options) {
    become_a_host();
    uint64_t answers = 0;
    uint64_t exact = 0;
    for (uint64_t done = 0, program = 0; done < options.steps; ++program) {
        const uint64_t seed = options.seed + program;
        const Family family = seed % 2 == 0 ? Family::v4 : Family::v6;
        const bool is_dual = family == Family::v6 && seed / 18 % 2 == 1;
        unsigned step = 0;
        try {
            Conversing conversing{family, is_dual, options.library, options.faults, seed};
            if (options.is_traced)
                conversing.trace();
            for (; step < steps_of_a_program && done < options.steps; ++step, ++done)
                conversing.step();
            answers += conversing.answers;
            exact += conversing.exact;
        } catch (const std::runtime_error& error) {
            std::printf("FAIL: --seed %llu, step %u: %s\n%s", static_cast<unsigned long long>(seed), step,
                        error.what(), lost_datagrams().c_str());
            return 1;
        }
    }
    std::printf(
        "--seed %llu: %llu steps, %llu answers, %llu of them with one source that is right, 0 wrong\n",
        static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(options.steps),
        static_cast<unsigned long long>(answers), static_cast<unsigned long long>(exact));
    return 0;
}

} // namespace

int main(int count, char** arguments) {
    setenv("MULTIHOME_LOG", "off", 0); // NOLINT(concurrency-mt-unsafe): one thread
    try {
        return fuzz(read_options(count, arguments));
    } catch (const Skip& skip) {
        std::printf("SKIP: %s\n", skip.what());
        return skipped;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAIL: %s\n", error.what());
        return 2;
    }
}
