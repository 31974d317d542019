// SPDX-License-Identifier: MIT
//
// What the stress tests share: a server of their own, run with or without the shim, and questions to it of
// which each carries a token, so that an answer tells which question it belongs to, whatever address it comes
// from.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <sys/types.h>
#include <vector>

namespace multihome::stress {

[[noreturn]] void fail(const std::string& why);

// A server process; ended by the destructor.
class Server {
public:
    // `preload`: the library to run it with, empty for none.
    Server(const std::string& program, const std::string& style, const std::string& preload);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    in_port_t port() const { return port_; } // network byte order

private:
    pid_t child_ = -1;
    int leash_ = -1; // the server ends when this is closed
    in_port_t port_ = 0;
};

// The server's addresses: 127.0.0.2, .3 and .4.
constexpr unsigned address_count = 3;
sockaddr_in server_name(unsigned address, in_port_t port);

// The client's own address, another one for each process, so that tests which run side by side do not share
// ports.
in_addr client_address();

// A UDP socket bound to the client's address and a port of its own, not blocking.
int client_socket();

// Raises the limit of descriptors as far as it goes, and returns how many sockets may be opened.
unsigned raise_descriptor_limit(unsigned wanted);

struct Result {
    uint64_t answers = 0;
    uint64_t wrong = 0; // from another source than the address asked
};

// One port after the other asks, `window` requests are out at a time, a port has at most one of them, and
// each request goes to an address chosen anew.
Result ask_from_many_ports(const Server& server, unsigned ports, uint64_t requests, unsigned window);

// One port asks two addresses in turn, `window` requests at a time.
Result ask_from_one_port(const Server& server, uint64_t requests, unsigned window);

} // namespace multihome::stress
