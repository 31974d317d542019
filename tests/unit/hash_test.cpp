// SPDX-License-Identifier: MIT
#include "shim/peers/conversation_table.hpp"
#include "shim/peers/hash.hpp"

#include "random.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cmath>
#include <doctest/doctest.h>
#include <set>

namespace multihome::hash_test {

namespace {

HashKey random_key(uint64_t seed) {
    test::Random random{seed};
    HashKey key{};
    for (uint64_t& word : key.words)
        word = random.next();
    key.make_odd();
    return key;
}

Peer ipv4_peer_of(uint32_t address, uint16_t port) {
    return {Address::from_ipv4({htonl(address)}), 0, htons(port)};
}

Peer ipv6_peer_of(test::Random& random) {
    return {{random.next() | 0x20, random.next()}, 0, static_cast<in_port_t>(random.next())};
}

uint64_t hash_with(const HashKey& key, const Peer& peer, in_port_t local_port) {
    return hash_of(peer, local_port, key);
}

// The product modulo 2^128 of a word and a factor, by plain long multiplication in 32-bit limbs.
class Reference {
public:
    Reference(uint64_t word, uint64_t factor_low, uint64_t factor_high) {
        const Limbs a = split(word, 0);
        const Limbs b = split(factor_low, factor_high);
        for (size_t i = 0; i < 4; ++i)
            for (size_t j = 0; i + j < 4; ++j)
                add_at(i + j, a[i] * b[j]);
    }

    uint64_t low() const { return limbs_[1] << 32 | limbs_[0]; }
    uint64_t high() const { return limbs_[3] << 32 | limbs_[2]; }

private:
    using Limbs = std::array<uint64_t, 4>; // 32 bits in each

    static Limbs split(uint64_t low, uint64_t high) {
        return {low & 0xffffffff, low >> 32, high & 0xffffffff, high >> 32};
    }
    void add_at(size_t position, uint64_t value) {
        for (uint64_t carry = value; position < 4 && carry != 0; ++position) {
            const uint64_t sum = limbs_[position] + (carry & 0xffffffff);
            limbs_[position] = sum & 0xffffffff;
            carry = (carry >> 32) + (sum >> 32);
        }
    }

