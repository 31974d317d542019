// SPDX-License-Identifier: MIT
// What a UDP server on this host does when it is asked at one of several addresses.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/host_network.hpp"
#include "tools/kernel_engine/engine.hpp"
#include "tools/obstacles.hpp"
#include "tools/processes.hpp"
#include "tools/running_library.hpp"
#include "tools/udp_sockets.hpp"

namespace multihome::tools {

enum class Verdict { ok, client, unknown, wrong }; // the worst last

const char* to_text(Verdict verdict);

/// One row: all sockets of one program on one port.
struct Server {
    std::uint16_t port = 0;
    Process process; ///< the first of its processes; number 0: not visible
    std::vector<std::string> bound_to;
    Verdict verdict = Verdict::ok;
    bool is_certain = true; ///< false: that it is ok hangs on what cannot be seen
    std::string reason;
    std::vector<std::string> wrong_at;
    std::vector<std::string> obstacles; ///< what preloading would meet
    std::string setting;                ///< of the library's that leaves it out
    std::string made_in;                ///< the control group of its socket, where that is not the process's
    std::string command;                ///< that mends it
    std::string remark;                 ///< on the command
    std::vector<std::string> notes;     ///< what else is to be said of its processes, right or wrong
};

/// Judges the sockets of one namespace.
class Judge {
public:
    /// `attached`: where the kernel engine is.
    Judge(const HostNetwork& network, const SocketOwners& owners, std::vector<engine::Attachment> attached);

    /// In the order of their ports.
    std::vector<Server> judge(const std::vector<UdpSocket>& sockets);

private:
    struct Known {
        Process process;
        LibraryPresence library;
        std::string version; ///< of the library, where it is alive
        std::string note;
        std::string note_on_table; ///< of the library's, where it is alive
    };

    const Known& known(pid_t process);
    Server judge_one(const UdpSocket& socket, const std::vector<Owner>& owners);
    /// Where answers of a socket on the wildcard go wrong, or the reason that they cannot.
    void look_at_addresses(const UdpSocket& socket, Server& server) const;
    /// What its program makes of that.
    void judge_owners(const UdpSocket& socket, const std::vector<Owner>& owners, Server& server);
    [[nodiscard]] std::vector<const OwnAddress*> askable(const UdpSocket& socket) const;
    [[nodiscard]] bool is_served(const std::string& made_in, const Server& server) const;
    bool is_right_by_engine(const UdpSocket& socket, Server& server) const;
    bool is_right_by_library(const UdpSocket& socket, const Owner& owner, Server& server);

    const HostNetwork& network_;
    const SocketOwners& owners_;
    std::vector<engine::Attachment> attached_;
    std::map<pid_t, Known> known_;
    LibraryFile library_;
    std::pair<unsigned, unsigned> client_ports_; ///< net.ipv4.ip_local_port_range
};

/// Whether the program asks for packet information on a socket of its own: a copy of it is asked, the program
/// is not touched. `unknown` where the copy cannot be had.
enum class Asks { no, yes, unknown };
struct SocketLook {
    Asks asks = Asks::unknown;
    int error = 0; ///< why it is not known
};
SocketLook asks_for_packet_information(const Owner& owner, const UdpSocket& socket);

} // namespace multihome::tools
