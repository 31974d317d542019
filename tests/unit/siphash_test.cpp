// SPDX-License-Identifier: MIT
#include "shim/peers/siphash.hpp"

#include "table_memory.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <doctest/doctest.h>
#include <vector>

namespace multihome {

namespace {

using Bytes = std::vector<unsigned char>;

// SipHash-c-d byte by byte, as the paper describes it: nothing shared with the shim's.
class Reference {
public:
    Reference(unsigned compressions, unsigned finalizations)
        : compressions_(compressions), finalizations_(finalizations) {}

    uint64_t operator()(const HashKey& key, const Bytes& message) const {
        State v{key.first ^ 0x736f6d6570736575, key.second ^ 0x646f72616e646f6d,
                key.first ^ 0x6c7967656e657261, key.second ^ 0x7465646279746573};
        Bytes padded = message;
        while (padded.size() % 8 != 7)
            padded.push_back(0);
        padded.push_back(static_cast<unsigned char>(message.size()));
        for (size_t start = 0; start < padded.size(); start += 8) {
            uint64_t word = 0;
            for (size_t byte = 0; byte < 8; ++byte)
                word |= uint64_t{padded[start + byte]} << (8 * byte);
            v[3] ^= word;
            rounds(v, compressions_);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        rounds(v, finalizations_);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
    }

private:
    using State = std::array<uint64_t, 4>;

    static uint64_t rotate(uint64_t value, unsigned by) { return value << by | value >> (64 - by); }

    // One half of a round: v[a] and v[b] are added to, v[x] and v[y] are mixed in.
    static void half(State& v, std::array<size_t, 4> index, unsigned first, unsigned second) {
        const auto [a, x, b, y] = index;
        v[a] += v[x];
        v[x] = rotate(v[x], first) ^ v[a];
        v[b] += v[y];
        v[y] = rotate(v[y], second) ^ v[b];
        v[a] = rotate(v[a], 32);
    }

    static void rounds(State& v, unsigned count) {
        for (; count > 0; --count) {
            half(v, {0, 1, 2, 3}, 13, 16);
            half(v, {2, 1, 0, 3}, 17, 21);
        }
    }

    unsigned compressions_;
    unsigned finalizations_;
};

Bytes counting(size_t length) {
    Bytes bytes;
    for (size_t index = 0; index < length; ++index)
        bytes.push_back(static_cast<unsigned char>(index));
    return bytes;
}

template <typename Type>
void append(Bytes& bytes, const Type& value) {
    const size_t size = bytes.size();
    bytes.resize(size + sizeof value);
    std::memcpy(bytes.data() + size, &value, sizeof value);
}

// The message that the comment of hash_of() promises for this peer.
Bytes message_of(const Peer& peer) {
    Bytes bytes;
    if (peer.address.is_ipv4()) {
        append(bytes, peer.address.ipv4());
        append(bytes, peer.port);
        return bytes;
    }
    append(bytes, peer.address.ipv6());
    append(bytes, peer.port);
    append(bytes, peer.scope);
    return bytes;
}

constexpr HashKey counting_key{0x0706050403020100, 0x0f0e0d0c0b0a0908};

} // namespace

TEST_SUITE_BEGIN("siphash");

TEST_CASE("the reference in this file gives the published values") {
    // The vectors of SipHash-2-4 that come with its authors' code.
    const Reference siphash24{2, 4};
    CHECK(siphash24(counting_key, counting(0)) == 0x726fdb47dd0e0e31);
    CHECK(siphash24(counting_key, counting(1)) == 0x74f839c593dc67fd);
    CHECK(siphash24(counting_key, counting(7)) == 0xab0200f58b01d137);
    CHECK(siphash24(counting_key, counting(8)) == 0x93f5f5799a932462);
    CHECK(siphash24(counting_key, counting(15)) == 0xa129ca6149be45e5);
    CHECK(siphash24(counting_key, counting(63)) == 0x958a324ceb064572);
    // SipHash-1-3 as CPython's hash() of a bytes object computes it with PYTHONHASHSEED=0, which is the zero
    // key.
    const Reference siphash13{1, 3};
    CHECK(siphash13({0, 0}, {'s', 'i', 'p', 'h', 'a', 's', 'h'}) == 0x8264ceeccb16bcbe);
    CHECK(siphash13({0, 0}, counting(6)) == 0xe3c25f87624f1cdb);
    CHECK(siphash13({0, 0}, counting(22)) == 0xf8aeb1066236ccfe);
}

TEST_CASE("the hash of a peer is SipHash-1-3 of its bytes") {
    Peer ipv4;
    const unsigned char ipv4_bytes[4] = {0, 1, 2, 3};
    in_addr address{};
    std::memcpy(&address, ipv4_bytes, sizeof address);
    ipv4.address = Address::from_ipv4(address);
    const unsigned char ipv4_port[2] = {4, 5};
    std::memcpy(&ipv4.port, ipv4_port, sizeof ipv4.port);
    CHECK(hash_of(ipv4, {0, 0}) == 0xe3c25f87624f1cdb);

    Peer ipv6;
    const Bytes bytes = counting(22);
    in6_addr address6{};
    std::memcpy(&address6, bytes.data(), sizeof address6);
    ipv6.address = Address::from_ipv6(address6);
    std::memcpy(&ipv6.port, bytes.data() + 16, sizeof ipv6.port);
    std::memcpy(&ipv6.scope, bytes.data() + 18, sizeof ipv6.scope);
    CHECK(hash_of(ipv6, {0, 0}) == 0xf8aeb1066236ccfe);
}

TEST_CASE("any peer under any key gives what the reference gives") {
    test::Random random{1};
    const Reference siphash13{1, 3};
    for (unsigned round = 0; round < 2000; ++round) {
        const HashKey key{random.next(), random.next()};
        Peer peer;
        peer.port = static_cast<in_port_t>(random.next());
        if (round % 2 == 0) {
            peer.address = Address::from_ipv4({static_cast<in_addr_t>(random.next())});
        } else {
            peer.address = {random.next(), random.next()};
            peer.scope = static_cast<uint32_t>(random.next());
        }
        REQUIRE(hash_of(peer, key) == siphash13(key, message_of(peer)));
    }
}

TEST_CASE("each part of a peer and each half of the key counts") {
    Peer peer;
    peer.address = {0x80fe, 0x0100000000000000};
    peer.port = htons(53);
    peer.scope = 2;
    const uint64_t hash = hash_of(peer, counting_key);
    Peer other = peer;
    other.port = htons(54);
    CHECK(hash_of(other, counting_key) != hash);
    other = peer;
    other.scope = 3;
    CHECK(hash_of(other, counting_key) != hash);
    other = peer;
    other.address.first ^= 1;
    CHECK(hash_of(other, counting_key) != hash);
    other = peer;
    other.address.second ^= 1;
    CHECK(hash_of(other, counting_key) != hash);
    CHECK(hash_of(peer, {counting_key.first ^ 1, counting_key.second}) != hash);
    CHECK(hash_of(peer, {counting_key.first, counting_key.second ^ 1}) != hash);
}

TEST_SUITE_END();

} // namespace multihome
