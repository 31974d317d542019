// SPDX-License-Identifier: MIT
// What `multihomectl ask` says to a server: one small request for each protocol, and how to know its answer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace multihome::tools {

/// Whom a request goes to, for protocols that name it inside.
struct Question {
    std::string target; ///< the address, as text
    uint16_t port = 0;
    uint16_t local_port = 0; ///< what it is asked from
};

/// A datagram, byte for byte.
using Datagram = std::string;

struct Payload {
    std::string name;
    uint16_t port = 0; ///< its well-known port; 0: none
    /// The answer repeats something of the request, which is another one in nearly every request.
    bool identified = true;
    /// The answer comes from a port of its own (TFTP, RFC 1350).
    bool any_port = false;
    std::function<Datagram(const Question&)> request;
    /// Whether `reply` answers `request`; bytes of strangers, of any length.
    std::function<bool(const Datagram& request, std::string_view reply)> is_answer;
};

/// The payloads that have a name. `radius_secret` is what the RADIUS server shares with its clients.
std::vector<Payload> named_payloads(const std::string& radius_secret);

/// Any bytes; whatever comes back is an answer.
Payload raw_payload(std::string name, Datagram bytes);

/// "01 02 0a" or "01020a". Nothing if it is not that.
std::optional<Datagram> parse_hex(std::string_view text);

} // namespace multihome::tools
