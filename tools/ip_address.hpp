// SPDX-License-Identifier: MIT
// Addresses as people and the kernel's tables write them, in the shim's own form: IPv4 ones are v4-mapped.
#pragma once

#include <optional>
#include <string>

#include "shim/base/address.hpp"

namespace multihome::tools {

/// From the 4 (AF_INET) or 16 (AF_INET6) bytes of a kernel message.
Address address_from(int family, const void* bytes);
/// "192.0.2.2" or "2001:db8::2"; an IPv4 address is never shown v4-mapped.
std::string to_text(const Address& address);
std::optional<Address> parse_address(const std::string& text);

bool is_wildcard(const Address& address);
bool is_loopback(const Address& address);
/// Of RFC 1918, RFC 6598, RFC 4193 or link-local: no uplink to the internet has it as its own.
bool is_private(const Address& address);
/// `address` with its last bit turned over: a neighbour in the same subnet.
Address neighbour_of(const Address& address);

} // namespace multihome::tools