    Limbs limbs_{};
};

uint64_t fold(uint64_t sum, uint64_t first, uint64_t second) {
    const Reference product{sum ^ first, second, 0};
    return product.low() ^ product.high();
}

} // namespace

TEST_SUITE_BEGIN("hash");

TEST_CASE("the hash is made of the high halves of the products of the conversation's words") {
    test::Random random{1};
    for (unsigned round = 0; round < 2000; ++round) {
        const HashKey key = random_key(round);
        const auto& words = key.words;
        const auto port = static_cast<in_port_t>(random.next());

        const Peer ipv4 =
            ipv4_peer_of(static_cast<uint32_t>(random.next()), static_cast<uint16_t>(random.next()));
        const Reference short_product{uint64_t{ipv4.address.ipv4().s_addr} << 32 | uint64_t{ipv4.port} << 16 |
                                          port,
                                      words[1], words[2]};
        REQUIRE(hash_with(key, ipv4, port) == fold(words[0] + short_product.high(), words[3], words[4]));

        Peer ipv6 = ipv6_peer_of(random);
        ipv6.scope = static_cast<uint32_t>(random.next());
        const uint64_t rest = uint64_t{ipv6.scope} << 32 | uint64_t{ipv6.port} << 16 | port;
        const uint64_t sum = words[5] + Reference{ipv6.address.first, words[6], words[7]}.high() +
                             Reference{ipv6.address.second, words[8], words[9]}.high() +
                             Reference{rest, words[10], words[11]}.high();
        REQUIRE(hash_with(key, ipv6, port) == fold(sum, words[12], words[13]));
    }
}

TEST_CASE("any two conversations differ, also those that differ in little") {
    const HashKey key = random_key(1);
    std::set<uint64_t> hashes;
    unsigned conversations = 0;
    for (uint32_t address = 0x0a000000; address < 0x0a000010; ++address)
        for (uint16_t port = 1000; port < 1032; ++port)
            for (in_port_t local_port = 53; local_port < 85; ++local_port, ++conversations)
                hashes.insert(hash_with(key, ipv4_peer_of(address, port), local_port));
    test::Random random{2};
    for (unsigned number = 0; number < 20'000; ++number, ++conversations)
        hashes.insert(hash_with(key, ipv6_peer_of(random), 53));
    CHECK(hashes.size() == conversations);
}

TEST_CASE("each part of a conversation counts") {
    const HashKey key = random_key(3);
    const Peer ipv4 = ipv4_peer_of(0xcb007101, 4000);
    Peer ipv6{{0x80fe, 0x0100000000000000}, 2, htons(4000)};
    for (const Peer& peer : {ipv4, ipv6}) {
        const uint64_t hash = hash_with(key, peer, htons(53));
        Peer other = peer;
        other.port = htons(4001);
        CHECK(hash_with(key, other, htons(53)) != hash);
        CHECK(hash_with(key, peer, htons(54)) != hash);
        CHECK(hash_with(key, peer, 0) != hash);
        other = peer;
        other.address.second ^= uint64_t{1} << 63;
        CHECK(hash_with(key, other, htons(53)) != hash);
        // The ports are not interchangeable.
        other = peer;
        other.port = htons(53);
        CHECK(hash_with(key, other, htons(4000)) != hash);
    }
    const uint64_t hash = hash_with(key, ipv6, htons(53));
    ipv6.scope = 3;
    CHECK(hash_with(key, ipv6, htons(53)) != hash);
    ipv6.scope = 2;
    ipv6.address.first ^= uint64_t{1} << 40;
    CHECK(hash_with(key, ipv6, htons(53)) != hash);
}

TEST_CASE("a peer has the same hash through an IPv4 and a dual-stack socket") {
    const HashKey key = random_key(4);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(4000);
    name.sin_addr.s_addr = htonl(0xcb007101);
    sockaddr_in6 mapped{};
    mapped.sin6_family = AF_INET6;
    mapped.sin6_port = htons(4000);
    REQUIRE(inet_pton(AF_INET6, "::ffff:203.0.113.1", &mapped.sin6_addr) == 1);
    Peer first;
    Peer second;
    REQUIRE(read_peer(reinterpret_cast<const sockaddr*>(&name), sizeof name, first));
    REQUIRE(read_peer(reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped, second));
    CHECK(hash_with(key, first, htons(53)) == hash_with(key, second, htons(53)));
    // The program's view of ::203.0.113.1 is no such peer.
    REQUIRE(inet_pton(AF_INET6, "::203.0.113.1", &mapped.sin6_addr) == 1);
    REQUIRE(read_peer(reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped, second));
    CHECK(hash_with(key, first, htons(53)) != hash_with(key, second, htons(53)));
}

TEST_CASE("another key gives another hash, and each word of it counts") {
    const Peer ipv4 = ipv4_peer_of(0xcb007101, 4000);
    test::Random random{5};
    const Peer ipv6 = ipv6_peer_of(random);
    const HashKey key = random_key(5);
    for (size_t word = 0; word < key.words.size(); ++word) {
        CAPTURE(word);
        HashKey other = key;
        other.words[word] = random.next();
        const bool is_for_ipv4 = word < 5;
        CHECK((hash_with(other, ipv4, htons(53)) != hash_with(key, ipv4, htons(53))) == is_for_ipv4);
        CHECK((hash_with(other, ipv6, htons(53)) != hash_with(key, ipv6, htons(53))) != is_for_ipv4);
    }
    HashKey even{};
    even.make_odd();
    CHECK(even.words[4] % 2 == 1);
    CHECK(even.words[13] % 2 == 1);
}

TEST_CASE("two random words are enough for a key") {
    HashKey key{};
    std::ranges::generate(key.words, detail::SecretWords{{0x0123456789abcdef, 0xfedcba9876543210}});
    key.make_odd();
    std::set<uint64_t> words(key.words.begin(), key.words.end());
    CHECK(words.size() == key.words.size());
    CHECK(words.count(0) == 0);
    HashKey other{};
    std::ranges::generate(other.words, detail::SecretWords{{0x0123456789abcdef, 0xfedcba9876543211}});
    words.insert(other.words.begin(), other.words.end());
    CHECK(words.size() >= 2 * key.words.size() - 2); // those that were made odd may be alike
    test::Random random{9};
    std::set<uint64_t> hashes;
    for (unsigned number = 0; number < 1000; ++number)
        hashes.insert(hash_with(key, ipv6_peer_of(random), 53));
    CHECK(hashes.size() == 1000);
}

TEST_CASE("every bit is set in half of the hashes, and flips in half of them when one bit of a peer does") {
    constexpr unsigned samples = 4096;
    // Five standard deviations of a fair coin.
    const double limit = 5 * std::sqrt(samples) / 2;
    std::array<unsigned, 64> set{};
    std::array<unsigned, 64> flipped{};
    for (unsigned sample = 0; sample < samples; ++sample) {
        // Over random keys: an attacker's choice is fixed, the key is not.
        const HashKey key = random_key(100 + sample);
        const uint64_t hash = hash_with(key, ipv4_peer_of(0x0a000001, 4000), htons(53));
        const uint64_t other = hash_with(key, ipv4_peer_of(0x0a000001, 4001), htons(53));
        for (unsigned bit = 0; bit < 64; ++bit) {
            set[bit] += static_cast<unsigned>(hash >> bit & 1);
            flipped[bit] += static_cast<unsigned>((hash ^ other) >> bit & 1);
        }
    }
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK(std::abs(set[bit] - samples / 2.0) < limit);
        CHECK(std::abs(flipped[bit] - samples / 2.0) < limit);
    }
}

TEST_CASE("peers that count through addresses and ports spread evenly over the buckets") {
    constexpr unsigned buckets = 256;
    constexpr unsigned each = 64;
    const HashKey key = random_key(7);
    std::array<unsigned, buckets> load{};
    for (unsigned number = 0; number < buckets * each; ++number)
        ++load[hash_with(key, ipv4_peer_of(0x0a000000 + number / 64, static_cast<uint16_t>(number % 64)),
                         53) /
               sizeof(ConversationTable::Bucket) % buckets];
    double chi_squared = 0;
    for (const unsigned here : load)
        chi_squared += (here - double{each}) * (here - double{each}) / each;
    // 255 degrees of freedom: mean 255, standard deviation 22.6. Fewer than by chance is no fault.
    CHECK(chi_squared < 255 + 6 * 22.6);
}

#ifdef __SIZEOF_INT128__
TEST_CASE("products are right in all 128 bits") {
    test::Random random{8};
    for (unsigned round = 0; round < 1000; ++round) {
        const uint64_t a = round == 0 ? ~uint64_t{0} : random.next();
        const uint64_t b = round < 2 ? ~uint64_t{0} : random.next();
        __extension__ using Number = unsigned __int128;
        const detail::Halves halves = detail::Halves::of_limbs(a, b);
        REQUIRE((Number{halves.high} << 64 | halves.low) == Number{a} * b);
    }
}
#endif

TEST_SUITE_END();

} // namespace multihome::hash_test
