// SPDX-License-Identifier: MIT
//
// A table in a process of its own: see run_table().
#include "tools/bench/memory.hpp"
#include "tools/bench/table.hpp"
#include "tools/bench/table_kinds.hpp"

#include <chrono>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) static_cast<void>(name)
#define RUNNING_ON_VALGRIND           0
#endif

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned filling_threads = 2;
constexpr uint32_t local_addresses = 4;

// Each peer once: multiplying by an odd number is a bijection.
TableKey key_of(size_t peer) {
    const auto mixed = static_cast<uint32_t>(peer) * 0x9e3779b1U;
    return {mixed, static_cast<uint16_t>(mixed >> 7 | 1), 1};
}

uint32_t local_of(size_t peer) {
    return static_cast<uint32_t>(peer % local_addresses + 1);
}

class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 1) {}
    uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    uint64_t state_;
};

// Runs `work(thread)` in several threads and returns what they return, added up.
template <typename Work>
uint64_t in_threads(unsigned count, const Work& work) {
    std::atomic<uint64_t> sum{0};
    std::vector<std::jthread> threads;
    for (unsigned thread = 0; thread < count; ++thread)
        threads.emplace_back([&work, &sum, thread] { sum += work(thread); });
    threads.clear();
    return sum;
}

template <typename Table>
class TableProgram {
public:
    explicit TableProgram(size_t peers) : peers_(peers) {}

    int run() {
        // What threads, their allocators and the library itself need once is not the table's.
        fill(100);
        table_.reset();
        const double bytes_before = resident_memory(getpid());
        const auto start = Clock::now();
        fill(peers_);
        const std::chrono::duration<double> elapsed = Clock::now() - start;
        const double bytes = resident_memory(getpid()) - bytes_before;
        const auto peers = static_cast<double>(peers_);
        std::cout << bytes / peers << ' ' << peers / elapsed.count() << ' ' << share_found() << std::endl;
        if (RUNNING_ON_VALGRIND) {
            count_lines();
            return 0;
        }
        for (std::string line; std::getline(std::cin, line);) {
            std::istringstream words(line);
            std::string what;
            unsigned threads = 1;
            unsigned milliseconds = 10;
            words >> what >> threads >> milliseconds;
            std::cout << rate(what == "update", threads, std::chrono::milliseconds(milliseconds))
                      << std::endl;
        }
        return 0;
    }

private:
    void fill(size_t peers) {
        table_ = std::make_unique<Table>(peers);
        in_threads(filling_threads, [&](unsigned thread) {
            [[maybe_unused]] const typename Table::Thread registered;
            for (size_t peer = thread; peer < peers; peer += filling_threads)
                table_->insert(key_of(peer), local_of(peer));
            return uint64_t{0};
        });
    }

    double share_found() {
        [[maybe_unused]] const typename Table::Thread registered;
        const size_t step = peers_ > 100'000 ? 97 : 1;
        size_t asked = 0;
        size_t found = 0;
        for (size_t peer = 0; peer < peers_; peer += step, ++asked)
            found += table_->find(key_of(peer)) == local_of(peer);
        return static_cast<double>(found) / static_cast<double>(asked);
    }

    // An operation on a peer drawn by lot.
    void operate(bool update, Random& random, uint64_t& found) {
        const uint64_t number = random.next();
        const TableKey key = key_of((number >> 8) % peers_);
        if (update)
            table_->update(key, static_cast<uint32_t>(number % local_addresses + 1));
        else
            found += table_->find(key);
    }

    double rate(bool update, unsigned threads, std::chrono::milliseconds duration) {
        const auto start = Clock::now();
        const auto end = start + duration;
        const uint64_t done = in_threads(threads, [&](unsigned thread) {
            [[maybe_unused]] const typename Table::Thread registered;
            Random random(thread + 1);
            uint64_t count = 0;
            uint64_t found = 0;
            while (Clock::now() < end) {
                constexpr unsigned between_looks = 256;
                for (unsigned index = 0; index < between_looks; ++index, ++count)
                    operate(update, random, found);
            }
            sink_ += found;
            return count;
        });
        const std::chrono::duration<double> elapsed = Clock::now() - start;
        return static_cast<double>(done) / elapsed.count();
    }

    // Inside callgrind: a profile for each direction, of counted_operations.
    void count_lines() {
        [[maybe_unused]] const typename Table::Thread registered;
        Random random(1);
        uint64_t found = 0;
        CALLGRIND_START_INSTRUMENTATION;
        for (const bool update : {false, true}) {
            for (unsigned index = 0; index < counted_operations / 10; ++index)
                operate(update, random, found); // the program's own lines are then in the cache
            CALLGRIND_ZERO_STATS;
            for (unsigned index = 0; index < counted_operations; ++index)
                operate(update, random, found);
            CALLGRIND_DUMP_STATS_AT(update ? "update" : "find");
        }
        sink_ += found;
    }

    size_t peers_;
    std::unique_ptr<Table> table_;
    std::atomic<uint64_t> sink_{0}; // so that the look-ups are not left out
};

} // namespace

int run_table(const std::string& kind, size_t peers) {
    if (kind == "shim")
        return TableProgram<ShimTable>(peers).run();
    if (kind == "mutex and map")
        return TableProgram<MutexTable>(peers).run();
#ifdef MULTIHOME_BENCH_TBB
    if (kind == "oneTBB")
        return TableProgram<TbbTable>(peers).run();
#endif
#ifdef MULTIHOME_BENCH_CUCKOO
    if (kind == "libcuckoo")
        return TableProgram<CuckooTable>(peers).run();
#endif
#ifdef MULTIHOME_BENCH_URCU
    if (kind == "liburcu")
        return TableProgram<UrcuTable>(peers).run();
#endif
    throw std::invalid_argument("no table " + kind);
}

} // namespace multihome::bench
