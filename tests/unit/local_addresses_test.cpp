// SPDX-License-Identifier: MIT
#include "shim/peers/local_addresses.hpp"

#include "part_of.hpp"
#include "shared_memory.hpp"
#include "table_memory.hpp"

#include <array>
#include <atomic>
#include <doctest/doctest.h>
#include <set>
#include <thread>
#include <vector>

namespace multihome::local_addresses_test {

namespace {

using test::local_address;
using Memory = test::SharedMemory<LocalAddresses>;

// More addresses than there are numbers.
void flood(LocalAddresses& locals, uint32_t first = 1'000'000, uint32_t count = 100'000) {
    for (uint32_t number = first; number < first + count; ++number)
        locals.index_of(local_address(number));
}

} // namespace

TEST_SUITE_BEGIN("local_addresses");

TEST_CASE("an address keeps its number, and a number its address") {
    const Memory locals;
    std::set<LocalIndex> numbers;
    for (uint32_t address = 1; address <= 500; ++address) {
        const LocalIndex index = locals->index_of(local_address(address)).index;
        REQUIRE(index >= LocalAddresses::first);
        REQUIRE(index < LocalAddresses::count);
        CHECK(numbers.insert(index).second);
        CHECK(locals->at(index) == local_address(address));
        CHECK(locals->is_at(index, local_address(address)));
        CHECK_FALSE(locals->is_at(index, local_address(address + 1)));
        CHECK(locals->is_first_generation(index));
    }
    for (uint32_t address = 1; address <= 500; ++address)
        CHECK(numbers.count(locals->index_of(local_address(address)).index) == 1);
    CHECK(numbers.size() == 500);
}

TEST_CASE("the same address on another interface is another one") {
    const Memory locals;
    const LocalIndex any = locals->index_of(local_address(1)).index;
    const LocalIndex second = locals->index_of(local_address(1, 2)).index;
    const LocalIndex third = locals->index_of(local_address(1, 3)).index;
    CHECK(any != second);
    CHECK(second != third);
    CHECK(any != third);
    CHECK(locals->at(third) == local_address(1, 3));
    CHECK_FALSE(locals->is_at(third, local_address(1, 2)));
    CHECK_FALSE(locals->is_at(third, local_address(1)));
}

TEST_CASE("an IPv6 address is told from those that differ in either half") {
    const Memory locals;
    const Local address{{0x20, 1}, 0};
    const LocalIndex index = locals->index_of(address).index;
    CHECK(locals->at(index) == address);
    CHECK_FALSE(locals->is_at(index, {{0x21, 1}, 0}));
    CHECK_FALSE(locals->is_at(index, {{0x20, 2}, 0}));
    CHECK(locals->index_of({{0x21, 1}, 0}).index != index);
    CHECK(locals->index_of({{0x20, 2}, 0}).index != index);
}

TEST_CASE("numbers that are no address's give the empty one") {
    const Memory locals;
    locals->index_of(local_address(1));
    unsigned named = 0;
    for (unsigned index = 0; index < LocalAddresses::count; ++index)
        if (locals->at(static_cast<LocalIndex>(index)))
            ++named;
    CHECK(named == 1);
    CHECK_FALSE(static_cast<bool>(locals->at(local_by_route)));
    CHECK(LocalAddresses::is_void(locals->salt(local_by_route)));
}

TEST_CASE("an address that takes another's number has another salt") {
    const Memory locals;
    const LocalIndex index = locals->index_of(local_address(1)).index;
    const uint64_t before = locals->salt(index);
    CHECK_FALSE(LocalAddresses::is_void(before));
    flood(*locals);
    CHECK(locals->at(index) != local_address(1));
    CHECK(locals->at(index));
    CHECK(locals->salt(index) != before);
    CHECK_FALSE(LocalAddresses::is_void(locals->salt(index)));
    CHECK_FALSE(locals->is_first_generation(index));
    // Only in bits of the fingerprint.
    CHECK(((locals->salt(index) ^ before) & Conversation::mask) == 0);
    // The old one gets a number again, and is found there.
    CHECK(locals->at(locals->index_of(local_address(1)).index) == local_address(1));
}

TEST_CASE("no salt comes again within thousands of generations of a number") {
    constexpr unsigned wanted = test::part_of(3000, 300);
    const Memory locals;
    std::set<uint64_t> salts;
    std::array<unsigned, 256> numbered{};
    const LocalIndex index = locals->index_of(local_address(1)).index;
    uint64_t last = 0;
    unsigned generations = 0;
    for (uint32_t number = 1000; number < 4'000'000 && generations < wanted; ++number) {
        locals->index_of(local_address(number));
        const uint64_t salt = locals->salt(index);
        if (salt != last) {
            REQUIRE(salts.insert(salt).second);
            last = salt;
            CHECK(numbered[LocalAddresses::generation_of(salt)]++ == generations / 256);
            ++generations;
        }
    }
    CHECK(generations > wanted / 3);
}

TEST_CASE("a flood of addresses does not push out those at which many conversations have begun") {
    const Memory locals;
    std::vector<LocalIndex> given;
    for (uint32_t address = 0; address < 10; ++address) {
        given.push_back(locals->index_of(local_address(address)).index);
        for (unsigned conversation = 0; conversation < 5; ++conversation)
            locals->use(given.back());
    }
    // Each of which one peer has asked, as 127/8 and AnyIP prefixes allow.
    for (uint32_t number = 1'000'000; number < 1'100'000; ++number)
        if (const LocalIndex index = locals->index_of(local_address(number)).index; index != local_by_route)
            locals->use(index);
    for (uint32_t address = 0; address < 10; ++address) {
        CAPTURE(address);
        CHECK(locals->is_first_generation(given[address]));
        CHECK(locals->at(given[address]) == local_address(address));
        CHECK(locals->index_of(local_address(address)).index == given[address]);
    }
}

TEST_CASE("a flood of addresses leaves those alone that were given out just now") {
    const Memory locals;
    // A run of requests at new addresses, some of which begin a conversation, is answered afterwards.
    constexpr unsigned run = 96;
    for (uint32_t number = 0; number < 50'000; number += run) {
        std::vector<LocalIndex> given;
        for (uint32_t request = 0; request < run; ++request) {
            given.push_back(locals->index_of(local_address(7 * (number + request))).index);
            if (request % 3 != 0)
                locals->use(given.back());
        }
        for (uint32_t request = 0; request < run; ++request)
            REQUIRE(locals->at(given[request]) == local_address(7 * (number + request)));
    }
}

TEST_CASE("who asks at all of 127/8 pushes out no other address") {
    const Memory locals;
    const LocalIndex given = locals->index_of(local_address(1)).index;
    for (uint32_t number = 0; number < 100'000; ++number) {
        const Local loopback{Address::from_ipv4({htonl(0x7f000000 + number)}), 0};
        const LocalIndex index = locals->index_of(loopback).index;
        REQUIRE(locals->at(index) == loopback);
        locals->use(index);
    }
    CHECK(locals->at(given) == local_address(1));
    CHECK(locals->is_first_generation(given));
}

TEST_CASE("one answer keeps an address, however many others are asked and not answered") {
    const Memory locals;
    const LocalIndex given = locals->index_of(local_address(1)).index;
    locals->use(given);
    flood(*locals);
    CHECK(locals->at(given) == local_address(1));
}

TEST_CASE("one answer keeps a loopback address, however many others are asked and not answered") {
    const Memory locals;
    const Local resolver{Address::from_ipv4({htonl(0x7f000035)}), 0};
    const LocalIndex given = locals->index_of(resolver).index;
    locals->use(given);
    for (uint32_t number = 0x100; number < 100'000; ++number)
        locals->index_of({Address::from_ipv4({htonl(0x7f000000 + number)}), 0});
    CHECK(locals->at(given) == resolver);
}

TEST_CASE("hundreds of addresses have a number each, also where both halves are alike") {
    const Memory locals;
    std::array<Local, 500> all;
    for (uint32_t number = 0; number < all.size(); ++number) {
        // 2001:db8:0:N::N, as where the last part says which VLAN it is.
        in6_addr address{};
        address.s6_addr[0] = 0x20;
        address.s6_addr[1] = 0x01;
        address.s6_addr[2] = 0x0d;
        address.s6_addr[3] = 0xb8;
        address.s6_addr[6] = address.s6_addr[14] = static_cast<uint8_t>(number >> 8);
        address.s6_addr[7] = address.s6_addr[15] = static_cast<uint8_t>(number);
        all[number] = {Address::from_ipv6(address), 0};
        locals->index_of(all[number]);
    }
    for (const Local& local : all) {
        const LocalIndex index = locals->index_of(local).index;
        CHECK(locals->at(index) == local);
        CHECK(locals->is_first_generation(index));
    }
}

TEST_CASE("another secret puts the addresses elsewhere") {
    const Memory first;
    const Memory second;
    second->set_secret({0x0123456789abcdef, 0xfedcba9876543210});
    unsigned same = 0;
    for (uint32_t number = 0; number < 100; ++number)
        same += first->index_of(local_address(number)).index == second->index_of(local_address(number)).index
                    ? 1
                    : 0;
    CHECK(same < 10);
}

TEST_CASE("where all numbers are in use by many, they have to be used again to stay") {
    const Memory locals;
    // Fill all of them, and use them all.
    for (uint32_t number = 0; number < 20'000; ++number)
        locals->index_of(local_address(number));
    for (unsigned index = LocalAddresses::first; index < LocalAddresses::count; ++index)
        for (unsigned conversation = 0; conversation < 5; ++conversation)
            locals->use(static_cast<LocalIndex>(index));
    const Local late = local_address(5'000'000);
    const LocalIndex given = locals->index_of(late).index;
    REQUIRE(given != local_by_route);
    CHECK(locals->at(given) == late);
    // Nobody is locked out for ever.
    for (uint32_t number = 6'000'000; number < 6'000'100; ++number) {
        const LocalIndex index = locals->index_of(local_address(number)).index;
        REQUIRE(locals->at(index) == local_address(number));
        for (unsigned conversation = 0; conversation < 5; ++conversation)
            locals->use(index);
    }
}

TEST_CASE("threads that intern the same addresses read back what they asked for, or know that they do not") {
    const Memory locals;
    std::array<std::atomic<unsigned>, 4> wrong{};
    std::vector<std::thread> threads;
    threads.reserve(wrong.size());
    for (std::atomic<unsigned>& mine : wrong)
        threads.emplace_back([&locals, &mine] {
            for (uint32_t round = 0; round < 5; ++round)
                // More than there is room for, so that numbers are taken back all the time.
                for (uint32_t address = 0; address < 4000; ++address) {
                    const LocalIndex index = locals->index_of(local_address(address, address)).index;
                    const Local found = locals->at(index);
                    // Empty, or another thread's that has taken the number since: but never half of two.
                    if (found && (found.address.first != 0 ||
                                  local_address(found.interface_index).address != found.address))
                        mine.fetch_add(1);
                }
        });
    for (std::thread& thread : threads)
        thread.join();
    for (const std::atomic<unsigned>& mine : wrong)
        CHECK(mine.load() == 0);
}

TEST_SUITE_END();

} // namespace multihome::local_addresses_test
