// SPDX-License-Identifier: MIT
#include "tools/engine_rows.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <fmt/core.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <set>

#include "shim/peers/hash.hpp"
#include "tools/kernel_engine/counter_names.hpp"
#include "tools/numbers.hpp"
#include "tools/processes.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

unsigned number_in(const std::string& text) {
    unsigned number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end ? number : 0;
}

/// A process with the library in it, or one that the engine serves, other than for being in the root control
/// group: the kernel's own are there.
bool is_served(unsigned number, const std::vector<engine::Attachment>& attached) {
    const auto process = static_cast<pid_t>(number);
    if (process <= 0)
        return false;
    if (find_library_in(process).mapped)
        return true;
    const std::string group = describe_process(process).control_group;
    return group != "/" && std::any_of(attached.begin(), attached.end(),
                                       [&](const engine::Attachment& one) { return one.holds(group); });
}

std::uint16_t port_among(const std::string& target, const std::vector<engine::Attachment>& attached) {
    const bool is_port = target.starts_with(':');
    const unsigned number = number_in(is_port ? target.substr(1) : target);
    return number <= 65535 && (is_port || !is_served(number, attached)) ? static_cast<std::uint16_t>(number)
                                                                        : std::uint16_t{0};
}

/// The engine's clock, see ticks() in state.bpf.h.
std::uint32_t engine_ticks_now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    const auto nanoseconds =
        static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
    return static_cast<std::uint32_t>(nanoseconds / (1'000'000'000 / ENGINE_TICKS));
}

Address address_of(const engine_address& address) {
    return {address.half[0], address.half[1]};
}

RunningState::Held describe(const engine::Attachment& attached, const engine::Conversation& one,
                            std::uint32_t now) {
    const engine_conversation& known = one.known;
    const auto place = [&](unsigned number) {
        return number >= 1 && number <= ENGINE_PLACES ? address_of(known.place[number - 1]) : Address{};
    };
    const bool is_known = known.known >= 1 && known.known <= ENGINE_PLACES; // else at home nowhere
    RunningState::Held held;
    std::uint32_t since = known.asked_at;
    std::uint32_t counts_for = attached.question_ticks;
    if (known.spoke_at != 0) {
        held.kind = Conversation::Kind::spoke_first;
        since = known.spoke_at;
        counts_for = attached.spoke_first_ticks;
    } else if (is_known && known.asked != known.known) {
        held.kind = Conversation::Kind::moving;
        held.at = place(known.known);
        held.asked_last = place(known.asked);
    } else {
        held.kind = is_known ? Conversation::Kind::known : Conversation::Kind::question;
        held.at = place(known.asked);
    }
    held.seconds = (now - since) / ENGINE_TICKS;
    held.is_alive = is_known || now - since < counts_for;
    // As long as the library's. The key is no secret: it only tells one control group's from another's.
    const Peer peer{address_of(one.key.peer), 0, one.key.peer_port};
    HashKey key{};
    std::uint64_t mixed = attached.identity;
    for (std::uint64_t& word : key.words)
        word = mixed = mixed * 0x9E3779B97F4A7C15 + 1;
    key.make_odd();
    held.fingerprint = hash_of(peer, htons(one.key.local_port), key) >> Conversation::bits;
    return held;
}

} // namespace

std::uint16_t port_meant(const std::string& target) {
    return port_among(target, engine::visible_attachments());
}

std::vector<engine::Attachment> attachments_meant(const std::string& target, bool for_conversations) {
    std::vector<engine::Attachment> attached = engine::visible_attachments();
    if (target.empty())
        return attached;
    if (port_among(target, attached) != 0)
        return for_conversations ? attached : std::vector<engine::Attachment>{};
    const unsigned number = number_in(target);
    const std::string group =
        number != 0 ? describe_process(static_cast<pid_t>(number)).control_group : std::string{};
    const std::string unit = number == 0 && !target.starts_with(':') ? "/" + valid_unit_name(target) : "";
    std::erase_if(attached, [&](const engine::Attachment& one) {
        return !one.holds(group) && (unit.empty() || !one.path.ends_with(unit));
    });
    return attached;
}

Json engine_json(const std::vector<engine::Attachment>& attached) {
    Json list = Json::array();
    for (const engine::Attachment& one : attached)
        list.push_back({{"control_group", one.path},
                        {"alive", one.alive},
                        {"counters", engine::counters_json(one.counters)}});
    return list;
}

void print_engine_prometheus(std::vector<engine::Attachment> attached) {
    // One path is one series: a control group that is gone may have been followed by one of the same path.
    // What lies outside of a container has no path in it. What another version counts is not known.
    std::set<std::string> paths{"?"};
    std::erase_if(attached, [&](const engine::Attachment& one) {
        return !one.alive || !one.is_read || !paths.insert(one.path).second;
    });
    if (attached.empty())
        return;
    const Json names = engine::counters_json({});
    for (const auto& item : names.items()) {
        fmt::print("# HELP multihome_engine_{0}_total Of the kernel engine, see multihomectl(8).\n"
                   "# TYPE multihome_engine_{0}_total counter\n",
                   item.key());
        for (const engine::Attachment& one : attached) {
            const Json counters = engine::counters_json(one.counters);
            fmt::print("multihome_engine_{}_total{{control_group=\"{}\"}} {}\n", item.key(),
                       prometheus_label(one.path), counters[item.key()].get<std::uint64_t>());
        }
    }
}

void print_engine_table(const std::vector<engine::Attachment>& attached, EngineBefore& before,
                        double seconds) {
    Table table(
        {"CONTROL-GROUP", "CLIENTS", "ANSWERED", "SPOKE-FIRST", "HANDED-OVER", "MOVES", "NOT-SERVED"});
    for (const engine::Attachment& one : attached) {
        const auto last = before.find(one.identity);
        std::vector<std::string> cells{one.path};
        for (const engine_counter counter : {ENGINE_PEERS, ENGINE_CHOSEN, ENGINE_SPOKE_FIRST,
                                             ENGINE_HANDED_OVER, ENGINE_MOVES, ENGINE_CONNECTED_NOT_SERVED})
            cells.push_back(last != before.end()
                                ? rate_or_count(one.counters[counter], last->second[counter], seconds)
                                : std::to_string(one.counters[counter]));
        table.add(std::move(cells), one.alive ? Emphasis::none : Emphasis::dim);
    }
    before.clear();
    for (const engine::Attachment& one : attached)
        before[one.identity] = one.counters;
    if (!table.empty())
        table.print();
}

std::vector<RunningState::Held> engine_conversations(const engine::Attachment& attached,
                                                     const Wanted& wanted) {
    std::vector<RunningState::Held> result;
    if (!attached.is_read)
        return result; // they may look otherwise in another version
    const std::uint32_t now = engine_ticks_now();
    engine::for_each_conversation(attached.identity, [&](const engine::Conversation& one) {
        const std::uint16_t peer_port = ntohs(one.key.peer_port);
        if ((wanted.peer != nullptr && address_of(one.key.peer) != *wanted.peer) ||
            (wanted.peer_port != 0 && peer_port != wanted.peer_port) ||
            (wanted.local_port != 0 && one.key.local_port != wanted.local_port))
            return;
        RunningState::Held held = describe(attached, one, now);
        held.local_port = one.key.local_port;
        if (wanted.peer != nullptr)
            held.peer_port = peer_port;
        result.push_back(held);
    });
    return result;
}

} // namespace multihome::tools
