// SPDX-License-Identifier: MIT
#include "shim/packets/route_memory.hpp"

#include "shim/base/libc.hpp"

#include <array>
#include <atomic>
#include <ctime>

namespace multihome {

namespace {

// Each word is the whole truth: 32 bits of a hash, and what is known. Relaxed throughout.
constexpr unsigned place_bits = 8;
constinit std::array<std::atomic<uint64_t>, 1U << place_bits> memory{};
// Relaxed: a thread that reads it too early makes a connect() that has to be undone, and no more.
constinit std::atomic<bool> another_ever_chosen{false};
constexpr uint64_t fingerprint_mask = ~uint64_t{0} << 32;
constexpr uint64_t another_chosen = 0xffffffff;
constexpr uint64_t local_chosen = 0xfffffffe; // else a time

// How often the kernel has chosen what was remembered of the same peer, before the first time that it has
// not. Relaxed, as the next one: each thread that reads them too early makes one more system call, or one
// less.
constinit std::atomic<unsigned> confirmed{0};
constinit std::atomic<bool> goes_by_more{false};
constexpr unsigned enough = 16;

uint64_t hash_of(const Local& local, uint64_t first, uint64_t second, uint64_t third = 0) {
    uint64_t hash = 0;
    for (const uint64_t word : {local.address.first, local.address.second, first, second, third}) {
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    return hash;
}

// Never 0, and neither of the two.
uint64_t this_second() {
    const timespec now = libc::read_clock(CLOCK_MONOTONIC_COARSE);
    return (static_cast<uint64_t>(now.tv_sec) & 0x7fffffff) + 1;
}

std::atomic<uint64_t>& place_of(uint64_t hash) {
    return memory[hash & ((1U << place_bits) - 1)];
}

bool says(uint64_t hash, uint64_t what) {
    return place_of(hash).load(std::memory_order_relaxed) == ((hash & fingerprint_mask) | what);
}

void store(uint64_t hash, uint64_t what) {
    place_of(hash).store((hash & fingerprint_mask) | what, std::memory_order_relaxed);
}

// True once in eight times, irregularly: where clients take turns, each of them is met. (The multiples of the
// golden ratio spread evenly, and so do those of every second, or every third, of them.)
bool is_one_in_eight() {
    constinit static std::atomic<uint32_t> asked{0};
    return asked.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b9U >> 29 == 0;
}

} // namespace

RouteMemory::RouteMemory(const Local& local, const Peer& peer, in_port_t port) {
    const bool ipv4 = peer.address.is_ipv4();
    peer_hash_ = hash_of(local, peer.address.first, peer.address.second, port);
    // The first 24 bits of an IPv4 address, 64 of an IPv6 one.
    const uint64_t network = ipv4 ? ntohl(peer.address.ipv4().s_addr) >> 8 : peer.address.first;
    network_hash_ = hash_of(local, network, ipv4 ? 1 : 2);
    others_hash_ = hash_of(local, 0, 3);
}

bool RouteMemory::is_local_chosen() const {
    if (goes_by_more.load(std::memory_order_relaxed) || confirmed.load(std::memory_order_relaxed) < enough)
        return false;
    return says(peer_hash_, this_second()) && !is_one_in_eight();
}

bool RouteMemory::is_another_chosen() const {
    if (says(network_hash_, another_chosen))
        return true;
    if (says(network_hash_, local_chosen) || !says(others_hash_, another_chosen))
        return false;
    // Most networks are behind the default route. One in eight is looked at all the same, so that those
    // that are not become known.
    return !is_one_in_eight();
}

bool RouteMemory::is_another_ever_chosen() {
    return another_ever_chosen.load(std::memory_order_relaxed);
}

void RouteMemory::note_local() const {
    if (const uint64_t now = this_second(); !says(peer_hash_, now))
        store(peer_hash_, now);
    else if (confirmed.load(std::memory_order_relaxed) < enough)
        confirmed.fetch_add(1, std::memory_order_relaxed);
    if (says(network_hash_, local_chosen))
        return;
    store(network_hash_, local_chosen);
    store(others_hash_, local_chosen);
}

void RouteMemory::note_another() const {
    if (says(peer_hash_, this_second()))
        goes_by_more.store(true, std::memory_order_relaxed);
    store(network_hash_, another_chosen);
    store(others_hash_, another_chosen);
    another_ever_chosen.store(true, std::memory_order_relaxed);
}

} // namespace multihome
