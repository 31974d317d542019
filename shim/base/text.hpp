// SPDX-License-Identifier: MIT
//
// Text put together in a buffer of the caller's, cut where that is full. Async-signal-safe: it takes no
// memory, and knows no locale. (fmt may take memory for long texts, and its errors bring exceptions into each
// program.)
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace multihome {

class TextBuffer {
public:
    template <size_t Size>
    explicit TextBuffer(char (&buffer)[Size]) : start_(buffer), end_(buffer + Size), at_(buffer) {}

    void append(std::string_view text) {
        const auto room = static_cast<size_t>(end_ - at_);
        const size_t length = text.size() < room ? text.size() : room;
        std::copy_n(text.data(), length, at_); // which an empty view need not have memory for
        at_ += length;
    }

    // With zeros in front, up to `width` digits.
    void append_number(uint64_t number, unsigned width = 1) {
        char digits[20];
        char* first = digits + sizeof digits;
        do {
            *--first = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0 || digits + sizeof digits - first < static_cast<ptrdiff_t>(width));
        append({first, static_cast<size_t>(digits + sizeof digits - first)});
    }

    std::string_view text() const { return {start_, static_cast<size_t>(at_ - start_)}; }

private:
    char* start_;
    char* end_;
    char* at_;
};

// What a text is put together from.
class TextArgument {
public:
    TextArgument(const char* text) : text_(text) {}      // NOLINT(google-explicit-constructor)
    TextArgument(std::string_view text) : text_(text) {} // NOLINT(google-explicit-constructor)
    template <std::integral Number>
    TextArgument(Number number) // NOLINT(google-explicit-constructor)
        : negative_(number < 0), is_number_(true),
          number_(negative_ ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number)) {}

    void append_to(TextBuffer& buffer) const {
        if (!is_number_)
            return buffer.append(text_);
        if (negative_)
            buffer.append("-");
        buffer.append_number(number_);
    }

private:
    std::string_view text_;
    bool negative_ = false;
    bool is_number_ = false;
    uint64_t number_ = 0;
};

// A text with a place "{}" for each of the arguments, counted when it is compiled.
template <typename... Arguments>
class BasicTextPattern {
public:
    consteval BasicTextPattern(const char* text) : text_(text) { // NOLINT(google-explicit-constructor)
        size_t places = 0;
        for (size_t at = text_.find("{}"); at != std::string_view::npos; at = text_.find("{}", at + 2))
            ++places;
        if (places != sizeof...(Arguments))
            there_are_as_many_places_as_arguments(); // no constant: the compiler stops here
    }

    std::string_view text() const { return text_; }

private:
    static void there_are_as_many_places_as_arguments();

    std::string_view text_;
};
template <typename... Arguments>
using TextPattern = BasicTextPattern<std::type_identity_t<Arguments>...>;

// Puts the arguments into the places of `pattern`.
inline void append_pattern(TextBuffer& buffer, std::string_view pattern,
                           std::span<const TextArgument> arguments) {
    for (const TextArgument& argument : arguments) {
        const size_t place = pattern.find("{}");
        buffer.append({pattern.data(), place});
        argument.append_to(buffer);
        pattern.remove_prefix(place + 2);
    }
    buffer.append(pattern);
}

} // namespace multihome
