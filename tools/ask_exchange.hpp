// SPDX-License-Identifier: MIT
// Asks one UDP server at several of its addresses, and sees where the answers come from. The sockets are
// never connected: a connected one does not receive an answer from an unexpected address.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/payloads.hpp"

namespace multihome::tools {

/// An address and a port of either family.
struct Endpoint {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    [[nodiscard]] int family() const { return storage.ss_family; }
    [[nodiscard]] uint16_t port() const;
    [[nodiscard]] std::string address() const; ///< with %INTERFACE where it needs one
    [[nodiscard]] bool same_address(const Endpoint& other) const;
    [[nodiscard]] sockaddr* pointer() { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] const sockaddr* pointer() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Every address that `name` (an address or a host's name) stands for. Throws Impossible.
std::vector<Endpoint> resolve(const std::string& name, uint16_t port);

/// An address of this host: what goes there never leaves it, and proves nothing.
bool is_local(const Endpoint& target);

/// Not the wildcard, a group or the broadcast address.
bool is_of_one_host(const Endpoint& target);

enum class Outcome {
    not_asked,
    right,   ///< answered from the address and port asked
    wrong,   ///< answered from somewhere else
    silent,  ///< no answer came
    refused, ///< an ICMP error came back
};

struct Answer {
    Outcome outcome = Outcome::not_asked;
    Endpoint source; ///< where it came from, if it came
};

/// One address, and what came back when it was asked
struct Asked {
    Endpoint target;
    Answer own_port; ///< from a port that asks this address alone
    Answer one_port; ///< from a port that asks the other addresses as well, one after the other
    Answer at_once;  ///< from a port that asks all of them before it hears any answer
    [[nodiscard]] Outcome worst() const;
};

struct Patience {
    std::chrono::milliseconds timeout{2000}; ///< for one answer
    int tries = 2;                           ///< a question that nobody answers is asked again
};

/// Asks all `targets`. Throws std::system_error where a socket cannot be had.
std::vector<Asked> ask_all(const std::vector<Endpoint>& targets, const Payload& payload,
                           const Patience& patience);

} // namespace multihome::tools
