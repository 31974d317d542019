// SPDX-License-Identifier: MIT
// The library inside a running process: is it there, does it live, what has it counted, which conversations
// does it hold. What is read is another process's memory, which may hold anything: nothing in it is believed
// unchecked.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shim/peers/shared_state.hpp"
#include "tools/process_memory.hpp"

namespace multihome::tools {

/// What /proc/PID/maps and the memory tell.
struct LibraryPresence {
    bool readable = false; ///< false: nothing is known, not permitted or gone
    bool mapped = false;   ///< executable: the dynamic loader has accepted it
    std::string path;      ///< of the mapped file
    bool deleted = false;  ///< the file has been replaced since
    bool alive = false;    ///< the state is there: a socket has been taken over
    /// Why the state cannot be read although the library is mapped, or empty.
    std::string problem;
    std::optional<Mapping> state; ///< checked: its header fits its size
};

LibraryPresence find_library_in(pid_t process);

/// The version of the library that the process has mapped; empty where it does not say.
std::string version_of_library_in(pid_t process);

/// The number of values in enum class Counter.
constexpr std::size_t counter_count = static_cast<std::size_t>(Counter::count);
/// Their names in JSON and for Prometheus, in the order of Counter.
extern const std::array<const char*, counter_count> counter_names;

struct PortCounts {
    std::uint16_t port = 0; ///< 0: all ports that have no place of their own
    std::array<std::uint64_t, counter_count> counts{};
};

/// Gives memory back that mmap(2) gave.
struct Unmap {
    std::size_t size = 0;
    void operator()(void* memory) const;
};

/// A copy of the library's state, as the types that the library itself uses.
class RunningState {
public:
    /// Nothing, and `problem` says why, where the memory cannot be read or holds something else.
    static std::optional<RunningState> read(pid_t process, const Mapping& mapping, std::string& problem);

    [[nodiscard]] std::uint64_t total(Counter counter) const { return state().counters.sum(counter); }
    [[nodiscard]] std::vector<PortCounts> by_port() const;
    /// Processes that were forked share one state.
    [[nodiscard]] std::uint64_t identity() const { return identity_; }
    /// How many conversations the table has room for.
    [[nodiscard]] std::uint64_t room() const;

    struct Held {
        /// Of peer, peer's port and local port, under the process's random key.
        std::uint64_t fingerprint = 0;
        Conversation::Kind kind{};
        Address at;         ///< where the peer is known to be, or has asked; empty where we spoke first
        Address asked_last; ///< of one that moves, else empty
        std::int64_t seconds = -1;    ///< since it was heard, or settled (in whole minutes); -1: not known
        bool is_alive = true;         ///< false: as good as gone
        std::uint16_t local_port = 0; ///< known of a peer that was asked for by name; else 0
        std::uint16_t peer_port = 0;
    };
    /// Every conversation in the table, in no order.
    [[nodiscard]] std::vector<Held> conversations() const;
    /// Those of one peer on the local ports that have counters. `port` 0: from whatever port it asks.
    [[nodiscard]] std::vector<Held> conversations_with(const Address& peer, std::uint32_t scope,
                                                       std::uint16_t port) const;
    /// How many there are that count.
    [[nodiscard]] std::uint64_t held() const;

private:
    RunningState() = default;
    [[nodiscard]] const SharedState& state() const { return *static_cast<const SharedState*>(memory_.get()); }
    [[nodiscard]] ConversationTable table() const;
    template <typename Take>
    void for_each_word(Take&& take) const;
    /// The state in a word of the table.
    [[nodiscard]] Conversation conversation_in(std::uint64_t word) const;
    [[nodiscard]] Held describe(std::uint64_t word) const;

    std::unique_ptr<void, Unmap> memory_; ///< as large as the state says, filled where the state is
    std::vector<Extent> extents_;
    unsigned bucket_bits_ = 0; ///< checked
    std::uint64_t identity_ = 0;
    Ticks now_ = 0; ///< when it was copied
};

} // namespace multihome::tools
