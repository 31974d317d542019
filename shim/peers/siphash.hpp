// SPDX-License-Identifier: MIT
//
// SipHash-1-3 of a peer. Keyed, because peers choose their own addresses and must not be able to choose where
// they land in the table. J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012).
#pragma once

#include "shim/base/address.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace multihome {

struct HashKey {
    uint64_t first;
    uint64_t second;
};

// A SipHash-1-3 whose message is given in whole little-endian words, the last one with its length in the top
// byte.
class SipHash13 {
public:
    explicit SipHash13(const HashKey& key)
        : v0_(key.first ^ 0x736f6d6570736575), v1_(key.second ^ 0x646f72616e646f6d),
          v2_(key.first ^ 0x6c7967656e657261), v3_(key.second ^ 0x7465646279746573) {}

    void add(uint64_t word) {
        v3_ ^= word;
        round();
        v0_ ^= word;
    }

    uint64_t finish() {
        v2_ ^= 0xff;
        round();
        round();
        round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

private:
    void round() {
        v0_ += v1_;
        v2_ += v3_;
        v1_ = std::rotl(v1_, 13) ^ v0_;
        v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v1_;
        v0_ += v3_;
        v1_ = std::rotl(v1_, 17) ^ v2_;
        v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ = std::rotl(v2_, 32);
    }

    uint64_t v0_;
    uint64_t v1_;
    uint64_t v2_;
    uint64_t v3_;
};

// hash_of() for a peer that is known to be an IPv4 one.
inline uint64_t hash_of_ipv4(const Peer& peer, const HashKey& key) {
    SipHash13 hash(key);
    hash.add(uint64_t{6} << 56 | uint64_t{peer.port} << 32 | peer.address.ipv4().s_addr);
    return hash.finish();
}

// Hashes an IPv4 peer as the six bytes (address, port), an IPv6 peer as the 22 bytes (address, port, scope).
// Async-signal-safe.
inline uint64_t hash_of(const Peer& peer, const HashKey& key) {
    if (peer.address.is_ipv4())
        return hash_of_ipv4(peer, key);
    SipHash13 hash(key);
    hash.add(peer.address.first);
    hash.add(peer.address.second);
    hash.add(uint64_t{22} << 56 | uint64_t{peer.scope} << 16 | peer.port);
    return hash.finish();
}

} // namespace multihome
