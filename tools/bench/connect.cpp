// SPDX-License-Identifier: MIT
//
// A server that makes a socket for each client, binds it to the same port, and connects it. Between bind()
// and connect() that socket takes datagrams of other clients, which are lost to them. How long that is, and
// how many they are (strays) while others send tens of thousands a second: bare, with the shim, and by the
// least that it takes to steer a connection to an address that the routing table would not choose
// (reference): packet information before bind, connect by way of a multicast group, whose source
// IP_MULTICAST_IF names, connect.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <sstream>
#include <stdexcept>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in ipv4(in_addr_t host_order, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host_order);
    address.sin_port = htons(port);
    return address;
}

void connect_to(int fd, const sockaddr_in& address) {
    check(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
}

Descriptor bind_shared(const sockaddr_in& own, bool with_information) {
    Descriptor fd{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const int on = 1;
    check(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "SO_REUSEPORT");
    if (with_information)
        check(setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on), "IP_PKTINFO");
    check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), "bind");
    return fd;
}

// `asked`: 127.0.0.1 is what the routing table would choose, so that nothing has to be steered.
struct Connections {
    double nanoseconds = 0; // from bind to connect, of the middle one
    double strays = 0;      // a connection
};

Connections measure_once(const Settings& settings, const std::string& kind, in_addr_t asked, unsigned count) {
    const Words environment = kind == "shim" ? Words{"LD_PRELOAD=" + settings.library} : Words{};
    const bool steers = kind == "reference" && asked != INADDR_LOOPBACK;
    Child server(
        {own_path(), "connector", "--kind", steers ? "steer" : kind, "--count", std::to_string(count)},
        environment);
    Clients clients{.server = asked, .port = static_cast<uint16_t>(std::stoul(server.read_line()))};
    Clients others = clients;
    others.first += 1 << 16;
    others.count = 1000;
    others.size = 1;
    others.patience_ms = 1;
    const Load load({.clients = others, .window = largest_window, .place = Place::client});
    Client client(clients);
    do // the others may be in its way
        client.send(1);
    while (client.receive() == 0);
    Connections connections;
    std::istringstream(server.read_line()) >> connections.nanoseconds >> connections.strays;
    return connections;
}

} // namespace

int run_connector(const std::string& kind, unsigned count) {
    sockaddr_in own = ipv4(INADDR_ANY, 0);
    const Descriptor listener = bind_shared(own, false);
    socklen_t length = sizeof own;
    check(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&own), &length), "getsockname");
    std::printf("%u\n", ntohs(own.sin_port));
    std::fflush(stdout);
    // The one whose requests are longer.
    sockaddr_in peer{};
    char data[8];
    do {
        length = sizeof peer;
    } while (recvfrom(listener.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &length) !=
             4);
    sendto(listener.get(), data, 4, 0, reinterpret_cast<const sockaddr*>(&peer), length);
    std::vector<double> times;
    uint64_t strays = 0;
    for (unsigned index = 0; index < count; ++index) {
        const Descriptor fd = bind_shared(own, kind == "steer" || kind == "reference");
        const auto start = Clock::now();
        if (kind == "steer") {
            const in_addr source{htonl(first_asked)};
            check(setsockopt(fd.get(), IPPROTO_IP, IP_MULTICAST_IF, &source, sizeof source),
                  "IP_MULTICAST_IF");
            connect_to(fd.get(), ipv4(INADDR_ALLHOSTS_GROUP, 9));
        }
        connect_to(fd.get(), peer);
        times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count());
        while (recv(fd.get(), data, sizeof data, MSG_DONTWAIT) >= 0)
            ++strays;
    }
    std::printf("%f %f\n", Sample::of(times).median, static_cast<double>(strays) / count);
    std::fflush(stdout);
    return 0;
}

void measure_connect(const Settings& settings, Figures& figures) {
    figures.begin("A socket for each client, bound to the server's port and connected (x: to the reference)");
    const unsigned count = settings.quick ? 500 : 3000;
    const unsigned repetitions = settings.quick ? 3 : 9;
    const std::vector<std::string> kinds = {"reference", "bare", "shim"};
    for (const auto& [title, asked, time_limit, strays_limit] :
         {std::tuple{"asked where connect() would answer from", in_addr_t{INADDR_LOOPBACK}, 1.2, 1.2},
          {"steered to another address", first_asked, 2.0, 1.5}}) {
        if (!settings.is_wanted(title))
            continue;
        std::map<std::string, std::vector<Connections>> all;
        for (unsigned repetition = 0; repetition < repetitions; ++repetition)
            for (const std::string& kind : kinds)
                all[kind].push_back(measure_once(settings, kind, asked, count));
        // Where nothing has to be steered, bare is the measure.
        const std::string measure = asked == first_asked ? "reference" : "bare";
        // By name, because clang 14 takes no structured binding into a lambda otherwise.
        const auto add = [&, title = std::string(title)](const std::string& group, const std::string& unit,
                                                         double limit, auto value) {
            const std::string name = fmt::format("{}: {}", title, group);
            for (const std::string& kind : kinds) {
                std::vector<double> values;
                std::vector<double> ratios;
                for (unsigned index = 0; index < repetitions; ++index) {
                    values.push_back(value(all[kind][index]));
                    if (const double other = value(all[measure][index]); other != 0)
                        ratios.push_back(values.back() / other);
                }
                const Budget budget{Budget::Kind::ratio_at_most, limit};
                figures.add({name, kind, unit, Sample::of(values), Sample::sure(ratios),
                             kind == "shim" ? budget : Budget{}});
            }
        };
        add("from bind to connect", "ns", time_limit,
            [](const Connections& each) { return each.nanoseconds; });
        add("others' datagrams that it took", "strays", strays_limit,
            [](const Connections& each) { return each.strays; });
    }
}

} // namespace multihome::bench
