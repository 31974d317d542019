// SPDX-License-Identifier: MIT
#include "shim/peers/local_addresses.hpp"

#include "table_memory.hpp"

#include <array>
#include <atomic>
#include <doctest/doctest.h>
#include <set>
#include <thread>
#include <vector>

namespace multihome {

namespace {

Local numbered(uint32_t number, uint32_t interface_index = 0) {
    return {Address::from_ipv4({htonl(0x0a000000 + number)}), interface_index};
}

} // namespace

TEST_SUITE_BEGIN("local_addresses");

TEST_CASE("an address keeps its number, and a number its address") {
    const test::SharedMemory<LocalAddresses> locals;
    std::set<LocalIndex> numbers;
    for (uint32_t address = 1; address <= 100; ++address) {
        const LocalIndex index = locals->intern(numbered(address));
        CHECK(index >= LocalAddresses::first);
        CHECK(index < LocalAddresses::end);
        CHECK(numbers.insert(index).second);
        CHECK(locals->at(index) == numbered(address));
    }
    for (uint32_t address = 1; address <= 100; ++address)
        CHECK(numbers.count(locals->intern(numbered(address))) == 1);
    CHECK(numbers.size() == 100);
}

TEST_CASE("the same address on another interface is another one") {
    const test::SharedMemory<LocalAddresses> locals;
    const LocalIndex any = locals->intern(numbered(1));
    const LocalIndex second = locals->intern(numbered(1, 2));
    const LocalIndex third = locals->intern(numbered(1, 3));
    CHECK(any != second);
    CHECK(second != third);
    CHECK(any != third);
    CHECK(locals->at(third) == numbered(1, 3));
}

TEST_CASE("numbers that are no address's give the empty one") {
    const test::SharedMemory<LocalAddresses> locals;
    CHECK_FALSE(static_cast<bool>(locals->at(local_by_route)));
    CHECK_FALSE(static_cast<bool>(locals->at(local_asked_first)));
    CHECK_FALSE(static_cast<bool>(locals->at(LocalAddresses::first)));
    CHECK_FALSE(static_cast<bool>(locals->at(0xffff)));
}

TEST_CASE("a full list gives no more numbers and keeps those that it has given") {
    const test::SharedMemory<LocalAddresses> locals;
    std::vector<LocalIndex> given;
    for (uint32_t address = 0; address < LocalAddresses::capacity; ++address)
        given.push_back(locals->intern(numbered(address)));
    CHECK(std::set<LocalIndex>(given.begin(), given.end()).size() == LocalAddresses::capacity);
    CHECK(locals->intern(numbered(LocalAddresses::capacity)) == local_by_route);
    for (uint32_t address = 0; address < LocalAddresses::capacity; ++address) {
        REQUIRE(locals->intern(numbered(address)) == given[address]);
        REQUIRE(locals->at(given[address]) == numbered(address));
    }
}

TEST_CASE("threads that intern the same addresses read back what they asked for") {
    const test::SharedMemory<LocalAddresses> locals;
    std::array<std::atomic<unsigned>, 4> wrong{};
    std::vector<std::thread> threads;
    threads.reserve(wrong.size());
    for (std::atomic<unsigned>& mine : wrong)
        threads.emplace_back([&locals, &mine] {
            for (uint32_t round = 0; round < 20; ++round)
                for (uint32_t address = 0; address < 60; ++address) {
                    const LocalIndex index = locals->intern(numbered(address));
                    if (locals->at(index) != numbered(address))
                        mine.fetch_add(1);
                }
        });
    for (std::thread& thread : threads)
        thread.join();
    for (const std::atomic<unsigned>& mine : wrong)
        CHECK(mine.load() == 0);
}

TEST_SUITE_END();

} // namespace multihome
