// SPDX-License-Identifier: MIT
//
// A flood from spoofed addresses, ten times what the table holds, while a thousand honest peers are answered
// with a delay. flood_table.cpp does the same to the table alone, where the delay is exact.
#include "tools/bench/client.hpp"
#include "tools/bench/flood_table.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"

#include "shim/base/settings.hpp"

#include <array>
#include <chrono>
#include <sys/socket.h>

namespace multihome::bench {

namespace {

constexpr in_addr_t honest_base = 0x7f010000;  // 127.1.0.0
constexpr in_addr_t spoofed_base = 0x7f800000; // 127.128.0.0
constexpr uint32_t spoofed_mask = 0x7fffff;    // up to 127.255.255.255: more than the flood has datagrams

void flood(const std::stop_token& stop, uint16_t port) {
    constexpr unsigned batch = 32;
    const Descriptor fd = client_socket(0);
    sockaddr_in server = address_of(asked_address, port);
    char byte = 'f';
    iovec data{&byte, 1};
    std::array<mmsghdr, batch> messages{};
    std::array<SourceControl, batch> control{};
    for (unsigned index = 0; index < batch; ++index) {
        msghdr& message = messages[index].msg_hdr;
        message.msg_name = &server;
        message.msg_namelen = sizeof server;
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        prepare_source(message, control[index]);
    }
    for (uint32_t number = 0; !stop.stop_requested();) {
        for (SourceControl& source : control)
            set_source(source, spoofed_base + (++number * 2654435761U & spoofed_mask));
        sendmmsg(fd.get(), messages.data(), batch, 0);
    }
}

struct Honest {
    uint64_t answers = 0;
    uint64_t wrong = 0;
};

void take_answers(int fd, Honest& honest) {
    in_addr_t asked = 0;
    sockaddr_in from{};
    for (socklen_t length = sizeof from;
         recvfrom(fd, &asked, sizeof asked, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length) ==
         sizeof asked;) {
        ++honest.answers;
        honest.wrong += from.sin_addr.s_addr != asked;
    }
}

// Each of the thousand asks about five times a second, now one address and now the other.
void ask_honestly(const std::stop_token& stop, uint16_t port, Honest& honest) {
    const Descriptor fd = client_socket(0);
    for (uint32_t request = 0; !stop.stop_requested(); ++request) {
        sockaddr_in server = address_of(asked_address + request / flood_honest_peers % 2, port);
        iovec data{&server.sin_addr, sizeof server.sin_addr};
        msghdr message{};
        message.msg_name = &server;
        message.msg_namelen = sizeof server;
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        SourceControl control;
        prepare_source(message, control);
        set_source(control, honest_base + request % flood_honest_peers);
        sendmsg(fd.get(), &message, 0);
        take_answers(fd.get(), honest);
        std::this_thread::sleep_for(std::chrono::microseconds(150));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    take_answers(fd.get(), honest);
}

void flood_server(const Settings& settings, Figures& figures) {
    // In a hurry, a table for a sixteenth of the peers and a delay that is as much shorter.
    const unsigned delay_ms = settings.quick ? 3 : 50;
    const size_t peers = multihome::Settings::default_peers / (settings.quick ? 16 : 1);
    const uint64_t datagrams = flood_times * table_entries(peers);
    Child server({own_path(), "late-server", "--delay", std::to_string(delay_ms), "--ignored",
                  std::to_string(datagrams)},
                 {"LD_PRELOAD=" + settings.library, "MULTIHOME_PEERS=" + std::to_string(peers),
                  "MULTIHOME_LOG=error"});
    const auto port = static_cast<uint16_t>(std::stoul(server.read_line()));
    Honest honest;
    const auto start = std::chrono::steady_clock::now();
    {
        const std::jthread asking([&](const std::stop_token& stop) { ask_honestly(stop, port, honest); });
        const std::jthread flooding([&](const std::stop_token& stop) { flood(stop, port); });
        int status = 0;
        server.finish(status); // it ends by itself when it has had its flood
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double right =
        100.0 * static_cast<double>(honest.answers - honest.wrong) / static_cast<double>(honest.answers);
    figures.add({"end to end, a table for " + readable(static_cast<double>(peers)) +
                     (settings.quick ? " peers" : " peers (the default)"),
                 "1000 honest peers",
                 "% right",
                 Sample::exactly(right),
                 {},
                 Budget(flood_right, true, false),
                 std::to_string(honest.answers) + " answers, each " + std::to_string(delay_ms) +
                     " ms late, while " + readable(static_cast<double>(datagrams)) +
                     " spoofed datagrams came at " +
                     readable(static_cast<double>(datagrams) / elapsed.count()) + "/s"});
}

} // namespace

void measure_flood(const Settings& settings, Figures& figures) {
    figures.begin("A spoofed flood of ten times the table's size");
    flood_server(settings, figures);
    flood_table(figures);
}

} // namespace multihome::bench
