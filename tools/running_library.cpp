// SPDX-License-Identifier: MIT
#include "tools/running_library.hpp"

#include <arpa/inet.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <fmt/core.h>
#include <string_view>
#include <utility>

namespace multihome::tools {
namespace {

/// What the state begins with, whatever its version.
struct Header {
    char magic[16];
    std::uint32_t version;
    std::uint32_t bucket_bits;
    std::uint64_t mapping_size;
};
static_assert(offsetof(SharedState, version) == offsetof(Header, version) &&
              offsetof(SharedState, bucket_bits) == offsetof(Header, bucket_bits) &&
              offsetof(SharedState, mapping_size) == offsetof(Header, mapping_size));

/// A process that maps thousands of shared pieces of memory is not searched to the end.
constexpr unsigned most_candidates = 4096;

constexpr std::string_view deleted_mark = " (deleted)";

bool is_library(std::string_view path) {
    if (path.ends_with(deleted_mark))
        path.remove_suffix(deleted_mark.size());
    return path.substr(path.rfind('/') + 1).starts_with("libmultihome.so");
}

/// The kernel names shared anonymous memory so (mm/shmem.c, shmem_zero_setup()).
bool is_shared_and_anonymous(const Mapping& mapping) {
    return mapping.shared && mapping.readable && mapping.offset == 0 && mapping.path == "/dev/zero (deleted)";
}

/// Why the header is none that this program can go by; empty if it is one.
std::string fault_of(const Header& header, const Mapping& mapping) {
    if (header.version != SharedState::expected_version)
        return fmt::format(
            "its state has version {}, and this multihomectl reads version {}: restart the program, "
            "or use the multihomectl of its version",
            header.version, SharedState::expected_version);
    if (header.bucket_bits < 1 || header.bucket_bits > ConversationTable::maximum_bucket_bits ||
        header.mapping_size != SharedState::size_for(header.bucket_bits) ||
        header.mapping_size > mapping.end - mapping.begin)
        return "its state is damaged: the sizes in it do not fit each other";
    return {};
}

Ticks ticks_now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return static_cast<Ticks>(time.tv_sec) * ticks_a_second +
           static_cast<Ticks>(time.tv_nsec / (1'000'000'000 / ticks_a_second));
}

} // namespace

const std::array<const char*, counter_count> counter_names = {
    "sockets", "requests", "answered", "not_heard", "spoke_first", "refused", "clients", "crowded"};

LibraryPresence find_library_in(pid_t process) {
    LibraryPresence presence;
    const std::vector<Mapping> mappings = read_mappings(process);
    presence.readable = !mappings.empty();
    unsigned candidates = 0;
    for (const Mapping& mapping : mappings) {
        if (mapping.executable && is_library(mapping.path)) {
            presence.mapped = true;
            presence.path = mapping.path;
            if (presence.path.ends_with(deleted_mark)) {
                presence.deleted = true;
                presence.path.resize(presence.path.size() - deleted_mark.size());
            }
        }
        if (presence.alive || !is_shared_and_anonymous(mapping) || ++candidates > most_candidates)
            continue;
        Header header{};
        if (!read_memory(process, mapping.begin, &header, sizeof header)) {
            if (errno == EPERM || errno == EACCES)
                presence.problem = "its memory may not be read: run this as root";
            continue;
        }
        if (std::memcmp(header.magic, SharedState::expected_magic, sizeof header.magic) != 0)
            continue;
        presence.alive = true;
        presence.problem = fault_of(header, mapping);
        if (presence.problem.empty())
            presence.state = mapping;
    }
    return presence;
}

std::string version_of_library_in(pid_t process) {
    // See shim/base/version.cpp.
    constexpr std::string_view key = "multihome-version ";
    constexpr std::string_view allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+~-";
    constexpr std::size_t longest_mapping = std::size_t{16} << 20U;
    constexpr std::size_t longest_version = 32;
    for (const Mapping& mapping : read_mappings(process)) {
        const std::uint64_t size = mapping.end - mapping.begin;
        // Where the linker puts constants depends on its version: beside the code, or into a segment of their
        // own.
        if (!is_library(mapping.path) || !mapping.readable || size > longest_mapping)
            continue;
        std::string bytes(static_cast<std::size_t>(size), '\0');
        if (!read_memory(process, mapping.begin, bytes.data(), bytes.size()))
            continue;
        const std::size_t at = bytes.find(key);
        if (at == std::string::npos)
            continue;
        const std::size_t begin = at + key.size();
        const std::size_t end = std::min(bytes.find_first_not_of(allowed, begin), bytes.size());
        return bytes.substr(begin, std::min(end - begin, longest_version));
    }
    return {};
}

void Unmap::operator()(void* memory) const {
    munmap(memory, size);
}

std::optional<RunningState> RunningState::read(pid_t process, const Mapping& mapping, std::string& problem) {
    Header header{};
    if (!read_memory(process, mapping.begin, &header, sizeof header)) {
        problem = "it has ended, or its memory may not be read";
        return std::nullopt;
    }
    // Once more: the process may have changed it since it was found.
    problem = std::memcmp(header.magic, SharedState::expected_magic, sizeof header.magic) == 0
                  ? fault_of(header, mapping)
                  : "its state is gone";
    if (!problem.empty())
        return std::nullopt;
    const auto size = static_cast<std::size_t>(header.mapping_size);
    void* memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        problem = "there is no memory for a copy of its state";
        return std::nullopt;
    }
    RunningState copy;
    copy.memory_ = {memory, Unmap{size}};
    copy.bucket_bits_ = header.bucket_bits;
    copy.identity_ = mapping.inode;
    copy.now_ = ticks_now();
    const SharedMapping source(process, mapping);
    auto* bytes = static_cast<char*>(memory);
    for (Extent extent : source.extents()) {
        extent.end = std::min<std::uint64_t>(extent.end, size);
        if (extent.begin >= extent.end)
            continue;
        if (!source.read(extent.begin, bytes + extent.begin,
                         static_cast<std::size_t>(extent.end - extent.begin))) {
            problem = "it has ended, or its memory may not be read";
            return std::nullopt;
        }
        copy.extents_.push_back(extent);
    }
    return copy;
}

std::vector<PortCounts> RunningState::by_port() const {
    std::vector<PortCounts> result;
    const Counters& counters = state().counters;
    for (unsigned place = 0; place < Counters::ports; ++place) {
        PortCounts port;
        port.port = ntohs(counters.port_at(place));
        for (std::size_t index = 0; index < counter_count; ++index)
            port.counts[index] = counters.sum_at(place, static_cast<Counter>(index));
        if (std::any_of(port.counts.begin(), port.counts.end(), [](auto count) { return count != 0; }))
            result.push_back(port);
    }
    return result;
}

std::uint64_t RunningState::room() const {
    return (std::uint64_t{1} << bucket_bits_) * ConversationTable::ways;
}

ConversationTable RunningState::table() const {
    auto* bytes = static_cast<char*>(memory_.get());
    auto* whole = static_cast<SharedState*>(memory_.get());
    return {reinterpret_cast<ConversationTable::Bucket*>(bytes + SharedState::table_offset()),
            ConversationTable::bucket_mask_for(bucket_bits_), &whole->locals, state().lifetimes};
}

template <typename Take>
void RunningState::for_each_word(Take&& take) const {
    const auto* bytes = static_cast<const char*>(memory_.get());
    for (const Extent& extent : extents_)
        for (std::uint64_t at = std::max<std::uint64_t>(extent.begin, SharedState::table_offset());
             at + sizeof(std::uint64_t) <= extent.end; at += sizeof(std::uint64_t)) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + at, sizeof word);
            if (word != 0)
                take(word);
        }
}

