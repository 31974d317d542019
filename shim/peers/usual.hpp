// SPDX-License-Identifier: MIT
//
// The usual datagram, in and out: one of the forms that family.hpp knows, which is looked up in one cache
// line of the table, and an answer to what this thread has heard, which looks at none. Where the conversation
// is steady nothing is stored in the table. All else goes on into peers.cpp from here.
//
// A header, so that it becomes a part of the functions that receive and send.
#pragma once

#include "shim/base/family.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/peers.hpp"

namespace multihome::peers {

// Somebody has answered a question that the thread which heard it has not: here, answers come late, or from
// other threads. Relaxed: a hint that is true for good once it is true.
[[gnu::always_inline]] inline bool answers_late(const SharedState& state) {
    return state.answers_late.load(std::memory_order_relaxed) != 0;
}

// Questions go from thread to thread: more than one reads, and answers come from others than heard them. Then
// a thread that answers a peer it has heard itself may be answering for another thread, which has heard that
// peer since.
[[gnu::always_inline]] inline bool questions_change_threads(const SharedState& state) {
    return answers_late(state) && state.readers.load(std::memory_order_relaxed) > 1;
}

namespace detail {

// Calls `use` with the form that this message's lengths tell; false where it is none.
template <typename Use>
[[gnu::always_inline]] inline bool with_form(const msghdr& message, Use use) {
    if (message.msg_namelen == Ipv4::name_length) [[likely]]
        return message.msg_controllen == Ipv4::control_length && use(Ipv4{});
    if (message.msg_namelen != Ipv6::name_length)
        return false;
    if (message.msg_controllen == Ipv6::control_length)
        return use(Ipv6{});
    return message.msg_controllen == Mapped::control_length && use(Mapped{});
}

} // namespace detail

[[gnu::always_inline]] inline void Turn::begin_receiving(Socket socket) {
    if (memory_ != nullptr) [[likely]]
        memory_->begin(socket);
}

[[gnu::always_inline]] inline void Turn::begin_batch(bool several) {
    if (memory_ != nullptr) [[likely]]
        memory_->begin_batch(several);
}

namespace detail {

// hear_form() where it may change what is known. False where it tells no address to answer from.
template <typename Family>
[[gnu::noinline]] bool hear_changing_form(ThreadMemory* memory, Socket socket, int fd, uint64_t hash,
                                          ConversationTable::Entry found) {
    const RawDatagram& raw = memory->quick_words();
    const Local local{Family::local(raw), 0};
    if (local.address.is_group() || !local)
        return false;
    hear_changing(memory, socket, fd, hash, Family::peer(raw), local, found);
    return true;
}

template <typename Family>
[[gnu::always_inline]] inline bool hear_form(ThreadMemory* memory, Socket socket, int fd,
                                             const msghdr& message) {
    SharedState& state = *shared_state::get();
    RawDatagram& raw = memory->quick_words();
    if (!Family::read(message.msg_name, message.msg_control, raw)) [[unlikely]]
        return false;
    const uint64_t hash = hash_of(ConversationKey(Family::peer(raw), socket.port()), state.key);
    const ConversationTable::Entry found = state.table().find(hash);
    const LocalIndex at = found.state().first_index();
    if (!found.state().is_steady() || !state.locals.is_at(at, {Family::local(raw), 0})) [[unlikely]]
        return hear_changing_form<Family>(memory, socket, fd, hash, found);
    memory->add(hash, at, true);
    if (memory->has_one() && !questions_change_threads(state)) {
        if (const Source source = kept_source_at(state.locals, at)) [[likely]]
            memory->open_quick_look(socket, Family::name_length, found, source);
    }
    return true;
}

} // namespace detail

[[gnu::always_inline]] inline bool Turn::hear_alone(Socket socket, int fd, const msghdr& message,
                                                    socklen_t room, bool is_batch) {
    if (memory_ == nullptr || message.msg_name == nullptr || message.msg_namelen > room) [[unlikely]]
        return false;
    return detail::with_form(
        message, [&]<typename Family>(Family) __attribute__((always_inline)) {
            if (memory_->hear_again<Family>(socket, message.msg_name, message.msg_control))
                return true;
            if (is_batch)
                memory_->begin_batch(false);
            else
                memory_->begin(socket);
            if ((!memory_->is_usual(socket) && !detail::becomes_usual(memory_, socket)) ||
                !detail::hear_form<Family>(memory_, socket, fd, message)) [[unlikely]]
                return false;
            memory_->line().add(Counter::requests);
            return true;
        });
}

[[gnu::always_inline]] inline bool Turn::hear_usual(Socket socket, int fd, const msghdr& message,
                                                    socklen_t room) {
    if (memory_ == nullptr || message.msg_name == nullptr || message.msg_namelen > room ||
        (!memory_->is_usual(socket) && !detail::becomes_usual(memory_, socket))) [[unlikely]]
        return false;
    return detail::with_form(
        message, [&]<typename Family>(Family) __attribute__((always_inline)) {
            return detail::hear_form<Family>(memory_, socket, fd, message);
        });
}

[[gnu::always_inline]] inline Source Turn::source_for(Socket socket, const void* name, socklen_t length,
                                                      SourceRoom& room) {
    SharedState* const state = shared_state::get();
    uint64_t hash = 0;
    if (state == nullptr || !hash_of_name(name, length, socket.port(), state->key, hash)) [[unlikely]]
        return {};
    const Run::Record record = memory_ != nullptr ? memory_->record_to_answer(hash) : Run::Record{};
    LocalIndex at = record.at();
    if (!record.is_steady() || questions_change_threads(*state)) [[unlikely]] {
        Peer peer;
        read_peer(static_cast<const sockaddr*>(name), length, peer);
        at = detail::send_changing(memory_, socket, hash, peer, record);
    }
    return at != local_by_route ? source_at(state->locals, at, room) : Source{};
}

} // namespace multihome::peers
