// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/request.hpp"

#include <fmt/core.h>

#include <charconv>

#include "tools/output.hpp"

namespace multihome::tools::engine {

std::bitset<65536> parse_ports(const std::string& list) {
    std::bitset<65536> ports;
    const char* at = list.data();
    const char* const end = at + list.size();
    const auto number = [&]() {
        std::uint32_t value = 0;
        const auto [next, error] = std::from_chars(at, end, value);
        if (error != std::errc{} || value < 1 || value > 65535)
            throw Impossible(
                fmt::format("--ports: '{}' is no list of ports from 1 to 65535, as in 53,5000-5100", list));
        at = next;
        return value;
    };
    for (;;) {
        const std::uint32_t first = number();
        std::uint32_t last = first;
        if (at != end && *at == '-') {
            ++at;
            last = number();
        }
        if (last < first)
            throw Impossible(fmt::format("--ports: a range in '{}' begins after its end", list));
        for (std::uint32_t port = first; port <= last; ++port)
            ports.set(port);
        if (at == end)
            return ports;
        if (*at++ != ',')
            throw Impossible(fmt::format("--ports: '{}' is no list of ports, as in 53,5000-5100", list));
    }
}

void parse_timeouts(const std::string& text, Request& request) {
    const auto read = [](const char*& at, const char* end, std::uint32_t& value) {
        const auto [next, error] = std::from_chars(at, end, value);
        at = next;
        return error == std::errc{} && value >= 1 && value <= 86400;
    };
    const char* at = text.data();
    const char* const end = at + text.size();
    if (!read(at, end, request.question_seconds) || at == end || *at++ != ',' ||
        !read(at, end, request.spoke_first_seconds) || at != end)
        throw Impossible(fmt::format(
            "--timeouts: '{}' is not two numbers of seconds from 1 to 86400, as in 30,120", text));
}

} // namespace multihome::tools::engine