Conversation RunningState::conversation_in(std::uint64_t word) const {
    const Conversation conversation{word};
    const Lifetimes& lifetimes = state().lifetimes;
    // The fingerprint is a part of the hash, but for the salts of addresses that have replaced others.
    return state().question_times.is_recent(word, conversation, now_, lifetimes)
               ? conversation
               : conversation.run_out(now_, lifetimes);
}

RunningState::Held RunningState::describe(std::uint64_t word) const {
    const Conversation conversation = conversation_in(word);
    Held held;
    held.fingerprint = word >> Conversation::bits;
    held.kind = conversation.kind();
    held.is_alive = conversation.is_alive(now_, state().lifetimes);
    if (held.kind != Conversation::Kind::spoke_first)
        held.at = state().locals.at(conversation.first_index()).address;
    if (held.kind == Conversation::Kind::moving)
        held.asked_last = state().locals.at(conversation.second_index()).address;
    else
        held.seconds = (held.kind == Conversation::Kind::known ? conversation.age_when_known(now_)
                                                               : conversation.age(now_, state().lifetimes)) /
                       ticks_a_second;
    return held;
}

std::vector<RunningState::Held> RunningState::conversations() const {
    std::vector<Held> result;
    for_each_word([&](std::uint64_t word) { result.push_back(describe(word)); });
    return result;
}

std::vector<RunningState::Held> RunningState::conversations_with(const Address& peer, std::uint32_t scope,
                                                                 std::uint16_t port) const {
    std::vector<Held> result;
    const ConversationTable conversations = table();
    const unsigned last = port != 0 ? port : 65535;
    for (unsigned place = 0; place + 1 < Counters::ports; ++place) {
        const in_port_t local_port = state().counters.port_at(place);
        for (unsigned number = port != 0 ? port : 1; local_port != 0 && number <= last; ++number) {
            const Peer who{peer, scope, htons(static_cast<std::uint16_t>(number))};
            const auto entry = conversations.find(state().hash_of(who, local_port));
            if (!entry)
                continue;
            Held held = describe(entry.held);
            held.local_port = ntohs(local_port);
            held.peer_port = static_cast<std::uint16_t>(number);
            result.push_back(held);
        }
    }
    return result;
}

std::uint64_t RunningState::held() const {
    std::uint64_t count = 0;
    for_each_word([&](std::uint64_t word) {
        count += conversation_in(word).is_alive(now_, state().lifetimes) ? 1 : 0;
    });
    return count;
}

} // namespace multihome::tools
