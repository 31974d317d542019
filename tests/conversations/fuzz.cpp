// SPDX-License-Identifier: MIT
//
// Random conversations: peers that ask several sockets on several ports at whatever address; copies of these
// sockets and siblings with SO_REUSEPORT; threads and workers that read and answer for each other, at once or
// late, in order or not; calls that fail, addresses that come and go, long silences, threads that are
// cancelled and workers that are killed. Two programs in five have 40 ports; in one of three a single thread
// reads, and in one of three each answers what it has read. One in four has sockets for both families. Some
// answers leave from a socket that was made for one client, as in DTLS and TFTP. The model (model.hpp) says
// where each answer has to come from. Where it leaves that open for too many answers, that is a failure too.
//
//   multihome_conversations_fuzz --library FILE [--faults FILE] [--seed N] [--steps N] [--trace yes]
//
// Without --faults no call fails, and nobody is silent for long.
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

// The answers of all programs of one kind.
struct Judged {
    const char* kind;
    // So many of a hundred have one source that is right. Else the model allows too much to see a fault.
    unsigned least;
    uint64_t answers = 0;
    uint64_t exact = 0;

    void add(const Conversing& conversing) {
        answers += conversing.answers;
        exact += conversing.exact;
    }
    uint64_t percent() const { return answers != 0 ? exact * 100 / answers : 0; }
    // Of few answers the share says little.
    bool is_too_little() const { return answers >= 5000 && percent() < least; }
};

int fuzz(const Options& options) {
    become_a_host();
    Judged judged[Conversing::kind_count] = {{"all read", 40}, {"one reads", 50}, {"answers itself", 45}};
    for (uint64_t done = 0, program = 0; done < options.steps; ++program) {
        const uint64_t seed = options.seed + program;
        unsigned step = 0;
        try {
            Conversing conversing{options.library, options.faults, seed};
            if (options.is_traced)
                conversing.trace();
            for (; step < steps_of_a_program && done < options.steps; ++step, ++done)
                conversing.step();
            judged[static_cast<size_t>(Conversing::kind_of(seed))].add(conversing);
        } catch (const std::runtime_error& error) {
            std::printf("FAIL: --seed %llu, step %u: %s\n%s", static_cast<unsigned long long>(seed), step,
                        error.what(), lost_datagrams().c_str());
            return 1;
        }
    }
    std::printf("--seed %llu: %llu steps, 0 wrong\n", static_cast<unsigned long long>(options.seed),
                static_cast<unsigned long long>(options.steps));
    bool is_too_little = false;
    for (const Judged& of_kind : judged) {
        std::printf("%s%s: %llu answers, %llu %% of them with one source that is right\n",
                    of_kind.is_too_little() ? "FAIL: too little is judged: " : "", of_kind.kind,
                    static_cast<unsigned long long>(of_kind.answers),
                    static_cast<unsigned long long>(of_kind.percent()));
        is_too_little |= of_kind.is_too_little();
    }
    return is_too_little ? 1 : 0;
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
