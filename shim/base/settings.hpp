// SPDX-License-Identifier: MIT
//
// The settings: environment variables, read once when the library is loaded, checked, and then constant.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <string_view>

namespace multihome {

enum class LogLevel : uint8_t { trace, debug, info, warn, error, off };

struct Settings {
    static constexpr size_t default_peers = 262'144;
    static constexpr size_t minimum_peers = 64;
    static constexpr size_t maximum_peers = 8'388'608;

    // How long these count, in seconds.
    struct Timeouts {
        unsigned question = 30;     // an unanswered question, which a stranger may have sent
        unsigned spoke_first = 120; // silence after which it no longer counts that the program spoke first

        friend bool operator==(const Timeouts&, const Timeouts&) = default;
    };
    // The clock of conversations goes round after 4096 s (conversation.hpp). What runs out must stay so for
    // longer than it counted.
    static constexpr unsigned maximum_timeout = 1800;

    // The file that JOURNAL_STREAM names (systemd.exec(5)): the journal. None where the inode is 0.
    struct JournalStream {
        uint64_t device = 0;
        uint64_t inode = 0;
    };

    bool disabled = false;                     // MULTIHOME_DISABLE
    bool same_interface = false;               // MULTIHOME_SAME_INTERFACE
    LogLevel log_level = LogLevel::warn;       // MULTIHOME_LOG
    const char* log_file = nullptr;            // MULTIHOME_LOG_FILE; null: standard error
    size_t peers = default_peers;              // MULTIHOME_PEERS
    Timeouts timeouts;                         // MULTIHOME_TIMEOUTS
    JournalStream journal;                     // JOURNAL_STREAM
    const std::bitset<65536>* ports = nullptr; // MULTIHOME_PORTS; null: all of them

    // `port` in network byte order.
    bool wants_port(in_port_t port) const { return ports == nullptr || ports->test(ntohs(port)); }
};

namespace settings {

// Returns the settings of this process. Before load() they are the defaults. Async-signal-safe.
const Settings& get();

// Reads the environment, when the library is loaded and there are no threads yet. Logs each bad value, and
// keeps the default for it.
void load();

// The readers of single values. False where `text` is not a value. `result` is untouched then, unless it is a
// list. Spaces around a value, and around the items of a list, do not count.
bool parse_switch(std::string_view text, bool& result); // 0 or 1
// off, error, warn, info, debug, trace, in small letters or capitals
bool parse_log_level(std::string_view text, LogLevel& result);
bool parse_peers(std::string_view text, size_t& result);                // minimum_peers to maximum_peers
bool parse_ports(std::string_view text, std::bitset<65536>& result);    // 53,5000-5100
bool parse_timeouts(std::string_view text, Settings::Timeouts& result); // 30,120
bool parse_journal_stream(std::string_view text, Settings::JournalStream& result); // 9:4711

} // namespace settings
} // namespace multihome
