// SPDX-License-Identifier: MIT
//
// Where the server's processor time goes: the program's own part, with the shim's, and the kernel's. Samples
// by a timer (perf_event_open), because virtual machines seldom have the processor's counters. The shim makes
// the same system calls as a native program, so that the program's part is where it can differ.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/processors.hpp"
#include "tools/bench/subjects.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

// Samples of one thread.
class Sampler {
public:
    explicit Sampler(pid_t thread) : fd_(open(thread)) {
        if (fd_.get() < 0)
            return;
        memory_ = mmap(nullptr, page + ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
        if (memory_ == MAP_FAILED)
            fail("mmap");
    }
    ~Sampler() {
        if (fd_.get() >= 0)
            munmap(memory_, page + ring_size);
    }
    Sampler(const Sampler&) = delete;
    Sampler& operator=(const Sampler&) = delete;

    bool works() const { return fd_.get() >= 0; }

    struct Counts {
        uint64_t all = 0;
        uint64_t user = 0;
    };
    // Of the samples since the last call.
    Counts take() {
        auto* control = static_cast<perf_event_mmap_page*>(memory_);
        const char* ring = static_cast<const char*>(memory_) + page;
        const uint64_t head = std::atomic_ref(control->data_head).load(std::memory_order_acquire);
        uint64_t tail = control->data_tail;
        Counts counts;
        while (tail < head) {
            // A record is a multiple of eight bytes, and so is the ring: its head is never cut.
            perf_event_header header;
            std::memcpy(&header, ring + tail % ring_size, sizeof header);
            if (header.type == PERF_RECORD_SAMPLE) {
                ++counts.all;
                counts.user += (header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER;
            }
            tail += header.size;
        }
        std::atomic_ref(control->data_tail).store(tail, std::memory_order_release);
        return counts;
    }

private:
    static constexpr size_t page = 4096;
    static constexpr size_t ring_size = 128 * page; // for 20,000 samples

    static Descriptor open(pid_t thread) {
        perf_event_attr attributes{};
        attributes.type = PERF_TYPE_SOFTWARE;
        attributes.config = PERF_COUNT_SW_CPU_CLOCK;
        attributes.size = sizeof attributes;
        attributes.sample_period = 100'000; // nanoseconds of its processor time
        attributes.sample_type = PERF_SAMPLE_IP;
        return Descriptor{static_cast<int>(
            syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC))};
    }

    Descriptor fd_;
    void* memory_ = nullptr;
};

struct Outcome {
    double user = 0; // nanoseconds for a request and its reply
    double kernel = 0;
};

// False where sampling is not permitted.
bool run_once(const Settings& settings, const Subject& subject, Outcome& outcome) {
    std::vector<std::string> command = {own_path(), "server", "--place", name_of(Place::server)};
    if (subject.native)
        command.emplace_back("--native");
    Child server(command, subject.environment(settings));
    const auto port = static_cast<uint16_t>(std::stoul(server.read_line()));
    Sampler sampler(server.pid());
    if (!sampler.works())
        return false;
    const Load load(
        {.server = address_of(asked_address, port), .window = 32, .size = 512, .place = Place::client});
    const auto duration = std::chrono::milliseconds(settings.quick ? 100 : 400);
    std::this_thread::sleep_for(duration / 8); // warm-up
    sampler.take();
    const Load::Answers before = load.answers();
    const double time_before = server.processor_time();
    const Load::Answers after = load.answers_after(duration, before);
    const double time =
        (server.processor_time() - time_before) * 1e9 / static_cast<double>(after.all - before.all);
    const Sampler::Counts counts = sampler.take();
    outcome.user =
        time * static_cast<double>(counts.user) / static_cast<double>(std::max<uint64_t>(counts.all, 1));
    outcome.kernel = time - outcome.user;
    return true;
}

} // namespace

void measure_profile(const Settings& settings, Figures& figures) {
    figures.begin("Where the server's processor time goes: saturated, 512 bytes, 1 thread (x: to native)");
    std::array<std::vector<double>, subjects.size()> user;
    std::array<std::vector<double>, subjects.size()> kernel;
    const unsigned repetitions = settings.quick ? 3 : 11;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition)
        for (size_t turn = 0; turn < subjects.size(); ++turn) {
            const size_t index = (turn + repetition) % subjects.size();
            Outcome outcome;
            if (!run_once(settings, subjects[index], outcome))
                return figures.skip("profile", std::string("perf_event_open: ") + std::strerror(errno));
            user[index].push_back(outcome.user);
            kernel[index].push_back(outcome.kernel);
        }
    const auto add = [&](const char* group, const auto& times) {
        for (size_t index = 0; index < subjects.size(); ++index) {
            std::vector<double> ratios;
            for (unsigned repetition = 0; repetition < repetitions; ++repetition)
                ratios.push_back(times[index][repetition] / times[native_server][repetition]);
            figures.add({group, subjects[index].name, "ns", Sample::of(times[index]), Sample::sure(ratios)});
        }
    };
    add("the program's own part", user);
    add("the kernel's part", kernel);
}

} // namespace multihome::bench
