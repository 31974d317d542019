// SPDX-License-Identifier: MIT
#include "tools/bench/sampler.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <linux/perf_event.h>
#include <sstream>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace multihome::bench {

namespace {

std::string proc(pid_t process, const char* file) {
    return "/proc/" + std::to_string(process) + '/' + file;
}

std::vector<pid_t> threads_of(pid_t process) {
    std::vector<pid_t> threads;
    for (const auto& entry : std::filesystem::directory_iterator(proc(process, "task"))) {
        threads.push_back(std::stoi(entry.path().filename()));
        std::ifstream children(entry.path() / "children");
        for (pid_t child = 0; children >> child;)
            for (const pid_t thread : threads_of(child))
                threads.push_back(thread);
    }
    return threads;
}

double resident(pid_t process, const std::function<bool(const std::string&)>& is_wanted) {
    std::ifstream file(proc(process, "smaps"));
    if (!file)
        throw std::runtime_error("cannot read " + proc(process, "smaps"));
    double bytes = 0;
    bool counts = false;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        double kibibytes = 0;
        // A mapping begins with its addresses, in small letters; its attributes with capital ones.
        if (std::isupper(static_cast<unsigned char>(line[0])) == 0)
            counts = is_wanted(line);
        else if (counts && words >> key >> kibibytes && key == "Rss:")
            bytes += kibibytes * 1024;
    }
    return bytes;
}

// Shared memory without a file is called so.
bool is_shared(const std::string& mapping) {
    return mapping.ends_with("/dev/zero (deleted)");
}

} // namespace

std::vector<pid_t> wait_for_threads(pid_t process, unsigned count) {
    for (int tries = 0; tries < 1000; ++tries) {
        const std::vector<pid_t> threads = threads_of(process);
        if (threads.size() == count)
            return threads;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    throw std::runtime_error("a server does not start its threads");
}

double processor_time(const std::vector<pid_t>& threads) {
    double sum = 0;
    for (const pid_t thread : threads) {
        double time = 0;
        std::ifstream(proc(thread, "schedstat")) >> time;
        sum += time;
    }
    return sum;
}

double shared_memory(pid_t process) {
    return resident(process, is_shared);
}

double anonymous_memory(pid_t process) {
    return resident(process, [](const std::string& mapping) {
        return mapping.find('/') == std::string::npos || is_shared(mapping);
    });
}

// Samples of one thread.
class Samplers::Sampler {
public:
    explicit Sampler(pid_t thread) {
        perf_event_attr attributes{};
        attributes.type = PERF_TYPE_SOFTWARE;
        attributes.config = PERF_COUNT_SW_CPU_CLOCK;
        attributes.size = sizeof attributes;
        attributes.sample_period = 100'000; // nanoseconds of its processor time
        attributes.sample_type = PERF_SAMPLE_IP;
        fd_ = Descriptor(static_cast<int>(
            syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)));
        if (fd_.get() >= 0)
            memory_ = mmap(nullptr, page + ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    }
    ~Sampler() {
        if (memory_ != MAP_FAILED)
            munmap(memory_, page + ring_size);
    }
    Sampler(const Sampler&) = delete;
    Sampler& operator=(const Sampler&) = delete;

    bool works() const { return memory_ != MAP_FAILED; }

    void take(uint64_t& all, uint64_t& user) {
        auto* control = static_cast<perf_event_mmap_page*>(memory_);
        const char* ring = static_cast<const char*>(memory_) + page;
        const uint64_t head = std::atomic_ref(control->data_head).load(std::memory_order_acquire);
        uint64_t tail = control->data_tail;
        while (tail < head) {
            // A record is a multiple of eight bytes, and so is the ring: its head is never cut.
            perf_event_header header;
            std::memcpy(&header, ring + tail % ring_size, sizeof header);
            if (header.type == PERF_RECORD_SAMPLE) {
                ++all;
                user += (header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER;
            }
            tail += header.size;
        }
        std::atomic_ref(control->data_tail).store(tail, std::memory_order_release);
    }

private:
    static constexpr size_t page = 4096;
    static constexpr size_t ring_size = 128 * page; // for 20,000 samples

    Descriptor fd_;
    void* memory_ = MAP_FAILED;
};

Samplers::Samplers(const std::vector<pid_t>& threads) {
    for (const pid_t thread : threads) {
        samplers_.push_back(std::make_unique<Sampler>(thread));
        works_ = works_ && samplers_.back()->works();
    }
}

Samplers::~Samplers() = default;

double Samplers::take_user_share() {
    uint64_t all = 0;
    uint64_t user = 0;
    for (const auto& sampler : samplers_)
        sampler->take(all, user);
    return static_cast<double>(user) / static_cast<double>(std::max<uint64_t>(all, 1));
}

} // namespace multihome::bench
