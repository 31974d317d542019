// SPDX-License-Identifier: MIT
#include "tools/bench/rows.hpp"

#include "tools/bench/process.hpp"

#include <algorithm>
#include <stdexcept>

namespace multihome::bench {

namespace {

// The rows of one family. The first budget of each pair is IPv4's.
void add_family(std::vector<Row>& rows, bool ipv6) {
    const auto add = [&](const std::string& name, ServerSettings server, Clients clients, Budget ipv4_budget,
                         Budget ipv6_budget, unsigned together = 1) {
        server.ipv6 = clients.ipv6 = ipv6;
        Row row{name + (ipv6 ? ", IPv6" : ", IPv4"), server, clients, together,
                ipv6 ? ipv6_budget : ipv4_budget};
        // The slow tools do not get all of them.
        row.counts_calls = server.memory != Memory::fixed && clients.count != 100'000;
        row.counts_pages = server.memory == Memory::stack &&
                           (clients.addresses == 1 ? clients.count <= 32 : clients.count == 1000);
        rows.push_back(row);
    };
    const ServerSettings plain;
    const ServerSettings messages{.calls = Calls::messages};
    for (const auto& [calls, server] : {std::pair{"recvfrom", plain}, std::pair{"recvmsg", messages}}) {
        const std::string with = std::string(", ") + calls;
        add("one client" + with, server, {}, 100, 140);
        ServerSettings elsewhere = server;
        elsewhere.memory = Memory::heap;
        add("one client, memory on the heap" + with, elsewhere, {}, 130, 170);
        elsewhere.memory = Memory::fixed;
        add("one client, static memory" + with, elsewhere, {}, 130, 170);
        add("1,000 clients, one address" + with, server, {.count = 1000}, 200, 260);
        add("1,000 clients, three addresses" + with, server, {.count = 1000, .addresses = 3}, 200, 260);
        add("one client, three addresses in turn" + with, server, {.addresses = 3, .alternating = true}, 450,
            520);
        add("100,000 clients, three addresses" + with, server, {.count = 100'000, .addresses = 3}, 420, 480);
        add("new clients" + with, server, {.count = most_clients}, {}, {}); // none asks twice
    }
    for (const auto& [where, memory] :
         {std::pair{"", Memory::heap}, std::pair{", on the stack", Memory::stack}}) {
        const std::string place = where;
        const ServerSettings batches{.calls = Calls::batches, .memory = memory};
        ServerSettings gated = batches;
        gated.gated = true;
        add("batches of 32, full, one address" + place, gated, {.count = 32}, 120, 150, largest_batch);
        add("batches of 32, full, three addresses" + place, gated, {.count = 32, .addresses = 3}, 160, 200,
            largest_batch);
        for (const auto& [room, budget] : {std::pair{32U, 500}, std::pair{8U, 300}, std::pair{1U, 200}}) {
            ServerSettings server = batches;
            server.room = room;
            add("room for " + std::to_string(room) + ", one comes" + place, server, {}, budget, {});
        }
    }
}

} // namespace

const std::vector<Row>& all_rows() {
    static const std::vector<Row> rows = [] {
        std::vector<Row> all;
        add_family(all, false);
        add_family(all, true);
        all.push_back({"one client, recvfrom, IPv4 on an IPv6 socket", {.ipv6 = true}, {}, 1, 140});
        all.push_back({"1,000 clients, three addresses, recvfrom, IPv4 on an IPv6 socket",
                       {.ipv6 = true},
                       {.count = 1000, .addresses = 3},
                       1,
                       260});
        return all;
    }();
    return rows;
}

ServerSettings Row::server_for(bool native, uint64_t warm_up, uint64_t counted) const {
    ServerSettings settings = server;
    settings.native = native;
    settings.warm_up = warm_up;
    settings.requests = counted;
    return settings;
}

uint64_t Row::warm_up() const {
    return clients.count == most_clients ? 320 : std::max<uint64_t>(320, uint64_t{2} * clients.count);
}

void Row::ask(Child& child, uint64_t warm_up, uint64_t counted, bool must_be_right) const {
    Clients asking = clients;
    asking.port = static_cast<uint16_t>(std::stoul(child.read_line()));
    asking.patience_ms = 20'000; // a server inside valgrind on a busy machine is slow
    Client client(asking);
    const int gate = server.gated ? child.input() : -1;
    // Where many have to be heard, in less time.
    const unsigned hurry = warm_up > 10'000 ? largest_batch : 1;
    client.ask(warm_up, std::max(together, hurry), gate);
    client.ask(counted, together, gate);
    if (must_be_right && client.answers().right != warm_up + counted)
        throw std::runtime_error(name + ": only " + std::to_string(client.answers().right) + " of " +
                                 std::to_string(warm_up + counted) +
                                 " answers came from the address that was asked");
}

} // namespace multihome::bench
