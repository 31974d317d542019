// SPDX-License-Identifier: MIT
//
// What a packet costs as peers become more, and the memory that they take. One client socket plays them all,
// from addresses of 127.0.0.0/8. The native server keeps nothing for a peer, so what grows in it grows in the
// kernel.
#include "tools/bench/client.hpp"
#include "tools/bench/memory.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/processors.hpp"

#include <array>
#include <chrono>

namespace multihome::bench {

namespace {

// A server and its client, at rest between the turns.
class Pair {
public:
    Pair(const std::vector<std::string>& command, const std::vector<std::string>& environment, uint32_t peers)
        : server_(command, environment), port_(static_cast<uint16_t>(std::stoul(server_.read_line()))),
          memory_before_(table_memory()), load_({.server = address_of(asked_address, port_),
                                                 .window = 32,
                                                 .peers = peers,
                                                 .place = Place::client}) {
        // Until every peer has been heard.
        const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(120);
        while (load_.answers().all < peers + peers / 50 && std::chrono::steady_clock::now() < patience)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        load_.pause(true);
    }

    // The server's processor time for an answer, in nanoseconds.
    double turn(std::chrono::milliseconds duration) {
        load_.pause(false);
        std::this_thread::sleep_for(duration / 4);
        const Load::Answers before = load_.answers();
        const double time_before = server_.processor_time();
        const Load::Answers after = load_.answers_after(duration, before);
        const double time = server_.processor_time();
        load_.pause(true);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        all_ += after.all - before.all;
        right_ += after.right - before.right;
        return (time - time_before) * 1e9 / static_cast<double>(after.all - before.all);
    }

    double share_right() const { return static_cast<double>(right_) / static_cast<double>(all_); }

    // Of the table, which lies in shared memory as nothing else of the server does: resident bytes since the
    // first peer came.
    double memory() const { return table_memory() - memory_before_; }

private:
    double table_memory() const { return resident_shared_memory(server_.pid()); }

    Child server_;
    uint16_t port_;
    double memory_before_;
    Load load_;
    uint64_t all_ = 0;
    uint64_t right_ = 0;
};

// `configured`: MULTIHOME_PEERS.
void measure_peers(const Settings& settings, Figures& figures, uint32_t peers, uint32_t configured) {
    const unsigned repetitions = settings.quick ? 3 : 11;
    const std::chrono::milliseconds duration(settings.quick ? 60 : 100);
    const std::vector<std::string> command = {own_path(), "server", "--place", name_of(Place::server)};
    std::vector<std::string> native_command = command;
    native_command.emplace_back("--native");
    Pair native(native_command, {}, peers);
    Pair shim(command, {"LD_PRELOAD=" + settings.library, "MULTIHOME_PEERS=" + std::to_string(configured)},
              peers);
    std::vector<double> native_times;
    std::vector<double> shim_times;
    std::vector<double> ratios;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition) {
        if (repetition % 2 != 0) // who comes first takes turns as well
            native_times.push_back(native.turn(duration));
        shim_times.push_back(shim.turn(duration));
        if (repetition % 2 == 0)
            native_times.push_back(native.turn(duration));
        ratios.push_back(shim_times.back() / native_times.back());
    }
    const std::string group = readable(peers) + (peers == 1 ? " peer" : " peers in turn");
    figures.add({group, "native", "ns", Sample::of(native_times)});
    char note[48];
    std::snprintf(note, sizeof note, "%.4g %% right", shim.share_right() * 100);
    figures.add({group, "shim", "ns", Sample::of(shim_times), Sample::sure(ratios), {}, note});
    figures.add({readable(peers) + (peers == 1 ? " peer" : " peers") + ", the table's resident memory",
                 "shim", "bytes", Sample::exactly(shim.memory())});
}

} // namespace

void measure_growth(const Settings& settings, Figures& figures) {
    figures.begin("Growth, with MULTIHOME_PEERS=1000000: the server's processor time for an answer (x: to "
                  "native)");
    constexpr uint32_t configured = 1'000'000;
    for (uint32_t peers = 1; peers <= (settings.quick ? 100'000 : configured); peers *= 10)
        measure_peers(settings, figures, peers, configured);
}

} // namespace multihome::bench
