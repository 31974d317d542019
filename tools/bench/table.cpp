// SPDX-License-Identifier: MIT
#include "tools/bench/table.hpp"

#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/table_kinds.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned filling_threads = 2;
constexpr uint32_t local_addresses = 4;

#ifdef MULTIHOME_BENCH_TBB
constexpr bool with_tbb = true;
#else
constexpr bool with_tbb = false;
#endif
#ifdef MULTIHOME_BENCH_CUCKOO
constexpr bool with_cuckoo = true;
#else
constexpr bool with_cuckoo = false;
#endif
#ifdef MULTIHOME_BENCH_URCU
constexpr bool with_urcu = true;
#else
constexpr bool with_urcu = false;
#endif

// Each peer once: multiplying by an odd number is a bijection.
TableKey key_of(size_t peer) {
    const auto mixed = static_cast<uint32_t>(peer) * 0x9e3779b1U;
    return {mixed, static_cast<uint16_t>(mixed >> 7 | 1), 1};
}

size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    size_t all = 0;
    size_t resident = 0;
    file >> all >> resident;
    return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
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
        const size_t bytes_before = resident_bytes();
        const auto start = Clock::now();
        table_ = std::make_unique<Table>(peers_);
        in_threads(filling_threads, [this](unsigned thread) {
            [[maybe_unused]] const typename Table::Thread registered;
            for (size_t peer = thread; peer < peers_; peer += filling_threads)
                table_->insert(key_of(peer), local_of(peer));
            return uint64_t{0};
        });
        const std::chrono::duration<double> elapsed = Clock::now() - start;
        const auto bytes = static_cast<double>(resident_bytes() - bytes_before);
        const auto peers = static_cast<double>(peers_);
        std::cout << bytes / peers << ' ' << peers / elapsed.count() << ' ' << share_found() << std::endl;
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
    static uint32_t local_of(size_t peer) { return static_cast<uint32_t>(peer % local_addresses + 1); }

    double share_found() {
        [[maybe_unused]] const typename Table::Thread registered;
        size_t found = 0;
        for (size_t peer = 0; peer < peers_; ++peer)
            found += table_->find(key_of(peer)) == local_of(peer);
        return static_cast<double>(found) / static_cast<double>(peers_);
    }

    double rate(bool update, unsigned threads, Clock::duration duration) {
        std::atomic<bool> stop{false};
        const auto start = Clock::now();
        std::jthread clock([&stop, duration] {
            std::this_thread::sleep_for(duration);
            stop = true;
        });
        const uint64_t done = in_threads(threads, [&](unsigned thread) {
            [[maybe_unused]] const typename Table::Thread registered;
            Random random(thread + 1);
            uint64_t count = 0;
            uint64_t found = 0;
            while (!stop.load(std::memory_order_relaxed)) {
                for (unsigned step = 0; step < 64; ++step, ++count) {
                    const uint64_t number = random.next();
                    const TableKey key = key_of((number >> 8) % peers_);
                    if (update)
                        table_->update(key, static_cast<uint32_t>(number % local_addresses + 1));
                    else
                        found += table_->find(key);
                }
            }
            sink_ += found;
            return count;
        });
        const std::chrono::duration<double> elapsed = Clock::now() - start;
        return static_cast<double>(done) / elapsed.count();
    }

    size_t peers_;
    std::unique_ptr<Table> table_;
    std::atomic<uint64_t> sink_{0}; // so that the look-ups are not left out
};

} // namespace

const std::vector<TableKind>& table_kinds() {
    static const std::vector<TableKind> kinds = {{"shim", nullptr, true},
                                                 {"oneTBB", "libtbb-dev", with_tbb},
                                                 {"libcuckoo", "libcuckoo-dev", with_cuckoo},
                                                 {"liburcu", "liburcu-dev", with_urcu},
                                                 {"mutex and map", nullptr, true}};
    return kinds;
}

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

namespace {

struct Running {
    const TableKind* kind;
    std::unique_ptr<Child> child;
};

double ask(Child& child, const std::string& question) {
    const std::string line = question + '\n';
    if (write(child.input(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        fail("write");
    return std::stod(child.read_line());
}

void measure_size(const Settings& settings, Figures& figures, size_t peers) {
    const std::string size = readable(static_cast<double>(peers)) + " peers";
    std::vector<Running> running;
    for (const TableKind& kind : table_kinds()) {
        if (!kind.built_in)
            continue;
        const std::vector<std::string> command = {own_path(), "table",   "--kind",
                                                  kind.name,  "--peers", std::to_string(peers)};
        running.push_back({&kind, std::make_unique<Child>(command, std::vector<std::string>{})});
        std::istringstream answer(running.back().child->read_line());
        double bytes = 0;
        double insertions = 0;
        double found = 0;
        answer >> bytes >> insertions >> found;
        char note[64];
        std::snprintf(note, sizeof note, "%.2f %% of the peers found", found * 100);
        std::optional<double> budget;
        if (kind.package == nullptr && running.size() == 1 && peers >= 100'000)
            budget = 32; // two words a peer, and the number of buckets is a power of two
        figures.add({size + ", memory", kind.name, "bytes/peer", Sample::exactly(bytes), {}, budget, note});
    }
    const unsigned repetitions = settings.quick ? 3 : 5;
    const char* milliseconds = settings.quick ? " 15" : " 40";
    for (const std::string what : {"find", "update"}) {
        for (const unsigned threads : {1U, 2U, 4U}) {
            std::vector<std::vector<double>> rates(running.size());
            std::vector<std::vector<double>> ratios(running.size());
            for (unsigned repetition = 0; repetition < repetitions; ++repetition)
                for (size_t index = 0; index < running.size(); ++index) {
                    rates[index].push_back(
                        ask(*running[index].child, what + ' ' + std::to_string(threads) + milliseconds));
                    ratios[index].push_back(rates[index].back() / rates[0].back());
                }
            const std::string group = size + ", " + (what == "find" ? "look-ups, " : "updates, ") +
                                      std::to_string(threads) + (threads == 1 ? " thread" : " threads");
            for (size_t index = 0; index < running.size(); ++index)
                figures.add({group, running[index].kind->name, "/s", Sample::of(rates[index]),
                             Sample::of(ratios[index])});
        }
    }
}

} // namespace

void measure_table(const Settings& settings, Figures& figures) {
    figures.begin("The peer table alone (x: to the shim's)");
    for (const TableKind& kind : table_kinds())
        if (!kind.built_in)
            figures.skip(kind.name, std::string("the bench was built without ") + kind.package);
    measure_size(settings, figures, 1'000);
    measure_size(settings, figures, 100'000);
    measure_size(settings, figures, 1'000'000);
    // More than the largest table is made for (8,388,608 peers, 128 MiB): what it does when it is over-full.
    if (settings.full)
        measure_size(settings, figures, 10'000'000);
}

} // namespace multihome::bench
