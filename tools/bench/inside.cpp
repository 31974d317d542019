// SPDX-License-Identifier: MIT
//
// What runs inside one process, by Google Benchmark: the table of conversations against what one would take
// off the shelf, the hash, the control messages, and the table alone under a flood. multihome-bench runs it,
// each table in processes of its own, so that its memory can be told; so can you:
//
//     build/multihome-bench-inside --benchmark_filter='look-ups/shim/1000/'
//
// A benchmark is called WHAT/SUBJECT/PEERS. inside.py makes figures of it, and of the counters.
#include "tools/bench/tables.hpp"

#include "shim/base/control.hpp"
#include "shim/base/settings.hpp"

#include <algorithm>
#include <array>
#include <benchmark/benchmark.h>
#include <memory>
#include <thread>
#include <vector>

namespace multihome::bench {

void add_not_ours(); // pass_on.cpp

namespace {

using benchmark::State;
constexpr uint64_t table_size = 2 * Settings::default_peers; // conversations

// Each peer once: multiplying by an odd number is a bijection.
TableKey key_of(size_t peer) {
    const auto mixed = static_cast<uint32_t>(peer) * 0x9e3779b1U;
    return {mixed, static_cast<uint16_t>(mixed >> 7 | 1), 53};
}

const std::array<LocalIndex, 4> locals = [] {
    std::array<LocalIndex, 4> all{};
    for (uint32_t index = 0; index < all.size(); ++index)
        all[index] = local_addresses.index_of({Address::from_ipv4({index + 1}), 0}).index;
    return all;
}();

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
        const TableUser user;
        for (size_t peer = 0; peer < peers; ++peer)
            found += table->find(key_of(peer)) == locals[peer % 4] ? 100.0 / static_cast<double>(peers) : 0;
    }

    void fill(size_t count) {
        table = std::make_unique<Table>(count);
        std::vector<std::jthread> filling;
        for (size_t half : {0U, 1U})
            filling.emplace_back([=, this] {
                const TableUser user;
                for (size_t peer = half; peer < count; peer += 2)
                    table->set(key_of(peer), locals[peer % 4]);
            });
    }

    static Filled& of(const State& state) {
        static std::unique_ptr<Filled> filled;
        const auto count = static_cast<size_t>(state.range(0));
        if (filled == nullptr || filled->peers != count) {
            filled.reset(); // before the next one: their memory is measured
            filled = std::make_unique<Filled>(count);
        }
        return *filled;
    }
};

// callgrind follows each access through a cache of the last 32 lines used: that holds what every operation
// uses (the stack, the table's head, a thread's state) after some `unmeasured` ones, and next to nothing of
// the table, whatever its size.
template <typename Table>
void run_table(State& state, bool update, int unmeasured) {
    const auto& filled = Filled<Table>::of(state);
    const TableUser user;
    Random random(static_cast<uint64_t>(state.thread_index()) + 1);
    const auto operate = [&] { // on a peer drawn by lot
        const uint64_t number = random();
        const TableKey key = key_of((number >> 16) % filled.peers);
        if (update)
            filled.table->set(key, locals[number >> 62]);
        else
            benchmark::DoNotOptimize(filled.table->find(key));
    };
    for (int index = 0; index < unmeasured; ++index)
        operate();
    CALLGRIND_START_INSTRUMENTATION;
    for (auto _ : state)
        operate();
    CALLGRIND_DUMP_STATS;
    if (state.thread_index() == 0)
        state.counters = {{"bytes/peer", filled.bytes}, {"% found", filled.found}};
    state.SetItemsProcessed(state.iterations());
}

