// SPDX-License-Identifier: MIT
#include "tools/verdict.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fmt/core.h>
#include <fmt/format.h>
#include <tuple>
#include <utility>

#include "tools/io_uring.hpp"
#include "tools/ip_address.hpp"
#include "tools/kernel_engine/request.hpp"
#include "tools/mend.hpp"
#include "tools/musl.hpp"
#include "tools/output.hpp"

namespace multihome::tools {
namespace {

/// linux/in6.h has it, and cannot stand beside netinet/in.h.
constexpr int ipv6_2292_packet_information = 2;

bool is_set(int descriptor, int level, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(descriptor, level, option, &value, &size) == 0 && value != 0;
}

void add_once(std::vector<std::string>& list, const std::string& text) {
    if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end())
        list.push_back(text);
}

std::pair<unsigned, unsigned> read_client_ports() {
    std::pair<unsigned, unsigned> range{32768, 60999}; // the kernel's own, where it cannot be read
    const std::string text = read_whole("/proc/sys/net/ipv4/ip_local_port_range", 64);
    // NOLINTNEXTLINE(cert-err34-c): a line that the kernel wrote
    std::sscanf(text.c_str(), "%u %u", &range.first, &range.second);
    return range;
}

/// Which of the library's settings leaves out the port, in the process's environment; empty where none does.
std::string setting_that_leaves_out(pid_t process, std::uint16_t port) {
    const std::string environment = read_whole(fmt::format("/proc/{}/environ", process));
    std::string value;
    const auto read = [&](const char* name) {
        const bool is_set = find_variable(environment, name, value);
        value.erase(std::remove(value.begin(), value.end(), ' '), value.end());
        return is_set && !value.empty();
    };
    if (read("MULTIHOME_DISABLE") && value == "1")
        return "MULTIHOME_DISABLE";
    try {
        if (read("MULTIHOME_PORTS") && !engine::parse_ports(value).test(port))
            return "MULTIHOME_PORTS";
    } catch (const Impossible&) { // NOLINT(bugprone-empty-catch): the library passes over a bad value
    }
    return {};
}

/// systemd holds the sockets of a service that it starts for them, and does not read them.
pid_t who_serves(const std::vector<Owner>& owners) {
    const auto other =
        std::find_if(owners.begin(), owners.end(), [](const Owner& owner) { return owner.process != 1; });
    return other != owners.end() ? other->process : owners.front().process;
}

/// The library itself says nothing of it: strangers would decide when it has to.
std::string note_on_crowded_table(pid_t process, const LibraryPresence& library) {
    std::string problem;
    const auto state = library.state ? RunningState::read(process, *library.state, problem) : std::nullopt;
    return state && state->total(Counter::crowded) != 0
               ? fmt::format(
                     "new peers have come faster than its table for {} conversations can hold: answers "
                     "that are not sent at once may leave as without multihome. Raise MULTIHOME_PEERS",
                     state->room())
               : "";
}

/// Of a socket of which no copy could be had (pidfd_getfd(2)).
const char* why_not_looked_at(int error) {
    if (error == EBADF || error == ESRCH)
        return "its socket has just been closed";
    if (error == EPERM && geteuid() != 0)
        return "its socket may not be looked at: run this as root";
    return "its socket cannot be looked at here (a kernel before 5.6, a filter, or Yama): multihomectl ask";
}

/// Rows of one program on one port become one; the worst verdict is the row's.
void merge(Server& into, const Server& other) {
    for (const std::string& address : other.bound_to)
        add_once(into.bound_to, address);
    for (const std::string& address : other.wrong_at)
        add_once(into.wrong_at, address);
    for (const std::string& obstacle : other.obstacles)
        add_once(into.obstacles, obstacle);
    for (const std::string& note : other.notes)
        add_once(into.notes, note);
    into.is_certain = into.is_certain && other.is_certain;
    if (other.verdict > into.verdict) {
        into.verdict = other.verdict;
        into.reason = other.reason;
        into.process = other.process;
        into.command = other.command;
        into.remark = other.remark;
    } else if (other.verdict == into.verdict && other.process.number != 0 &&
               other.process.number < into.process.number) {
        into.process = other.process;
    }
}

} // namespace

const char* to_text(Verdict verdict) {
    switch (verdict) {
    case Verdict::ok:
        return "ok";
    case Verdict::client:
        return "client";
    case Verdict::unknown:
        return "unknown";
    case Verdict::wrong:
        break;
    }
    return "wrong";
}

