// SPDX-License-Identifier: MIT
//
// What runs inside one process, by Google Benchmark: the table of conversations against what one would take
// off the shelf, the hash, the control messages, and the table alone under a flood. multihome-bench runs it,
// each table in processes of its own, so that its memory can be told; so can you:
//
//     build/multihome-bench-inside --benchmark_filter='look-ups/shim/1000/'
//
// A benchmark is called WHAT/SUBJECT/PEERS. inside.py makes figures of it, and of the counters.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/tables.hpp"

#include "shim/base/control.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace multihome::bench {

namespace {

using benchmark::State;

constexpr uint32_t local_addresses = 4;

// Each peer once: multiplying by an odd number is a bijection.
TableKey key_of(size_t peer) {
    const auto mixed = static_cast<uint32_t>(peer) * 0x9e3779b1U;
    return {mixed, static_cast<uint16_t>(mixed >> 7 | 1), 53};
}

uint32_t local_of(size_t peer) {
    return static_cast<uint32_t>(peer % local_addresses + 1);
}

// Memory that belongs to no file. From the page tables: other counters are off by up to some hundred pages,
// because each processor keeps a part of them to itself.
double anonymous_memory() {
    std::ifstream file("/proc/self/smaps_rollup");
    double bytes = 0;
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("Pss_Anon:") || line.starts_with("Pss_Shmem:"))
            bytes += std::stod(line.substr(line.find(':') + 1)) * 1024;
    return bytes;
}

// A table that has been filled, kept for all benchmarks of its size.
template <typename Table>
struct Filled {
    size_t peers;
    std::unique_ptr<Table> table;
    double bytes = 0; // for a peer
    double found = 0; // percent

    explicit Filled(size_t count) : peers(count) {
        // What threads, their allocators and the library itself need once is not the table's.
        fill(100);
        table.reset();
        const double before = anonymous_memory();
        fill(peers);
        bytes = (anonymous_memory() - before) / static_cast<double>(peers);
        [[maybe_unused]] const typename Table::Thread registered;
        for (size_t peer = 0; peer < peers; ++peer)
            found += table->find(key_of(peer)) == local_of(peer) ? 100.0 / static_cast<double>(peers) : 0;
    }

    void fill(size_t count) {
        table = std::make_unique<Table>(count);
        constexpr unsigned threads = 2;
        std::vector<std::jthread> filling;
        for (unsigned thread = 0; thread < threads; ++thread)
            filling.emplace_back([&, thread] {
                [[maybe_unused]] const typename Table::Thread registered;
                for (size_t peer = thread; peer < count; peer += threads)
                    table->insert(key_of(peer), local_of(peer));
            });
    }

    // An operation on a peer drawn by lot.
    void operate(bool update, Random& random) {
        const uint64_t number = random();
        const TableKey key = key_of((number >> 16) % peers);
        if (update)
            table->update(key, local_of(number >> 62));
        else
            benchmark::DoNotOptimize(table->find(key));
    }

    static Filled& of(size_t count) {
        static std::unique_ptr<Filled> filled;
        if (filled == nullptr || filled->peers != count) {
            filled.reset(); // before the next one: their memory is measured
            filled = std::make_unique<Filled>(count);
        }
        return *filled;
    }
};

template <typename Table>
void run_table(State& state, bool update) {
    auto& filled = Filled<Table>::of(static_cast<size_t>(state.range(0)));
    [[maybe_unused]] const typename Table::Thread registered;
    Random random(static_cast<uint64_t>(state.thread_index()) + 1);
    for (auto _ : state)
        filled.operate(update, random);
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() != 0)
        return;
    state.counters["bytes/peer"] = filled.bytes;
    state.counters["% found"] = filled.found;
}

// Inside callgrind. It follows each access through a cache of the last 32 lines used: that holds what every
// operation uses (the stack, the table's head, a thread's state) and next to nothing of the table, whatever
// its size.
template <typename Table>
void count_lines(State& state, bool update) {
    auto& filled = Filled<Table>::of(static_cast<size_t>(state.range(0)));
    [[maybe_unused]] const typename Table::Thread registered;
    Random random(1);
    for (int index = 0; index < 2000; ++index)
        filled.operate(update, random); // the program's own lines are then in the cache
    CALLGRIND_START_INSTRUMENTATION;
    for (auto _ : state)
        filled.operate(update, random);
    CALLGRIND_DUMP_STATS;
}