template <typename Table>
void add_table(const std::string& name) {
    for (const bool update : {false, true}) {
        const std::string what = update ? "updates/" : "look-ups/";
        const auto add = [&](const std::string& measured, int unmeasured) {
            return benchmark::RegisterBenchmark(
                       (measured + what).append(name).c_str(),
                       [=](State& state) { run_table<Table>(state, update, unmeasured); })
                ->ArgsProduct({{1'000, 100'000, 1'000'000, 10'000'000}});
        };
        // Filled before there are threads.
        const auto fill = [](const State& state) { Filled<Table>::of(state); };
        add("", 0)->Setup(fill)->DenseThreadRange(1, 4)->UseRealTime();
        add("cache lines of ", 2000)->Iterations(20'000);
    }
}

// The table alone under a spoofed flood of ten times its size: percent of the answers that leave from the
// right address. Time is counted in the flood's datagrams, so that the same comes out on every machine. Two
// kinds of honest peers: those that ask again and again, who become known, and `fresh` ones that ask once, of
// which a table cannot know that they are honest.
double right_in_flood(uint64_t delay, bool fresh) {
    constexpr uint64_t honest_peers = 1000;
    constexpr uint64_t datagrams_a_tick = 100'000 / ticks_a_second;
    // A request at a time for each honest peer, evenly spread; of those that ask only once, at most one in a
    // hundred datagrams, because more would be the traffic and not the flood.
    const uint64_t interval = std::max<uint64_t>(fresh ? 100 : 1, delay / honest_peers + 1);
    const auto peer_of = [=](uint64_t request) {
        const uint64_t peer = fresh ? request : request % honest_peers;
        return TableKey{static_cast<uint32_t>(peer * 2246822519U), 2222, 53};
    };
    const auto asked_by = [=](uint64_t request) { return locals[1 + request / honest_peers % 2]; };
    ShimTable table(Settings::default_peers);
    uint64_t answers = 0;
    uint64_t right = 0;
    for (uint64_t now = 0; now < 10 * table_size; ++now) {
        const auto ticks = static_cast<Ticks>(now / datagrams_a_tick + 1);
        table.set({static_cast<uint32_t>(now * 2654435761U), 1111, 53}, locals[0], ticks);
        if (now % interval == 0)
            table.set(peer_of(now / interval), asked_by(now / interval), ticks);
        if (now >= delay && (now - delay) % interval == 0) {
            const uint64_t request = (now - delay) / interval;
            right += table.answer(peer_of(request), ticks) == asked_by(request);
            ++answers;
        }
    }
    return 100.0 * static_cast<double>(right) / static_cast<double>(answers);
}

// The longest delay at which 99.9 % of the answers are right, to a hundredth of the table's size.
double longest_delay(bool fresh) {
    const uint64_t step = table_size / 200;
    uint64_t good = 0;
    for (uint64_t bad = 200; bad - good > 1;) {
        const uint64_t middle = (good + bad) / 2;
        (right_in_flood(middle * step, fresh) >= 99.9 ? good : bad) = middle;
    }
    return static_cast<double>(good * step);
}

void add_flood(const std::string& name, bool fresh) {
    const auto add = [&](const std::string& subject, const char* counter, const auto& value) {
        benchmark::RegisterBenchmark((name + "/" + subject).c_str(), [=](State& state) {
            for (auto _ : state)
                state.counters[counter] = value();
        })->Iterations(1);
    };
    for (const double share : {0.01, 0.1, 0.4, 1.0, 2.0}) {
        const auto delay = static_cast<uint64_t>(Settings::default_peers * share);
        add(std::to_string(delay) + " datagrams late", "% right",
            [=] { return right_in_flood(delay, fresh); });
    }
    add("99.9 % right up to", "datagrams late", [=] { return longest_delay(fresh); });
}

// Of a peer of one family.
void add_family(const std::string& family, const Address& address) {
    benchmark::RegisterBenchmark(("hash of a conversation/" + family).c_str(), [=](State& state) {
        const HashKey secret = steady_key();
        Peer peer{address, 0, 53};
        for (auto _ : state) {
            benchmark::DoNotOptimize(peer);
            benchmark::DoNotOptimize(multihome::hash_of(peer, 53, secret));
        }
    });
    benchmark::RegisterBenchmark(("reading packet information/" + family).c_str(), [=](State& state) {
        alignas(cmsghdr) unsigned char buffer[control::own_space];
        const size_t length = control::write_source(buffer, {address, 0});
        for (auto _ : state) {
            benchmark::DoNotOptimize(buffer);
            benchmark::DoNotOptimize(control::read(buffer, length, {}));
        }
    });
}

} // namespace

} // namespace multihome::bench

int main(int argc, char** argv) {
    using namespace multihome::bench;
#ifndef __clang_analyzer__ // it takes what Google Benchmark keeps for a leak
    add_table<ShimTable>("shim");
    add_table<MutexTable>("mutex and map");
#if __has_include(<oneapi/tbb/concurrent_hash_map.h>)
    add_table<TbbTable>("oneTBB");
#endif
#if __has_include(<libcuckoo/cuckoohash_map.hh>)
    add_table<CuckooTable>("libcuckoo");
#endif
#if __has_include(<urcu/rculfhash.h>)
    add_table<UrcuTable>("liburcu");
#endif
    add_flood("flood, 1000 honest peers ask again and again", false);
    add_flood("flood, each honest peer asks once", true);
    add_family("IPv4", multihome::Address::from_ipv4({0x9e3779b1}));
    add_family("IPv6", {0x0123456789abcdef, 0xfedcba9876543210});
    add_not_ours();
#endif
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
