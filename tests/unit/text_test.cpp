// SPDX-License-Identifier: MIT
#include "shim/base/text.hpp"

#include <array>
#include <climits>
#include <cstdint>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <string>

namespace multihome::text_test {

namespace {

template <typename... Arguments>
std::string put_together(TextPattern<Arguments...> pattern, const Arguments&... arguments) {
    char room[40];
    TextBuffer buffer{room};
    append_pattern(buffer, pattern.text(),
                   std::array<TextArgument, sizeof...(Arguments)>{TextArgument{arguments}...});
    return std::string{buffer.text()};
}

} // namespace

TEST_SUITE_BEGIN("text");

TEST_CASE("arguments take the places in a pattern") {
    CHECK(put_together("nothing") == "nothing");
    CHECK(put_together("{}", "text") == "text");
    CHECK(put_together("socket {}: {} port {}!", 3, "IPv4", in_port_t{65535}) ==
          "socket 3: IPv4 port 65535!");
    CHECK(put_together("{}{}", std::string_view{}, -1) == "-1");
    // A text with the look of a place is no place.
    CHECK(put_together("{}={}", "{}", 1) == "{}=1");
}

TEST_CASE("numbers of each kind") {
    CHECK(put_together("{}", 0) == "0");
    CHECK(put_together("{}", INT64_MIN) == "-9223372036854775808");
    CHECK(put_together("{}", UINT64_MAX) == "18446744073709551615");
    CHECK(put_together("{}", INT_MIN) == "-2147483648");
    CHECK(put_together("{}", UINT_MAX) == "4294967295");
    CHECK(put_together("{}", size_t{4096}) == "4096");
}

TEST_CASE("zeros in front") {
    char room[16];
    TextBuffer buffer{room};
    buffer.append_number(7, 2);
    buffer.append_number(2026, 4);
    buffer.append_number(0, 3);
    buffer.append_number(12345, 2);
    CHECK(buffer.text() == "07202600012345");
}

TEST_CASE("what does not fit is cut") {
    char room[8];
    TextBuffer buffer{room};
    buffer.append("1234567");
    buffer.append_number(891);
    buffer.append("more");
    CHECK(buffer.text() == "12345678");
}

TEST_SUITE_END();

} // namespace multihome::text_test
