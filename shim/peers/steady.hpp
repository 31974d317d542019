// SPDX-License-Identifier: MIT
//
// The quick look at a datagram that changes nothing: of a conversation that is known at the address that it
// asked, and has been heard there lately. It looks at one cache line of the table, and stores nothing there.
//
// A header, so that it becomes a part of the functions that receive.
#pragma once

#include "shim/base/family.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/peers.hpp"

#include <type_traits>

namespace multihome::peers {

// Somebody has answered a question that the thread which heard it has not: here, answers come late, or from
// other threads. Relaxed: a hint that is true for good once it is true.
inline bool answers_late(const SharedState& state) {
    return state.answers_late.load(std::memory_order_relaxed) != 0;
}

// Questions go from thread to thread: more than one reads, and answers come from others than heard them. Then
// a thread that answers a peer it has heard itself may be answering for another thread, which has heard that
// peer since.
inline bool questions_change_threads(const SharedState& state) {
    return answers_late(state) && state.readers.load(std::memory_order_relaxed) > 1;
}

// The shared state where a datagram on this socket may be looked at quickly, else null.
// A program that asks for packet information itself is to see it on every datagram. On a socket that is bound
// to a device it matters which group a datagram was sent to, and where answers take the interface of the
// question it matters which that was: the quick look does not tell.
[[gnu::always_inline]] inline SharedState* Turn::steady_state(Socket socket) const {
    SharedState* const state = shared_state::get();
    return memory_ != nullptr && state != nullptr &&
                   (socket.word() & (Socket::all_asked | Socket::to_device)) == 0 &&
                   !settings::get().same_interface && !questions_change_threads(*state) &&
                   memory_->line(socket) != nullptr
               ? state
               : nullptr;
}

template <typename Family, bool in_batch>
[[gnu::always_inline]] inline bool Turn::hear_steady_form(SharedState& state, Socket socket,
                                                          const msghdr& message) {
    // Of an IPv4 datagram that came alone the caller has seen that it is another one.
    if constexpr (!in_batch && !std::is_same_v<Family, Ipv4>)
        if (memory_->hear_again<Family>(socket, message.msg_name, message.msg_control))
            return true;
    RawDatagram words; // in a batch the quick look stays closed
    RawDatagram& raw = in_batch ? words : memory_->close_quick_look();
    if (!Family::read(message.msg_name, message.msg_control, raw)) [[unlikely]]
        return false;
    const uint64_t hash = hash_of(ConversationKey(Family::peer(raw), socket.port()), state.key);
    const ConversationTable::Entry found = state.table().find(hash);
    const LocalIndex at = found.state().first_index();
    if (!found.state().is_steady() || !state.locals.is_at(at, {Family::local(raw), 0})) [[unlikely]]
        return false;
    if constexpr (in_batch) {
        memory_->add(hash, at, true);
    } else {
        const Source source = kept_source_at(state.locals, at);
        if (!source) [[unlikely]]
            return false;
        Counters::Line& line = memory_->known_line();
        line.add(Counter::requests);
        memory_->begin_run(socket, false);
        memory_->add(hash, at, true);
        memory_->open_quick_look(socket, message.msg_namelen, found, source, line);
    }
    return true;
}

template <bool in_batch>
[[gnu::always_inline]] inline bool Turn::hear_steady(SharedState& state, Socket socket, const msghdr& message,
                                                     socklen_t room) {
    if (message.msg_name == nullptr || message.msg_namelen > room) [[unlikely]]
        return false;
    if (message.msg_namelen == Ipv4::name_length && message.msg_controllen == Ipv4::control_length) [[likely]]
        return hear_steady_form<Ipv4, in_batch>(state, socket, message);
    if (message.msg_namelen != Ipv6::name_length)
        return false;
    if (message.msg_controllen == Ipv6::control_length)
        return hear_steady_form<Ipv6, in_batch>(state, socket, message);
    return message.msg_controllen == Mapped::control_length &&
           hear_steady_form<Mapped, in_batch>(state, socket, message);
}

[[gnu::always_inline]] inline bool Turn::answer_steady(SharedState& state, Socket socket, const void* name,
                                                       socklen_t length, Source& source, SourceRoom& room) {
    uint64_t hash = 0;
    if (const uint64_t first_bytes = family_detail::word_at(name, 0);
        length == Ipv4::name_length && address_family(first_bytes) == AF_INET) [[likely]] {
        hash = hash_of_ipv4(ipv4_conversation(first_bytes, socket.port()), state.key);
    } else {
        Peer peer;
        if (!read_peer(static_cast<const sockaddr*>(name), length, peer))
            return false;
        hash = hash_of(ConversationKey(peer, socket.port()), state.key);
    }
    const Run::Record record = memory_->steady_record_for(hash);
    if (!record)
        return false;
    memory_->sent();
    source = source_at(state.locals, record.at(), room);
    return true;
}

} // namespace multihome::peers