template <typename Table>
void add_table(const std::string& name) {
    using Filling = Filled<Table>;
    for (const bool update : {false, true}) {
        const std::string what = update ? "updates" : "look-ups";
        const auto sizes = [](benchmark::internal::Benchmark* each) {
            for (const int peers : {1'000, 100'000, 1'000'000, 10'000'000})
                each->Arg(peers);
        };
        // Filled before there are threads.
        benchmark::RegisterBenchmark((what + '/' + name).c_str(),
                                     [update](State& state) { run_table<Table>(state, update); })
            ->Apply(sizes)
            ->Setup([](const State& state) { Filling::of(static_cast<size_t>(state.range(0))); })
            ->DenseThreadRange(1, 4)
            ->UseRealTime();
        benchmark::RegisterBenchmark(("cache lines of " + what + '/' + name).c_str(),
                                     [update](State& state) { count_lines<Table>(state, update); })
            ->Apply(sizes)
            ->Iterations(20'000);
    }
}

// The table alone under a spoofed flood of ten times its size. Time is counted in the flood's datagrams, so
// that the same comes out on every machine. Two kinds of honest peers: those that ask again and again, who
// become known, and those that ask once, of which a table cannot know that they are honest.
class Flood {
public:
    Flood(uint64_t delay, bool fresh) : delay_(delay), fresh_(fresh) {}

    // Percent of the answers that leave from the right address.
    double right() {
        ShimTable table(default_peers);
        const uint64_t datagrams = 10 * ShimTable::entries_for(default_peers);
        constexpr uint64_t datagrams_a_tick = 100'000 / ticks_a_second;
        // A request at a time for each honest peer, evenly spread; of those that ask only once, at most one
        // in a hundred datagrams, because more would be the traffic and not the flood.
        const uint64_t interval = std::max<uint64_t>(fresh_ ? 100 : 1, delay_ / honest_peers + 1);
        for (uint64_t now = 0; now < datagrams; ++now) {
            const auto ticks = static_cast<Ticks>(now / datagrams_a_tick + 1);
            table.update({static_cast<uint32_t>(now * 2654435761U), 1111, 53}, 1, ticks);
            if (now % interval == 0)
                hear(table, now, ticks);
            for (; !waiting_.empty() && waiting_.front().due <= now; waiting_.pop_front(), ++answers_)
                right_ += table.answer(waiting_.front().peer, ticks) == waiting_.front().local;
        }
        return 100.0 * static_cast<double>(right_) / static_cast<double>(answers_);
    }

private:
    static constexpr uint64_t honest_peers = 1000;

    struct Request {
        uint64_t due;
        TableKey peer;
        uint32_t local;
    };

    void hear(ShimTable& table, uint64_t now, Ticks ticks) {
        const uint64_t number = fresh_ ? requests_ : requests_ % honest_peers;
        const TableKey peer{static_cast<uint32_t>(number * 2246822519U), 2222, 53};
        const auto local = static_cast<uint32_t>(2 + requests_ / honest_peers % 2);
        ++requests_;
        table.update(peer, local, ticks);
        waiting_.push_back({now + delay_, peer, local});
    }

    uint64_t delay_;
    bool fresh_;
    std::deque<Request> waiting_;
    uint64_t requests_ = 0;
    uint64_t answers_ = 0;
    uint64_t right_ = 0;
};

// The longest delay at which 99.9 % of the answers are right, to a hundredth of the table's size.
double longest_delay(bool fresh) {
    const uint64_t step = ShimTable::entries_for(default_peers) / 200;
    uint64_t good = 0;
    for (uint64_t bad = 200; bad - good > 1;) {
        const uint64_t middle = (good + bad) / 2;
        (Flood(middle * step, fresh).right() >= 99.9 ? good : bad) = middle;
    }
    return static_cast<double>(good * step);
}

void add_floods() {
    for (const bool fresh : {false, true}) {
        const std::string who =
            fresh ? "each honest peer asks once" : "1000 honest peers ask again and again";
        for (const double share : {0.01, 0.1, 0.4, 1.0, 2.0}) {
            const auto delay = static_cast<uint64_t>(static_cast<double>(default_peers) * share);
            benchmark::RegisterBenchmark(
                ("flood, " + who + "/" + std::to_string(delay) + " datagrams late").c_str(),
                [=](State& state) {
                    for (auto _ : state)
                        state.counters["% right"] = Flood(delay, fresh).right();
                })
                ->Iterations(1);
        }
        benchmark::RegisterBenchmark(("flood, " + who + "/99.9 % right up to").c_str(), [=](State& state) {
            for (auto _ : state)
                state.counters["datagrams late"] = longest_delay(fresh);
        })->Iterations(1);
    }
}

void hash_ipv4(State& state) {
    TableKey key = key_of(1);
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        benchmark::DoNotOptimize(hash_of(key));
    }
}
BENCHMARK(hash_ipv4)->Name("hash of a conversation/IPv4");

void hash_ipv6(State& state) {
    const HashKey secret = bench_key();
    ConversationKey key({{0x0123456789abcdef, 0xfedcba9876543210}, 0, 53}, 53);
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        benchmark::DoNotOptimize(multihome::hash_of(key, secret));
    }
}
BENCHMARK(hash_ipv6)->Name("hash of a conversation/IPv6");

// A control message as the kernel writes it, read.
template <typename Information>
void read_control(State& state, int level, int type) {
    alignas(cmsghdr) unsigned char buffer[CMSG_SPACE(sizeof(Information))] = {};
    *reinterpret_cast<cmsghdr*>(buffer) = {CMSG_LEN(sizeof(Information)), level, type};
    buffer[CMSG_LEN(4)] = 127;
    for (auto _ : state) {
        benchmark::DoNotOptimize(buffer);
        benchmark::DoNotOptimize(control::read(buffer, sizeof buffer, {}));
    }
}
void read_ipv4(State& state) {
    read_control<in_pktinfo>(state, IPPROTO_IP, IP_PKTINFO);
}
void read_ipv6(State& state) {
    read_control<in6_pktinfo>(state, IPPROTO_IPV6, IPV6_PKTINFO);
}
BENCHMARK(read_ipv4)->Name("reading packet information/IPv4");
BENCHMARK(read_ipv6)->Name("reading packet information/IPv6");

} // namespace

void add_benchmarks() {
    add_table<ShimTable>("shim");
    add_table<MutexTable>("mutex and map");
#ifdef MULTIHOME_BENCH_TBB
    add_table<TbbTable>("oneTBB");
#endif
#ifdef MULTIHOME_BENCH_CUCKOO
    add_table<CuckooTable>("libcuckoo");
#endif
#ifdef MULTIHOME_BENCH_URCU
    add_table<UrcuTable>("liburcu");
#endif
    add_floods();
}

} // namespace multihome::bench

int main(int argc, char** argv) {
    multihome::bench::add_benchmarks();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
