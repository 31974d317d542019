// SPDX-License-Identifier: MIT
#include "tools/payloads.hpp"

#include <fmt/core.h>
#include <md5.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <random>
#include <utility>

namespace multihome::tools {
namespace {

using namespace std::string_literals;

Datagram random_bytes(size_t count) {
    std::random_device source;
    Datagram bytes(count, '\0');
    for (char& byte : bytes)
        byte = static_cast<char>(source());
    return bytes;
}

/// `count` random hexadecimal digits, for protocols made of text.
std::string random_token(size_t count) {
    std::string token;
    for (const char byte : random_bytes(count))
        token += "0123456789abcdef"[static_cast<unsigned char>(byte) & 0xfU];
    return token;
}

/// The `count` bytes at `offset`; fewer, or none, where the datagram ends before.
std::string_view part(std::string_view datagram, size_t offset, size_t count) {
    return offset < datagram.size() ? datagram.substr(offset, count) : std::string_view{};
}

bool same_part(std::string_view one, size_t offset, std::string_view other, size_t other_offset,
               size_t count) {
    const std::string_view wanted = part(one, offset, count);
    return wanted.size() == count && wanted == part(other, other_offset, count);
}

/// RFC 1035: who serves the root? Without "recursion desired", so that a server need not ask anybody else;
/// REFUSED is an answer, too.
Datagram dns_request(const Question&) {
    return random_bytes(2) + "\0\0\0\1\0\0\0\0\0\0"s + "\0"s + "\0\2\0\1"s;
}

bool is_dns_answer(const Datagram& request, std::string_view reply) {
    return reply.size() >= 12 && same_part(request, 0, reply, 0, 2) &&
           (static_cast<unsigned char>(reply[2]) & 0x80U) != 0;
}

/// RFC 5905: version 4, client mode; the server repeats our transmit timestamp as its origin timestamp.
Datagram ntp_request(const Question&) {
    return "\x23"s + Datagram(39, '\0') + random_bytes(8);
}

bool is_ntp_answer(const Datagram& request, std::string_view reply) {
    return reply.size() >= 48 && (static_cast<unsigned char>(reply[0]) & 7U) == 4 &&
           same_part(request, 40, reply, 24, 8);
}

/// RFC 8489: a Binding request. Success and error are answers.
Datagram stun_request(const Question&) {
    return "\0\1\0\0\x21\x12\xa4\x42"s + random_bytes(12);
}

bool is_stun_answer(const Datagram& request, std::string_view reply) {
    return reply.size() >= 20 && (reply.substr(0, 2) == "\1\1"s || reply.substr(0, 2) == "\1\x11"s) &&
           same_part(request, 4, reply, 4, 16);
}

/// A BER element shorter than 128 bytes.
Datagram ber(char tag, const Datagram& content) {
    return Datagram{tag} + static_cast<char>(content.size()) + content;
}

/// RFC 3414, 4: the discovery of an engine. It needs no user and no community: an agent answers with a
/// report.
Datagram snmp_request(const Question&) {
    // Positive and without a leading zero byte, so that the agent repeats it byte for byte.
    Datagram identifier = random_bytes(4);
    identifier[0] = static_cast<char>((static_cast<unsigned char>(identifier[0]) & 0x3fU) | 0x40U);
    const Datagram empty = ber('\4', "");
    const Datagram header =
        ber('\x30', ber('\2', identifier) + ber('\2', "\0\xff\xe3"s) + ber('\4', "\4") + ber('\2', "\3"));
    const Datagram user = ber('\x30', empty + ber('\2', "\0"s) + ber('\2', "\0"s) + empty + empty + empty);
    const Datagram get = ber('\xa0', ber('\2', identifier) + ber('\2', "\0"s) + ber('\2', "\0"s) + "\x30\0"s);
    return ber('\x30', ber('\2', "\3") + header + ber('\4', user) + ber('\x30', empty + empty + get));
}

bool is_snmp_answer(const Datagram& request, std::string_view reply) {
    // The message identifier stands behind the version, wherever the lengths of the outer elements put it.
    const size_t version = reply.find("\2\1\3\x30"s);
    if (version == std::string_view::npos || version > 8)
        return false;
    const size_t identifier = reply.find("\2\4"s, version + 4);
    return identifier != std::string_view::npos && identifier < version + 9 &&
           same_part(request, request.find("\2\4"s) + 2, reply, identifier + 2, 4);
}

/// RFC 1350: a file that is hardly there. The error is the answer; it comes from a port of its own.
Datagram tftp_request(const Question&) {
    return "\0\1multihomectl-ask-"s + random_token(8) + "\0octet\0"s;
}

bool is_tftp_answer(const Datagram&, std::string_view reply) {
    return reply.size() >= 4 && reply[0] == '\0' &&
           (reply[1] == '\3' || reply[1] == '\5' || reply[1] == '\6');
}

std::string md5(const std::string& text) {
    MD5_CTX context;
    std::array<uint8_t, MD5_DIGEST_LENGTH> digest{};
    MD5Init(&context);
    MD5Update(&context, reinterpret_cast<const uint8_t*>(text.data()), text.size());
    MD5Final(digest.data(), &context);
    return {digest.begin(), digest.end()};
}

/// RFC 2104.
std::string hmac_md5(std::string key, const std::string& text) {
    constexpr size_t block = 64;
    if (key.size() > block)
        key = md5(key);
    key.resize(block, '\0');
    std::string inner = key;
    std::string outer = key;
    for (size_t i = 0; i < block; ++i) {
        inner[i] = static_cast<char>(static_cast<unsigned char>(key[i]) ^ 0x36U);
        outer[i] = static_cast<char>(static_cast<unsigned char>(key[i]) ^ 0x5cU);
    }
    return md5(outer + md5(inner + text));
}

/// RFC 5997: Status-Server. Without a right Message-Authenticator a server says nothing.
Datagram radius_request(const std::string& secret) {
    const Datagram head = "\x0c"s + random_bytes(1) + "\0\x26"s + random_bytes(16) + "\x50\x12"s;
    return head + hmac_md5(secret, head + Datagram(16, '\0'));
}

bool is_radius_answer(const Datagram& request, std::string_view reply) {
    constexpr std::string_view codes =
        "\2\3\5\x0b"; // Access-Accept, -Reject, Accounting-Response, -Challenge
    return reply.size() >= 20 && codes.find(reply[0]) != std::string_view::npos &&
           same_part(request, 1, reply, 1, 1);
}

/// RFC 3261, 11: OPTIONS. "rport" (RFC 3581) makes the server answer to where the request came from; the name
/// in Via makes it not look for an address there.
Datagram sip_request(const Question& question) {
    const std::string host =
        question.target.find(':') == std::string::npos ? question.target : '[' + question.target + ']';
    const std::string token = random_token(16);
    return fmt::format("OPTIONS sip:{0}:{1} SIP/2.0\r\n"
                       "Via: SIP/2.0/UDP ask.invalid:{2};branch=z9hG4bK{3};rport\r\n"
                       "Max-Forwards: 70\r\n"
                       "From: <sip:multihomectl@ask.invalid>;tag={3}\r\n"
                       "To: <sip:{0}:{1}>\r\n"
                       "Call-ID: {3}\r\n"
                       "CSeq: 1 OPTIONS\r\n"
                       "Contact: <sip:multihomectl@ask.invalid:{2}>\r\n"
                       "Accept: application/sdp\r\n"
                       "Content-Length: 0\r\n\r\n",
                       host, question.port, question.local_port, token);
}

bool is_sip_answer(const Datagram& request, std::string_view reply) {
    constexpr std::string_view marker = "branch=z9hG4bK";
    const std::string_view token = part(request, request.find(marker) + marker.size(), 16);
    return reply.starts_with("SIP/2.0 ") && reply.find(token) != std::string_view::npos;
}

/// RFC 9000, 6: a long header with a version that nobody has (15: 0x?a?a?a?a), as long as a first datagram
/// has to be. The server answers with the versions that it has, and repeats both connection identifiers.
Datagram quic_request(const Question&) {
    Datagram request = "\xc0\x1a\x2a\x3a\x4a\x08"s + random_bytes(8) + "\x08"s + random_bytes(8);
    request.resize(1200, '\0');
    return request;
}

bool is_quic_answer(const Datagram& request, std::string_view reply) {
    return reply.size() >= 23 && (static_cast<unsigned char>(reply[0]) & 0x80U) != 0 &&
           reply.substr(1, 4) == "\0\0\0\0"s && same_part(request, 14, reply, 5, 9) &&
           same_part(request, 5, reply, 14, 9);
}

/// memcached's protocol.txt, "UDP protocol": identifier, number 0 of 1 datagrams, reserved.
Datagram memcached_request(const Question&) {
    return random_bytes(2) + "\0\0\0\1\0\0version\r\n"s;
}

bool is_memcached_answer(const Datagram& request, std::string_view reply) {
    return reply.size() > 8 && same_part(request, 0, reply, 0, 2);
}

Datagram echo_request(const Question&) {
    return "multihomectl ask " + random_token(16);
}

bool is_echo_answer(const Datagram& request, std::string_view reply) {
    return reply.starts_with(request);
}

bool anything(const Datagram&, std::string_view) {
    return true;
}

} // namespace

std::vector<Payload> named_payloads(const std::string& radius_secret) {
    const auto radius = [radius_secret](const Question&) { return radius_request(radius_secret); };
    return {
        {"dns", 53, true, false, dns_request, is_dns_answer},
        {"ntp", 123, true, false, ntp_request, is_ntp_answer},
        {"stun", 3478, true, false, stun_request, is_stun_answer},
        {"snmp", 161, true, false, snmp_request, is_snmp_answer},
        {"tftp", 69, false, true, tftp_request, is_tftp_answer},
        {"radius", 1812, true, false, radius, is_radius_answer},
        {"sip", 5060, true, false, sip_request, is_sip_answer},
        {"quic", 443, true, false, quic_request, is_quic_answer},
        {"memcached", 11211, true, false, memcached_request, is_memcached_answer},
        {"echo", 7, true, false, echo_request, is_echo_answer},
    };
}

Payload raw_payload(std::string name, Datagram bytes) {
    return {std::move(name), 0, false, false, [bytes = std::move(bytes)](const Question&) { return bytes; },
            anything};
}

std::optional<Datagram> parse_hex(std::string_view text) {
    std::string digits{text};
    std::erase_if(digits, [](unsigned char character) { return std::isspace(character) != 0; });
    if (digits.size() % 2 != 0 ||
        !std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isxdigit(c) != 0; }))
        return std::nullopt;
    Datagram bytes;
    for (size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
}

} // namespace multihome::tools