SocketLook asks_for_packet_information(const Owner& owner, const UdpSocket& socket) {
    const Descriptor process{static_cast<int>(syscall(SYS_pidfd_open, owner.process, 0))};
    if (!process.valid())
        return {Asks::unknown, errno};
    const Descriptor copy{static_cast<int>(syscall(SYS_pidfd_getfd, process.number(), owner.descriptor, 0))};
    struct stat status {};
    if (!copy.valid() || fstat(copy.number(), &status) != 0)
        return {Asks::unknown, errno};
    // The process may have closed it and opened something else under the same number.
    if (status.st_ino != socket.inode)
        return {Asks::unknown, EBADF};
    const bool asks = socket.ipv6 ? is_set(copy.number(), IPPROTO_IPV6, IPV6_RECVPKTINFO) ||
                                        is_set(copy.number(), IPPROTO_IPV6, ipv6_2292_packet_information)
                                  : is_set(copy.number(), IPPROTO_IP, IP_PKTINFO) ||
                                        is_set(copy.number(), IPPROTO_IP, IP_RECVORIGDSTADDR);
    return {asks ? Asks::yes : Asks::no, 0};
}

Judge::Judge(const HostNetwork& network, const SocketOwners& owners, std::vector<engine::Attachment> attached)
    : network_(network), owners_(owners), attached_(std::move(attached)), library_(look_at_library("")),
      client_ports_(read_client_ports()) {}

const Judge::Known& Judge::known(pid_t process) {
    auto [entry, is_new] = known_.try_emplace(process);
    if (is_new) {
        entry->second = {describe_process(process), find_library_in(process), {}, {}, {}};
        entry->second.note = note_on_musl(entry->second.process);
        if (entry->second.library.alive) {
            entry->second.version = version_of_library_in(process);
            entry->second.note_on_table = note_on_crowded_table(process, entry->second.library);
        }
    }
    return entry->second;
}

std::vector<const OwnAddress*> Judge::askable(const UdpSocket& socket) const {
    std::vector<const OwnAddress*> result;
    for (const OwnAddress& own : network_.addresses()) {
        const bool ipv4 = own.address.is_ipv4();
        const bool hears = socket.ipv6 ? !ipv4 || !socket.ipv6_only : ipv4;
        // An IPv6 socket that is bound to 0.0.0.0 in its mapped form hears IPv4 alone.
        const bool family_fits = !socket.ipv6 || !socket.address.is_ipv4() || ipv4;
        if (hears && family_fits && (socket.interface == 0 || socket.interface == own.interface))
            result.push_back(&own);
    }
    return result;
}

bool Judge::is_right_by_library(const UdpSocket& socket, const Owner& owner, Server& server) {
    const LibraryPresence& library = known(owner.process).library;
    if (!library.mapped)
        return false;
    // On each socket that the library has taken over, it has switched packet information on. One that was
    // inherited it takes over when the program first uses it.
    if (!library.alive || asks_for_packet_information(owner, socket).asks == Asks::no)
        server.setting = setting_that_leaves_out(owner.process, socket.port);
    if (!server.setting.empty() || !library.alive) {
        server.reason = server.setting.empty()
                            ? "multihome is loaded, but has taken over no socket"
                            : fmt::format("multihome is loaded, but {} leaves it out", server.setting);
        return false;
    }
    server.reason = "multihome";
    if (const std::string& version = known(owner.process).version; !version.empty())
        server.reason += " " + version;
    if (library.deleted)
        server.reason += ", of a file that has been replaced since";
    return true;
}

bool Judge::is_served(const std::string& made_in, const Server& server) const {
    return std::any_of(attached_.begin(), attached_.end(), [&](const engine::Attachment& one) {
        return one.serves(made_in, server.process.control_group, server.port);
    });
}

// A socket belongs to the control group in which it was made, wherever its process has gone since, and
// whoever has passed it on.
bool Judge::is_right_by_engine(const UdpSocket& socket, Server& server) const {
    const std::string& group = server.process.control_group;
    if (socket.control_group != 0)
        if (const auto made_in = control_group_path(socket.control_group); made_in && *made_in != group)
            server.made_in = *made_in;
    if (is_served(server.made_in.empty() ? group : server.made_in, server))
        return true;
    if (is_served(group, server)) // where one would have looked for the reason
        server.reason = server.made_in == "/" ? "its socket was made outside of its control group"
                                              : fmt::format("its socket was made in the control group {}, "
                                                            "where the engine is not",
                                                            server.made_in);
    return false;
}

