// SPDX-License-Identifier: MIT
//
// The hash of a conversation, under a key. Peers choose their own addresses, and must not be able to choose
// where they land in the table. All functions are async-signal-safe.
//
// The hash multiplies each word by a random factor of 128 bits, and adds up the high halves of the products:
// M. Dietzfelbinger and others, "A reliable randomized algorithm for the closest-pair problem" (1997). Under
// a random key any two conversations have equal sums with a probability of at most 2^-63, whoever chose them.
// Where they differ in a word, the product of the difference and its factor is random, and its high half
// would have to be one of two values. The fold at the end hides the linear sum from somebody who watches
// which of their entries are pushed out.
#pragma once

#include "shim/base/address.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace multihome {

struct HashKey {
    // Random. IPv4 has the first five: what is added, the factor of the word (two), the two words of the
    // fold. IPv6 has the others, with a factor for each of three words. The last word of either family is a
    // factor of the fold, and odd, because an even one would lose bits.
    std::array<uint64_t, 14> words;

    void make_odd() {
        words[4] |= 1;
        words[13] |= 1;
    }
};

namespace detail {

// The halves of a 128-bit product.
struct Halves {
    uint64_t low = 0;
    uint64_t high = 0;

    // For processors without such a product.
    static constexpr Halves of_limbs(uint64_t a, uint64_t b) {
        const uint64_t a_low = a & 0xffffffff;
        const uint64_t a_high = a >> 32;
        const uint64_t b_low = b & 0xffffffff;
        const uint64_t b_high = b >> 32;
        const uint64_t cross = (a_low * b_low >> 32) + (a_high * b_low & 0xffffffff) + a_low * b_high;
        return {a * b, a_high * b_high + (a_high * b_low >> 32) + (cross >> 32)};
    }
};

inline Halves product(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    __extension__ using Wide = unsigned __int128;
    const Wide wide = Wide{a} * b;
    return {static_cast<uint64_t>(wide), static_cast<uint64_t>(wide >> 64)};
#else
    return Halves::of_limbs(a, b);
#endif
}

// Returns the high half of the product with a 128-bit factor.
inline uint64_t high_product(uint64_t word, uint64_t factor_low, uint64_t factor_high) {
    return product(word, factor_low).high + word * factor_high;
}

inline uint64_t fold(uint64_t sum, uint64_t first, uint64_t second) {
    const Halves folded = product(sum ^ first, second);
    uint64_t result = folded.low ^ folded.high;
    // Hides the result from the compiler, which would keep the halves and fold them wherever it needs them.
    asm("" : "+r"(result));
    return result;
}

// Makes any number of words from two random ones.
struct SecretWords {
    std::array<uint64_t, 2> seed{};

    uint64_t operator()() {
        seed[0] += 0x9e3779b97f4a7c15;
        return fold(seed[0], seed[1], seed[1] | 1);
    }
};

} // namespace detail

// The hash of an IPv4 conversation. `conversation`: from the high end, the peer's address and port, and the
// local port.
[[gnu::always_inline]] inline uint64_t hash_of_ipv4(uint64_t conversation, const HashKey& key) {
    const auto& random = key.words;
    return detail::fold(random[0] + detail::high_product(conversation, random[1], random[2]), random[3],
                        random[4]);
}

// Returns the hash of a conversation: a peer and one of our ports (network byte order). It does not say which
// of our sockets, threads or processes answers, nor at which of our addresses the peer asks.
inline uint64_t hash_of(const Peer& peer, in_port_t local_port, const HashKey& key) {
    const uint64_t rest = uint64_t{peer.scope} << 32 | uint64_t{peer.port} << 16 | uint64_t{local_port};
    if (peer.address.is_ipv4()) [[likely]]
        return hash_of_ipv4(uint64_t{peer.address.ipv4().s_addr} << 32 | rest, key);
    const auto& random = key.words;
    return detail::fold(random[5] + detail::high_product(peer.address.first, random[6], random[7]) +
                            detail::high_product(peer.address.second, random[8], random[9]) +
                            detail::high_product(rest, random[10], random[11]),
                        random[12], random[13]);
}

// Writes the hash of the conversation that a peer has with a port of ours. `name`: the peer's socket address,
// `length` readable bytes. `local_port`: network byte order. False where it is no peer's: see read_peer().
[[gnu::always_inline]] inline bool hash_of_name(const void* name, socklen_t length, in_port_t local_port,
                                                const HashKey& key, uint64_t& hash) {
    uint64_t first_bytes = 0;
    if (length < sizeof(sockaddr_in)) [[unlikely]]
        return false;
    std::memcpy(&first_bytes, name, sizeof first_bytes);
    if (address_family(first_bytes) == AF_INET) [[likely]] {
        hash = hash_of_ipv4(ipv4_conversation(first_bytes, local_port), key);
        return true;
    }
    Peer peer;
    if (!read_peer(static_cast<const sockaddr*>(name), length, peer))
        return false;
    hash = hash_of(peer, local_port, key);
    return true;
}

} // namespace multihome
