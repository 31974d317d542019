// SPDX-License-Identifier: MIT
#include "shim/base/settings.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <concepts>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sys/syscall.h>

namespace multihome::settings {

namespace {

// Among the initialized data, which each process writes to at its start. Untouched memory costs nothing.
constinit Settings current;
constinit std::bitset<65536> ports;
constinit char log_file[PATH_MAX];

// Returns the value of a variable; null where it is not set, or empty. Null as well where the program gains
// privileges (AT_SECURE), which /etc/ld.so.preload reaches too: who starts it may not choose the file it
// writes to.
const char* value_of(const char* name) {
    const char* value = secure_getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

// Writes the working directory, with a slash behind it. Returns its length; 0 where it has no name.
size_t write_working_directory(char (&text)[PATH_MAX]) {
    const long size = libc::raw_syscall(SYS_getcwd, text, sizeof text); // with the zero at the end
    // One that cannot be reached from the root has a name that begins with a word in brackets.
    if (size <= 0 || *text != '/')
        return 0;
    text[size - 1] = '/';
    return static_cast<size_t>(size);
}

std::string_view without_spaces(std::string_view text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ')
        text.remove_suffix(1);
    return text;
}

// Takes a character from the start of a text. False where another one is there.
bool take(std::string_view& text, char wanted) {
    if (!text.starts_with(wanted))
        return false;
    text.remove_prefix(1);
    return true;
}

// Takes a whole number without sign from the start of a text, with the spaces around it.
template <std::unsigned_integral Number>
bool take_number(std::string_view& text, uint64_t minimum, uint64_t maximum, Number& result) {
    text = without_spaces(text);
    uint64_t number = 0;
    const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number < minimum || number > maximum)
        return false;
    text.remove_prefix(static_cast<size_t>(behind - text.data()));
    text = without_spaces(text);
    result = static_cast<Number>(number);
    return true;
}

// Reads two such numbers, from 1 on. Leaves the results untouched where one of them is bad.
template <std::unsigned_integral Number>
bool parse_two_numbers(std::string_view text, char separator, uint64_t maximum, Number& first,
                       Number& second) {
    Number one = 0;
    Number other = 0;
    if (!take_number(text, 1, maximum, one) || !take(text, separator) ||
        !take_number(text, 1, maximum, other) || !text.empty())
        return false;
    first = one;
    second = other;
    return true;
}

// Completes the name, because servers change their working directory, and the file is opened for each line.
// Copies it, because some programs write over the environment to set their title.
void set_log_file(const char* file) {
    const size_t directory = *file != '/' ? write_working_directory(log_file) : 0;
    const size_t length = std::strlen(file);
    if (*file != '/' && directory == 0) {
        // As it stands, it would be another file after each chdir().
        log::write(LogLevel::error,
                   FMT_COMPILE("MULTIHOME_LOG_FILE={} is relative, and the working directory has no name; "
                               "going on without"),
                   file);
    } else if (length >= sizeof log_file - directory) {
        log::write(LogLevel::error,
                   FMT_COMPILE("MULTIHOME_LOG_FILE is longer than a file name can be; going on without"));
    } else {
        std::memcpy(log_file + directory, file, length + 1);
        current.log_file = log_file;
    }
}

// Reads one variable, if it is set, with one of the readers below. True where its value is good. Otherwise a
// line says what was `expected`; none does where that is null.
template <typename Value>
bool read(const char* name, bool (*parse)(std::string_view, Value&), Value& result, const char* expected) {
    const char* text = value_of(name);
    if (text == nullptr)
        return false;
    if (parse(text, result))
        return true;
    if (expected != nullptr)
        log::write(LogLevel::error, FMT_COMPILE("{}={} is not {}; going on with the default"), name, text,
                   expected);
    return false;
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
    // The program's locale is not ours to ask. A capital and its small letter differ in the bit of a space.
    const auto is_same = [](char any, char small) { return (any | ' ') == small; };
    text = without_spaces(text);
    for (size_t level = 0; level < std::size(levels); ++level)
        if (std::ranges::equal(text, levels[level], is_same)) {
            result = static_cast<LogLevel>(level);
            return true;
        }
    return false;
}

bool parse_peers(std::string_view text, size_t& result) {
    size_t peers = 0;
    if (!take_number(text, Settings::minimum_peers, Settings::maximum_peers, peers) || !text.empty())
        return false;
    result = peers;
    return true;
}

bool parse_ports(std::string_view text, std::bitset<65536>& result) {
    do {
        size_t low = 0;
        if (!take_number(text, 1, 65535, low))
            return false;
        size_t high = low;
        if (take(text, '-') && !take_number(text, low, 65535, high))
            return false;
        for (size_t port = low; port <= high; ++port)
            result[port] = true; // set() may throw
    } while (take(text, ','));
    return text.empty();
}

bool parse_timeouts(std::string_view text, Settings::Timeouts& result) {
    return parse_two_numbers(text, ',', Settings::maximum_timeout, result.question, result.spoke_first);
}

bool parse_journal_stream(std::string_view text, Settings::JournalStream& result) {
    return parse_two_numbers(text, ':', UINT64_MAX, result.device, result.inode);
}

const Settings& get() {
    return current;
}

void load() {
    // First those that say which lines about the others are wanted, and where they go.
    read("MULTIHOME_LOG", parse_log_level, current.log_level, nullptr);
    if (const char* file = value_of("MULTIHOME_LOG_FILE"); file != nullptr)
        set_log_file(file);
    read("JOURNAL_STREAM", parse_journal_stream, current.journal, nullptr); // the variable is not ours
    read("MULTIHOME_LOG", parse_log_level, current.log_level, "one of off, error, warn, info, debug, trace");
    read("MULTIHOME_DISABLE", parse_switch, current.disabled, "0 or 1");
    read("MULTIHOME_SAME_INTERFACE", parse_switch, current.same_interface, "0 or 1");
    read("MULTIHOME_PEERS", parse_peers, current.peers, "a number from 64 to 8388608");
    read("MULTIHOME_TIMEOUTS", parse_timeouts, current.timeouts,
         "two numbers of seconds from 1 to 1800 such as 30,120");
    if (read("MULTIHOME_PORTS", parse_ports, ports, "a list of ports and ranges such as 53,5000-5100"))
        current.ports = &ports;
}

} // namespace multihome::settings
