// SPDX-License-Identifier: MIT
#include "shim/base/settings.hpp"

#include "shim/base/log.hpp"

#include <atomic>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace multihome::settings {

namespace {

constinit Settings current;
constinit char log_file[PATH_MAX] = {};
constinit std::atomic<bool> loaded{false};

// A whole number without sign or space, and nothing behind it.
bool parse_number(std::string_view text, size_t minimum, size_t maximum, size_t& result) {
    size_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stopped != end || number < minimum || number > maximum)
        return false;
    result = number;
    return true;
}

// Reads one variable, if it is set, with one of the readers below.
template <typename Value>
void read(const char* name, bool (*parse)(std::string_view, Value&), Value& value, const char* expected,
          bool* was_set = nullptr) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0')
        return;
    if (parse(text, value)) {
        if (was_set != nullptr)
            *was_set = true;
        return;
    }
    log::write(LogLevel::error, "{}={} is not {}; going on with the default", name, text, expected);
}

} // namespace

bool parse_switch(std::string_view text, bool& result) {
    if (text != "0" && text != "1")
        return false;
    result = text == "1";
    return true;
}

bool parse_log_level(std::string_view text, LogLevel& result) {
    constexpr std::string_view names[] = {"trace", "debug", "info", "warn", "error", "off"};
    uint8_t level = 0;
    for (const std::string_view name : names) {
        if (text == name) {
            result = static_cast<LogLevel>(level);
            return true;
        }
        ++level;
    }
    return false;
}

bool parse_peers(std::string_view text, size_t& result) {
    return parse_number(text, Settings::minimum_peers, Settings::maximum_peers, result);
}

bool parse_ports(std::string_view text, std::bitset<65536>& result) {
    // Twice, so that a list that turns out to be bad leaves `result` untouched without a second bitset on the
    // stack.
    for (const bool store : {false, true}) {
        std::string_view rest = text;
        for (bool more = true; more;) {
            const size_t comma = rest.find(',');
            more = comma != std::string_view::npos;
            const std::string_view range = rest.substr(0, comma);
            rest = more ? rest.substr(comma + 1) : std::string_view{};
            const size_t dash = range.find('-');
            size_t low = 0;
            size_t high = 0;
            if (!parse_number(range.substr(0, dash), 1, 65535, low))
                return false;
            high = low;
            if (dash != std::string_view::npos && !parse_number(range.substr(dash + 1), low, 65535, high))
                return false;
            if (store)
                for (size_t port = low; port <= high; ++port)
                    result.set(port);
        }
    }
    return true;
}

const Settings& get() {
    return current;
}

void load() {
    // Relaxed: the loader runs this before there are threads. A second call only has to see that there was a
    // first.
    if (loaded.exchange(true, std::memory_order_relaxed))
        return;
    if (const char* file = std::getenv("MULTIHOME_LOG_FILE"); file != nullptr && *file != '\0') {
        // Copied, because programs that set their title write over the environment.
        if (const size_t length = std::strlen(file); length < sizeof log_file) {
            std::memcpy(log_file, file, length + 1);
            current.log_file = log_file;
        } else {
            log::write(LogLevel::error,
                       "MULTIHOME_LOG_FILE is longer than a file name can be; going on without");
        }
    }
    read("MULTIHOME_LOG", parse_log_level, current.log_level, "one of off, error, warn, info, debug, trace");
    read("MULTIHOME_DISABLE", parse_switch, current.disabled, "0 or 1");
    read("MULTIHOME_SAME_INTERFACE", parse_switch, current.same_interface, "0 or 1");
    read("MULTIHOME_PEERS", parse_peers, current.peers, "a number from 64 to 8388608");
    bool ports_set = false;
    read("MULTIHOME_PORTS", parse_ports, current.ports, "a list of ports and ranges such as 53,5000-5100",
         &ports_set);
    current.all_ports = !ports_set;
}

} // namespace multihome::settings
