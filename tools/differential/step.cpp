// SPDX-License-Identifier: MIT
#include "tools/differential/step.hpp"

#include <charconv>
#include <optional>
#include <span>
#include <stdexcept>

namespace multihome::differential {

namespace {

constexpr std::array<std::string_view, field_count> field_names{
#define MULTIHOME_FIELD(name) #name,
    MULTIHOME_FIELDS(MULTIHOME_FIELD)
#undef MULTIHOME_FIELD
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Op::count) - symbol_count> event_names{
    "client_send", "inspect", "hidden_close", "listen",    "socketpair", "pass",
    "hand_out",    "recv",    "send",         "elsewhere", "ask_other",  "reset"};

constexpr std::array<std::string_view, static_cast<std::size_t>(Pointer::count)> pointer_names{
    "good", "null", "one", "none", "readonly", "cross", "edge", "odd", "kernel"};

constexpr std::array<std::string_view, static_cast<std::size_t>(Place::count)> place_names{
    "v4_loopback",   "v4_any",   "v4_nowhere",         "v4_broadcast",  "v4_group",     "v4_limited",
    "v6_loopback",   "v6_any",   "v6_mapped_loopback", "v6_mapped_any", "v6_nowhere",   "v6_group",
    "v6_link_local", "v6_short", "unspecified",        "local",         "other_family", "v4_other"};

constexpr std::string_view by_number_prefix = "syscall:";

/// The words that the field's values have; none for a plain number.
std::span<const std::string_view> words_of(Field field) {
    if (field == Field::place)
        return place_names;
    if (field >= first_pointer_field)
        return pointer_names;
    return {};
}

std::string_view op_name(Op op) {
    const auto index = static_cast<std::size_t>(op);
    return is_call(op) ? std::string_view{name_of(static_cast<Symbol>(index))}
                       : event_names.at(index - symbol_count);
}

std::optional<std::size_t> find(std::span<const std::string_view> words, std::string_view word) {
    for (std::size_t index = 0; index < words.size(); ++index)
        if (words[index] == word)
            return index;
    return std::nullopt;
}

std::optional<Op> find_op(std::string_view name) {
    for (std::size_t index = 0; index < static_cast<std::size_t>(Op::count); ++index)
        if (op_name(static_cast<Op>(index)) == name)
            return static_cast<Op>(index);
    return std::nullopt;
}

std::int64_t parse_number(std::string_view text) {
    std::string_view digits = text;
    const bool negative = digits.starts_with('-');
    if (negative)
        digits.remove_prefix(1);
    const bool hexadecimal = digits.starts_with("0x");
    if (hexadecimal)
        digits.remove_prefix(2);
    std::int64_t number = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, number, hexadecimal ? 16 : 10);
    if (error != std::errc{} || stopped != end)
        throw std::invalid_argument("not a number: " + std::string{text});
    return negative ? -number : number;
}

std::string hexadecimal(std::uint32_t value) {
    std::array<char, 8> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    return "0x" + std::string(digits.data(), end);
}

std::string_view take_word(std::string_view& text) {
    constexpr std::string_view blanks = " \t\r";
    const auto begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) {
        text = {};
        return {};
    }
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    text.remove_prefix(word.size());
    return word;
}

} // namespace

bool may_run(Elsewhere where, Op op) {
    switch (op) {
    case Op::close:
    case Op::hidden_close:
    case Op::dup:
    case Op::dup2:
    case Op::dup3:
    case Op::fcntl:
    case Op::fcntl64:
        return true;
    case Op::recvfrom:
    case Op::__recvfrom_chk:
    case Op::recvmsg:
    case Op::recvmmsg:
    case Op::sendto:
    case Op::sendmsg:
    case Op::sendmmsg:
    case Op::recv:
    case Op::send:
    case Op::client_send:
    case Op::getsockopt:
    case Op::inspect:
        return where != Elsewhere::vfork_child;
    case Op::setsockopt:
        return where == Elsewhere::thread;
    case Op::connect:
    case Op::bind:
    case Op::socket:
        return where != Elsewhere::vfork_child;
    default:
        return false;
    }
}

std::string to_text(const Step& step) {
    std::string text{step.by_number ? by_number_prefix : std::string_view{}};
    text += op_name(step.op);
    for (std::size_t index = 0; index < field_count; ++index) {
        const auto field = static_cast<Field>(index);
        const std::int64_t value = step.get(field);
        if (value == 0)
            continue;
        text.append(" ").append(field_names[index]).append("=");
        const auto words = words_of(field);
        if (static_cast<std::uint64_t>(value) < words.size())
            text += words[static_cast<std::size_t>(value)];
        else if ((field == Field::flags || field == Field::contents) && value > 0 && value <= UINT32_MAX)
            text += hexadecimal(static_cast<std::uint32_t>(value));
        else
            text += std::to_string(value);
    }
    return text;
}

Step parse_step(std::string_view line) {
    Step step;
    std::string_view name = take_word(line);
    step.by_number = name.starts_with(by_number_prefix);
    if (step.by_number)
        name.remove_prefix(by_number_prefix.size());
    const auto op = find_op(name);
    if (!op)
        throw std::invalid_argument("no such step: " + std::string{name});
    step.op = *op;
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
        const auto equals = word.find('=');
        const auto index = find(field_names, word.substr(0, equals));
        if (equals == std::string_view::npos || !index)
            throw std::invalid_argument("no such field: " + std::string{word});
        const auto field = static_cast<Field>(*index);
        const std::string_view value = word.substr(equals + 1);
        const auto words = words_of(field);
        const auto known = find(words, value);
        if (!words.empty() && !known)
            throw std::invalid_argument("no such value: " + std::string{word});
        step.set(field, known ? static_cast<std::int64_t>(*known) : parse_number(value));
    }
    return step;
}

std::vector<Step> parse_steps(std::string_view text) {
    std::vector<Step> steps;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        std::string_view rest = line;
        const std::string_view first = take_word(rest);
        if (!first.empty() && !first.starts_with('#'))
            steps.push_back(parse_step(line));
    }
    return steps;
}

} // namespace multihome::differential
