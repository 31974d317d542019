// SPDX-License-Identifier: MIT
// What a side is told and what it answers: one piece of shared memory for each side. A side runs many steps
// before the other process has to wake up, so that a step costs little more than its system calls.
#pragma once

#include "tools/differential/memory.hpp"
#include "tools/differential/step.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace multihome::differential {

enum class Label : std::uint16_t {
    result,
    error, ///< errno, which was set to untouched_errno before the call
    message_name_length,
    message_control_length,
    message_flags,
    message_length,
    memory,         ///< `index` is the Region
    arrived,        ///< at a client: the data, their source, their control messages; `index` is the client
    local_address,  ///< getsockname()
    remote_address, ///< getpeername()
    readiness,      ///< poll()
    option,         ///< getsockopt() through the target; `index` is a row of inspected_options
    answer_source,  ///< where an answer to a request to 127.0.0.2 came from
    moved_on_tcp,   ///< moving data succeeded or could not be done now; 1 if it succeeded and set errno
    passed,         ///< sending a descriptor over a UNIX socket
    bare_option,    ///< getsockopt() without the library, after a descriptor was handed out
    ended,          ///< another process that ran steps: its wait status
};

/// What errno is before each call: no error has this number.
constexpr int untouched_errno = 4242;

struct Entry {
    std::uint32_t step = 0;
    Label label = Label::result;
    std::uint16_t index = 0;
    std::uint64_t value = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
};

struct InspectedOption {
    int level;
    int name;
    const char* text;
};
extern const std::array<InspectedOption, 21> inspected_options;

/// A line for a person: what the entry is, and its value.
std::string describe(const Entry& entry);
std::string name_of(const Entry& entry);
std::string value_of(const Entry& entry);

enum class Turn : std::uint32_t { coordinator, side };

struct Mailbox {
    static constexpr std::size_t maximum_steps = 4096;
    static constexpr std::size_t maximum_entries = std::size_t{1} << 18U;
    static constexpr std::size_t maximum_dump = std::size_t{2} << 20U;
    static constexpr std::uint32_t no_step = UINT32_MAX;

    std::atomic<std::uint32_t> turn; ///< Turn; a futex
    // To the side.
    std::uint32_t step_count;
    std::uint32_t detailed_step; ///< whose memory is to be copied into `dump`
    // From the side.
    std::uint32_t current_step; ///< to tell where it died
    std::uint32_t entry_count;
    std::uint32_t dump_size;
    std::uint32_t overflow;        ///< entries that did not fit
    std::array<char, 512> problem; ///< why the side cannot work; empty if it can
    std::array<char, 512> notes;   ///< of the detailed step, for a person
    std::array<Step, maximum_steps> steps;
    std::array<Entry, maximum_entries> entries;
    std::array<unsigned char, maximum_dump> dump; ///< a DumpHeader and bytes, repeatedly
};

struct DumpHeader {
    Region region;
    std::uintptr_t address;
    std::size_t size;
};

/// Hands the mailbox over, and waits until it is ours. False when `seconds` passed first (0: no limit).
void give_turn(Mailbox& mailbox, Turn to);
bool await_turn(Mailbox& mailbox, Turn ours, int seconds);

} // namespace multihome::differential
