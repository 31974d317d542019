// SPDX-License-Identifier: MIT
//
// What the kernel knows of a server's threads, those of its forked workers among them.
#pragma once

#include "tools/bench/process.hpp"

#include <memory>
#include <vector>

namespace multihome::bench {

// Waits until the process and its children have `count` threads together.
std::vector<pid_t> wait_for_threads(pid_t process, unsigned count);
// Nanoseconds of processor time so far.
double processor_time(const std::vector<pid_t>& threads);
// Resident bytes of shared memory without a file. From the page tables: the counters in /proc/PID/status are
// off by up to some hundred pages, because each processor keeps a part of them to itself.
double shared_memory(pid_t process);
// The same of all memory without a file.
double anonymous_memory(pid_t process);

// Samples threads by a timer (perf_event_open), because virtual machines seldom have the processor's
// counters.
class Samplers {
public:
    explicit Samplers(const std::vector<pid_t>& threads);
    ~Samplers();
    // False where sampling is not permitted.
    bool work() const { return works_; }
    // Of the samples since the last call, those that were in the program and not in the kernel: 0 to 1.
    double take_user_share();

private:
    class Sampler;
    std::vector<std::unique_ptr<Sampler>> samplers_;
    bool works_ = true;
};

} // namespace multihome::bench
