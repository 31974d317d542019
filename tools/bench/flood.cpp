// SPDX-License-Identifier: MIT
//
// A flood from spoofed addresses, ten times what the table holds, while a thousand honest peers are answered
// with a delay: on the table alone, where the delay is exact, and end to end.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/table_kinds.hpp"

#include "shim/settings.hpp"

#include <array>
#include <chrono>
#include <deque>
#include <sys/socket.h>

namespace multihome::bench {

namespace {

constexpr uint32_t honest_peers = 1000;
constexpr uint64_t times_table = 10;
constexpr double wrong_budget = 0.1; // percent

// How many entries the table for `peers` peers holds.
constexpr uint64_t entries_for(size_t peers) {
    return uint64_t{PeerTable::ways} << PeerTable::bucket_bits_for(peers);
}

// The time is counted in the flood's datagrams.
class TableFlood {
public:
    // `fresh`: each request comes from a peer that was never heard before; else from one of the honest
    // thousand.
    TableFlood(uint64_t delay, bool fresh) : delay_(delay), fresh_(fresh) {}

    // Percent of the answers that would have left from a wrong address.
    double wrong() {
        ShimTable table(multihome::Settings::default_peers);
        const uint64_t datagrams = times_table * entries_for(multihome::Settings::default_peers);
        // A request at a time for each honest peer, evenly spread; of those that ask only once, at most one
        // in a hundred datagrams, because more would be the traffic and not the flood.
        const uint64_t interval = std::max<uint64_t>(fresh_ ? 100 : 1, delay_ / honest_peers + 1);
        for (uint64_t now = 0; now < datagrams; ++now) {
            table.update(spoofed(now), 1);
            if (now % interval == 0)
                hear(table, now);
            while (!waiting_.empty() && waiting_.front().due <= now)
                answer(table);
        }
        return 100.0 * static_cast<double>(wrong_) / static_cast<double>(answers_);
    }

private:
    struct Request {
        uint64_t due;
        TableKey peer;
        uint32_t local;
    };

    // Both spread over all addresses, with ports of their own.
    static TableKey spoofed(uint64_t number) {
        return {static_cast<uint32_t>(number * 2654435761U), 1111, 1};
    }
    TableKey honest() {
        const uint64_t number = fresh_ ? requests_ : requests_ % honest_peers;
        return {static_cast<uint32_t>(number * 2246822519U), 2222, 1};
    }

    void hear(ShimTable& table, uint64_t now) {
        const auto local = static_cast<uint32_t>(2 + requests_ / honest_peers % 2);
        const Request request{now + delay_, honest(), local};
        ++requests_;
        table.update(request.peer, local);
        waiting_.push_back(request);
    }

    void answer(ShimTable& table) {
        const Request& request = waiting_.front();
        wrong_ += table.find(request.peer) != request.local;
        table.mark_answered(request.peer);
        ++answers_;
        waiting_.pop_front();
    }

    uint64_t delay_;
    bool fresh_;
    std::deque<Request> waiting_;
    uint64_t requests_ = 0;
    uint64_t answers_ = 0;
    uint64_t wrong_ = 0;
};

void flood_table(Figures& figures) {
    const auto peers = static_cast<double>(multihome::Settings::default_peers);
    for (const bool fresh : {false, true}) {
        const std::string group =
            std::string("the table, ") +
            (fresh ? "each honest peer asks once" : "1000 honest peers ask again and again");
        for (const double share : {0.01, 0.1, 0.4, 1.0, 2.0}) {
            const auto delay = static_cast<uint64_t>(peers * share);
            std::optional<double> budget;
            if (share <= 0.4) // a second, at 100,000 spoofed datagrams a second
                budget = wrong_budget;
            figures.add({group,
                         "delay " + readable(static_cast<double>(delay)),
                         "% wrong",
                         Sample::exactly(TableFlood(delay, fresh).wrong()),
                         {},
                         budget});
        }
    }
}

// End to end
// -------------------------------------------------------------------------------------------------------

constexpr in_addr_t honest_base = 0x7f010000;  // 127.1.0.0
constexpr in_addr_t spoofed_base = 0x7f400000; // 127.64.0.0
constexpr uint32_t spoofed_mask = 0x3fffff;    // up to 127.127.255.255

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
        sockaddr_in server = address_of(asked_address + request / honest_peers % 2, port);
        iovec data{&server.sin_addr, sizeof server.sin_addr};
        msghdr message{};
        message.msg_name = &server;
        message.msg_namelen = sizeof server;
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        SourceControl control;
        prepare_source(message, control);
        set_source(control, honest_base + request % honest_peers);
        sendmsg(fd.get(), &message, 0);
        take_answers(fd.get(), honest);
        std::this_thread::sleep_for(std::chrono::microseconds(150));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    take_answers(fd.get(), honest);
}

void flood_server(const Settings& settings, Figures& figures) {
    constexpr unsigned delay_ms = 50;
    const size_t peers = settings.full ? multihome::Settings::default_peers : 16'384;
    const uint64_t datagrams = times_table * entries_for(peers);
    Child server({own_path(), "late-server", "--delay", std::to_string(delay_ms), "--ignored",
                  std::to_string(datagrams)},
                 {"LD_PRELOAD=" + settings.library, "MULTIHOME_PEERS=" + std::to_string(peers)});
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
    const double wrong = 100.0 * static_cast<double>(honest.wrong) / static_cast<double>(honest.answers);
    const double meanwhile = static_cast<double>(datagrams) / elapsed.count() * delay_ms / 1000;
    figures.add({"end to end, " + readable(static_cast<double>(datagrams)) +
                     " spoofed datagrams, a table for " + readable(static_cast<double>(peers)) + " peers",
                 "delay " + readable(meanwhile),
                 "% wrong",
                 Sample::exactly(wrong),
                 {},
                 wrong_budget,
                 "of " + std::to_string(honest.answers) + " answers"});
}

} // namespace

void measure_flood(const Settings& settings, Figures& figures) {
    figures.begin(
        "A spoofed flood of ten times the table's size (delay: datagrams of the flood before the answer)");
    flood_table(figures);
    flood_server(settings, figures);
}

} // namespace multihome::bench
