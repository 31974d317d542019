// SPDX-License-Identifier: MIT
#include "shim/base/user_memory.hpp"

#include "pages.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace multihome::user_memory_test {

namespace {

using test::Pages;
using user_memory::can_read;
using user_memory::can_write;

constexpr int all = PROT_READ | PROT_WRITE;

} // namespace

TEST_SUITE_BEGIN("user_memory");

TEST_CASE("pages are as readable and writable as the kernel says") {
    REQUIRE(sysconf(_SC_PAGESIZE) == long{Pages::size});
    const Pages pages{all, PROT_READ, PROT_NONE};
    CHECK(can_read(pages.at(0), 1));
    CHECK(can_write(pages.at(0), 1));
    CHECK(can_read(pages.at(1), 1));
    CHECK_FALSE(can_write(pages.at(1), 1));
    CHECK_FALSE(can_read(pages.at(2), 1));
    CHECK_FALSE(can_write(pages.at(2), 1));
    // Asked twice: what was found bad is not remembered as good.
    CHECK_FALSE(can_write(pages.at(1), 1));
    CHECK_FALSE(can_read(pages.at(2), 1));
    // And again, now from memory.
    CHECK(can_read(pages.at(0), Pages::size));
    CHECK(can_write(pages.at(0), Pages::size));
}

TEST_CASE("no pointer near null or at the end of memory is good") {
    CHECK_FALSE(can_read(nullptr, 1));
    CHECK_FALSE(can_write(nullptr, 1));
    // NOLINTBEGIN(performance-no-int-to-ptr)
    for (const uintptr_t address :
         {uintptr_t{1}, uintptr_t{8}, uintptr_t{4095}, ~uintptr_t{0}, ~uintptr_t{7},
          static_cast<uintptr_t>(uint64_t{1} << 63), static_cast<uintptr_t>(uint64_t{1} << 48)}) {
        CAPTURE(address);
        CHECK_FALSE(can_read(reinterpret_cast<void*>(address), 16));
        CHECK_FALSE(can_write(reinterpret_cast<void*>(address), 16));
    }
    // NOLINTEND(performance-no-int-to-ptr)
}

TEST_CASE("a range is as good as its worst page") {
    const Pages pages{all, all, PROT_READ, all, PROT_NONE};
    SUBCASE("one byte into the next page") {
        CHECK(can_write(pages.at(0, 1), Pages::size));
        CHECK(can_write(pages.at(0, Pages::size - 1), 2));
        CHECK_FALSE(can_write(pages.at(1, Pages::size - 1), 2));
        CHECK(can_read(pages.at(1, Pages::size - 1), 2));
        CHECK_FALSE(can_read(pages.at(3, Pages::size - 1), 2));
    }
    SUBCASE("up to the last byte of the page before") {
        CHECK(can_write(pages.at(1, Pages::size - 16), 16));
        CHECK(can_read(pages.at(3, Pages::size - 16), 16));
    }
    SUBCASE("many pages") {
        CHECK(can_read(pages.at(0), 4 * Pages::size));
        CHECK_FALSE(can_read(pages.at(0), 4 * Pages::size + 1));
        CHECK(can_write(pages.at(0), 2 * Pages::size));
        CHECK_FALSE(can_write(pages.at(0), 2 * Pages::size + 1));
    }
    SUBCASE("a page in the middle") {
        CHECK_FALSE(can_write(pages.at(1), 3 * Pages::size));
        // The good pages around it are remembered by now; it must not pass for one of them.
        CHECK_FALSE(can_write(pages.at(1), 3 * Pages::size));
        CHECK_FALSE(can_write(pages.at(2), 1));
    }
}

TEST_CASE("a range that wraps around the end of memory is refused") {
    const Pages pages{all};
    CHECK_FALSE(can_read(pages.at(0), ~size_t{0} - 8));
    CHECK_FALSE(can_write(pages.at(0), ~size_t{0} - 8));
}

TEST_CASE("what is readable is not thereby writable, and the reverse is") {
    const Pages pages{PROT_READ, all};
    CHECK(can_read(pages.at(0), 1));
    CHECK_FALSE(can_write(pages.at(0), 1));
    CHECK(can_write(pages.at(1), 1));
    CHECK(can_read(pages.at(1), 1));
}

TEST_CASE("looking changes neither the memory nor errno") {
    const Pages pages{all, PROT_NONE};
    for (size_t offset = 0; offset < Pages::size; ++offset)
        *pages.at(0, offset) = static_cast<char>(offset * 7);
    errno = 4711;
    CHECK(can_read(pages.at(0), Pages::size));
    CHECK(can_write(pages.at(0), Pages::size));
    CHECK_FALSE(can_read(pages.at(1), 1));
    CHECK_FALSE(can_write(pages.at(1), 1));
    CHECK(errno == 4711);
    bool same = true;
    for (size_t offset = 0; offset < Pages::size; ++offset)
        same = same && *pages.at(0, offset) == static_cast<char>(offset * 7);
    CHECK(same);
}

TEST_CASE("a program's stack, its data and its text") {
    char on_stack[64] = {};
    CHECK(can_read(on_stack, sizeof on_stack));
    CHECK(can_write(on_stack, sizeof on_stack));
    static char data[64];
    CHECK(can_write(data, sizeof data));
    CHECK(can_read("text", 5));
    CHECK_FALSE(can_write(const_cast<char*>("text"), 5));
}

TEST_CASE("a loop over many pointers finds out the same") {
    const Pages pages{all, PROT_NONE};
    user_memory::ReadablePage page;
    CHECK_FALSE(page.has(nullptr, 1));
    CHECK_FALSE(page.can_read(nullptr, 1));
    for (int round = 0; round < 2; ++round) {
        CHECK(page.can_read(pages.at(0), 16));
        CHECK(page.has(pages.at(0, 100), 16));
        CHECK(page.has(pages.at(0, Pages::size - 16), 16));
        CHECK_FALSE(page.has(pages.at(0, Pages::size - 8), 16));
        CHECK_FALSE(page.has(pages.at(1), 16));
        CHECK_FALSE(page.has(nullptr, 16));
        CHECK_FALSE(page.can_read(pages.at(0, Pages::size - 8), 16));
        CHECK_FALSE(page.can_read(pages.at(1), 16));
        CHECK_FALSE(page.can_read(nullptr, 16));
    }
}

TEST_CASE("a pointer that a thread passes again is known") {
    const Pages pages{all, PROT_READ, PROT_NONE};
    user_memory::LastPointer last;
    CHECK_FALSE(last.is_known_readable(nullptr, 1));
    CHECK_FALSE(last.is_known_readable(pages.at(1), 16)); // it was not asked for yet
    CHECK(user_memory::can_read(pages.at(1), 16));
    for (int round = 0; round < 2; ++round) {
        CHECK(last.is_known_readable(pages.at(1), 16));
        CHECK_FALSE(last.is_known_writable(pages.at(1, 8), 16));
        CHECK_FALSE(last.is_known_readable(pages.at(2), 16));
        CHECK_FALSE(last.is_known_readable(nullptr, 16));
    }
}

TEST_SUITE_END();

} // namespace multihome::user_memory_test