void Judge::look_at_addresses(const UdpSocket& socket, Server& server) const {
    const std::vector<const OwnAddress*> addresses = askable(socket);
    for (const bool ipv4 : {true, false})
        if (std::count_if(addresses.begin(), addresses.end(),
                          [&](const OwnAddress* own) { return own->address.is_ipv4() == ipv4; }) > 1)
            for (const OwnAddress* own : addresses)
                if (own->address.is_ipv4() == ipv4 && network_.goes_wrong_at(*own))
                    add_once(server.wrong_at, to_text(own->address));
    if (!server.wrong_at.empty())
        return;
    std::vector<std::string> names;
    for (const OwnAddress* own : addresses)
        add_once(names, to_text(own->address));
    server.reason = names.empty() ? "only loopback can be asked"
                                  : fmt::format("only {} can be asked", fmt::join(names, ", "));
}

void Judge::judge_owners(const UdpSocket& socket, const std::vector<Owner>& owners, Server& server) {
    const auto settle = [&](Verdict verdict, const std::string& reason) {
        server.verdict = verdict;
        server.reason = reason;
    };
    if (owners.empty())
        return settle(Verdict::unknown, owners_.unreadable() != 0
                                            ? "its program is not visible: run this as root"
                                            : "the kernel's own, or of another PID namespace");
    if (is_right_by_engine(socket, server))
        return settle(Verdict::ok, "the kernel engine is attached");
    // Each of them may read the socket: who hands it to a service does not have the library that is there.
    bool is_mapped = false;
    for (const Owner& owner : owners) {
        const LibraryPresence& library = known(owner.process).library;
        if (is_right_by_library(socket, owner, server)) {
            server.process = known(owner.process).process;
            const std::string note = note_on_io_uring(owner.process, library, socket.port);
            server.is_certain = note.empty();
            add_once(server.notes, note);
            add_once(server.notes, known(owner.process).note_on_table);
            return settle(Verdict::ok, server.reason);
        }
        is_mapped = is_mapped || library.mapped;
    }
    SocketLook look{Asks::no, 0};
    if (!is_mapped) // else whatever switched packet information on, it may have been the library
        for (const Owner& owner : owners) {
            look = asks_for_packet_information(owner, socket);
            if (look.asks != Asks::unknown)
                break; // the others hold the same socket
        }
    if (look.asks == Asks::yes) {
        // Most that ask for it use it. Qt asks on every QUdpSocket, and few of its programs answer by it.
        server.is_certain = false;
        add_once(server.notes,
                 "whether a program that asks for packet information answers by it cannot be seen from here. "
                 "To find out: multihomectl ask, on another machine");
        return settle(Verdict::ok, "asks for packet information: right if it answers by it");
    }
    if (socket.port >= client_ports_.first && socket.port <= client_ports_.second)
        return settle(Verdict::client, "a port that the kernel gives to clients");
    if (look.asks == Asks::unknown)
        return settle(Verdict::unknown, why_not_looked_at(look.error));
    server.verdict = Verdict::wrong;
    find_mend(server, known(server.process.number).library, library_, network_);
}

Server Judge::judge_one(const UdpSocket& socket, const std::vector<Owner>& owners) {
    Server server;
    server.port = socket.port;
    server.bound_to = {to_text(socket.address)};
    if (!owners.empty()) {
        server.process = known(who_serves(owners)).process;
        add_once(server.notes, known(server.process.number).note);
    }
    if (!is_wildcard(socket.address)) {
        server.reason = "bound";
        return server;
    }
    look_at_addresses(socket, server);
    if (server.wrong_at.empty())
        return server;
    judge_owners(socket, owners, server);
    if (server.verdict != Verdict::wrong)
        server.wrong_at.clear();
    return server;
}

std::vector<Server> Judge::judge(const std::vector<UdpSocket>& sockets) {
    std::map<std::tuple<std::uint16_t, std::string, std::string>, Server> rows;
    for (const UdpSocket& socket : sockets) {
        Server server = judge_one(socket, owners_.of(socket.inode));
        const auto key = std::tuple{server.port, server.process.unit, server.process.name};
        auto [row, is_new] = rows.try_emplace(key, server);
        if (!is_new)
            merge(row->second, server);
    }
    std::vector<Server> servers;
    for (auto& [key, server] : rows) {
        if (server.reason == "bound")
            server.reason = fmt::format("bound to {}", fmt::join(server.bound_to, ", "));
        servers.push_back(std::move(server));
    }
    return servers;
}

} // namespace multihome::tools
