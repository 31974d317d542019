// SPDX-License-Identifier: MIT
#include "shim/base/settings.hpp"

#include "shim/base/log.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <unistd.h>

namespace multihome::settings {

namespace {

// Most processes set nothing: the defaults are constant, and the memory for others is not touched.
constexpr Settings defaults;
alignas(Settings) constinit unsigned char memory_for_others[sizeof(Settings)] = {};
constinit const Settings* current = &defaults;
constinit char log_file[PATH_MAX] = {};

// The variables of which the environment may have a value.
enum Variable : uint8_t {
    variable_log_file,
    variable_log,
    variable_disable,
    variable_same_interface,
    variable_peers,
    variable_timeouts,
    variable_ports,
    variable_journal,
    variable_count
};
constexpr std::string_view names[variable_count] = {
    "MULTIHOME_LOG_FILE", "MULTIHOME_LOG",      "MULTIHOME_DISABLE", "MULTIHOME_SAME_INTERFACE",
    "MULTIHOME_PEERS",    "MULTIHOME_TIMEOUTS", "MULTIHOME_PORTS",   "JOURNAL_STREAM"};

// The values that the environment has; null where it has none, or an empty one.
using Values = std::array<const char*, variable_count>;

// Goes through the environment once, because most processes that load the library have nothing to set.
Values find_values() {
    Values values{};
    if (environ == nullptr)
        return values;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        // The first letter tells nearly all others apart.
        if (**entry != 'M' && **entry != 'J')
            continue;
        for (unsigned variable = 0; variable < variable_count; ++variable) {
            const std::string_view name = names[variable];
            // Of two entries the first counts, as for getenv().
            if (values[variable] == nullptr && std::strncmp(*entry, name.data(), name.size()) == 0 &&
                (*entry)[name.size()] == '=')
                values[variable] = *entry + name.size() + 1;
        }
    }
    for (const char*& value : values)
        if (value != nullptr && *value == '\0')
            value = nullptr;
    return values;
}

// What stands before and after the first `separator`; false where there is none, and all of it stands before
// it. (With substr() comes an exception.)
bool split(std::string_view text, char separator, std::string_view& before, std::string_view& after) {
    const size_t at = text.find(separator);
    before = text;
    after = {};
    if (at == std::string_view::npos)
        return false;
    before.remove_suffix(text.size() - at);
    after = text;
    after.remove_prefix(at + 1);
    return true;
}

std::string_view without_spaces(std::string_view text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ')
        text.remove_suffix(1);
    return text;
}

// A whole number without sign, and nothing behind it.
template <std::unsigned_integral Number>
bool parse_number(std::string_view text, uint64_t minimum, uint64_t maximum, Number& result) {
    text = without_spaces(text);
    uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stopped != end || number < minimum || number > maximum)
        return false;
    result = static_cast<Number>(number);
    return true;
}

// Reads one variable, if it is set, with one of the readers below. True where it has a good value.
template <typename Value>
bool read(const Values& values, Variable variable, bool (*parse)(std::string_view, Value&), Value& result,
          const char* expected) {
    const char* text = values[variable];
    if (text == nullptr)
        return false;
    if (parse(text, result))
        return true;
    log::write(LogLevel::error, FMT_COMPILE("{}={} is not {}; going on with the default"), names[variable],
               text, expected);
    return false;
}

// ASCII letters only: the program's locale is not ours to ask.
bool is_same_word(std::string_view text, std::string_view small_letters) {
    return std::equal(text.begin(), text.end(), small_letters.begin(), small_letters.end(),
                      [](char any, char small) {
                          return any == small || (small >= 'a' && small <= 'z' && any == small - 'a' + 'A');
                      });
}

} // namespace

bool parse_switch(std::string_view text, bool& result) {
    text = without_spaces(text);
    if (text != "0" && text != "1")
        return false;
    result = text == "1";
    return true;
}

bool parse_log_level(std::string_view text, LogLevel& result) {
    constexpr std::string_view levels[] = {"trace", "debug", "info", "warn", "error", "off"};
    text = without_spaces(text);
    const auto* level = std::find_if(std::begin(levels), std::end(levels),
                                     [&](std::string_view word) { return is_same_word(text, word); });
    if (level == std::end(levels))
        return false;
    result = static_cast<LogLevel>(level - levels);
    return true;
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
            std::string_view range;
            std::string_view highest;
            more = split(std::string_view{rest}, ',', range, rest);
            const bool has_two_ends = split(std::string_view{range}, '-', range, highest);
            size_t low = 0;
            if (!parse_number(range, 1, 65535, low))
                return false;
            size_t high = low;
            if (has_two_ends && !parse_number(highest, low, 65535, high))
                return false;
            if (store)
                for (size_t port = low; port <= high; ++port)
                    result[port] = true; // set() has an exception
        }
    }
    return true;
}

bool parse_timeouts(std::string_view text, Settings::Timeouts& result) {
    std::string_view first;
    std::string_view second;
    constexpr unsigned longest = Settings::maximum_timeout;
    Settings::Timeouts timeouts;
    if (!split(text, ',', first, second) || !parse_number(first, 1, longest, timeouts.question) ||
        !parse_number(second, 1, longest, timeouts.spoke_first))
        return false;
    result = timeouts;
    return true;
}

bool parse_journal_stream(std::string_view text, Settings::JournalStream& result) {
    std::string_view device;
    std::string_view inode;
    Settings::JournalStream stream;
    if (!split(text, ':', device, inode) || !parse_number(device, 0, UINT64_MAX, stream.device) ||
        !parse_number(inode, 1, UINT64_MAX, stream.inode))
        return false;
    result = stream;
    return true;
}

const Settings& get() {
    return *current;
}

void load() {
    const Values values = find_values();
    if (values == Values{})
        return;
    // All but the ports, which are zero as the memory is.
    std::memcpy(memory_for_others, &defaults, offsetof(Settings, ports));
    auto& others = *reinterpret_cast<Settings*>(memory_for_others);
    current = &others;
    // First those that say where a line about the others goes.
    if (const char* file = values[variable_log_file]; file != nullptr) {
        // Copied, because programs that set their title write over the environment.
        if (const size_t length = std::strlen(file); length < sizeof log_file) {
            std::memcpy(log_file, file, length + 1);
            others.log_file = log_file;
        } else {
            log::write(LogLevel::error,
                       FMT_COMPILE("MULTIHOME_LOG_FILE is longer than a file name can be; going on without"));
        }
    }
    // No line about a bad one: it is not ours.
    if (const char* journal = values[variable_journal]; journal != nullptr)
        parse_journal_stream(journal, others.journal);
    read(values, variable_log, parse_log_level, others.log_level,
         "one of off, error, warn, info, debug, trace");
    read(values, variable_disable, parse_switch, others.disabled, "0 or 1");
    read(values, variable_same_interface, parse_switch, others.same_interface, "0 or 1");
    read(values, variable_peers, parse_peers, others.peers, "a number from 64 to 8388608");
    read(values, variable_timeouts, parse_timeouts, others.timeouts,
         "two numbers of seconds from 1 to 3600 such as 30,120");
    if (read(values, variable_ports, parse_ports, others.ports,
             "a list of ports and ranges such as 53,5000-5100"))
        others.all_ports = false;
}

} // namespace multihome::settings
