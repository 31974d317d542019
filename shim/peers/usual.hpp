// SPDX-License-Identifier: MIT
//
// The usual datagram, in and out. One that comes in has a form that family.hpp knows, and is looked up in one
// cache line of the table. One that goes out answers what this thread has heard, and is not looked up. Where
// the conversation is steady, nothing is stored in the table. All else goes on to hearing.cpp and
// sending.cpp.
//
// A header, so that it becomes a part of the functions that receive and send.
#pragma once

#include "shim/base/family.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/peers.hpp"

#include <utility>

namespace multihome::peers {

// True once somebody has answered a question, and not at once in the thread that heard it: this program
// answers late, or in other threads. Relaxed: a hint that is true for good once it is true.
[[gnu::always_inline]] inline bool answers_late(const SharedState& state) {
    return state.answers_late.load(std::memory_order_relaxed) != 0;
}

// True where questions go from thread to thread: more than one thread reads, and others answer. Then a thread
// that answers a peer which it has heard may do that for another thread, which has heard the peer since.
// Relaxed: a hint.
[[gnu::always_inline]] inline bool questions_change_threads(const SharedState& state) {
    return answers_late(state) && state.readers.load(std::memory_order_relaxed) > 1;
}

// True where this thread has answered the peer already, and another thread may have heard the peer at another
// address since.
inline bool may_have_moved(const SharedState& state, Run::Record record) {
    return record.is_answered() && state.readers.load(std::memory_order_relaxed) > 1;
}

// Calls `use` with the form that this message's lengths tell, and `otherwise` where they tell none, or where
// the program had no `room` for the peer's address. Returns what that returns.
template <typename Use, typename Otherwise>
[[gnu::always_inline]] inline auto with_form(const msghdr& message, socklen_t room, Use use,
                                             Otherwise otherwise) {
    if (message.msg_name == nullptr || message.msg_namelen > room) [[unlikely]]
        return otherwise();
    if (message.msg_namelen == Ipv4::name_length && message.msg_controllen == Ipv4::control_length) [[likely]]
        return use(Ipv4{});
    if (message.msg_namelen == Ipv6::name_length && message.msg_controllen == Ipv6::control_length)
        return use(Ipv6{});
    if (message.msg_namelen == Mapped::name_length && message.msg_controllen == Mapped::control_length)
        return use(Mapped{});
    return otherwise();
}

namespace detail {

// A conversation that is steady, and known at the address that a datagram reached. To hear that datagram
// changes nothing.
struct Steady {
    ConversationTable::Entry entry;
    const SourceMessage* source = nullptr;

    Run::Record record(uint64_t hash) const {
        return {hash, entry.state().first_index(), LocalAddresses::first_generation, true};
    }
};

// Finds such a conversation. False where it is not so, or where no message is kept for the address. Writes
// the datagram's words to `raw`, and the conversation's hash to `hash`; not the hash where the form is
// another one.
template <typename Family>
[[gnu::always_inline]] inline bool find_steady(SharedState& state, Socket socket, const void* name,
                                               const void* control, RawDatagram& raw, uint64_t& hash,
                                               Steady& found) {
    if (!Family::read_words(name, control, raw)) [[unlikely]]
        return false;
    hash = state.hash_of(Family::peer(raw), socket.port());
    found.entry = state.table().find_unsalted(hash);
    const Conversation known = found.entry.state();
    if (!known.is_steady() || !state.locals.is_first_generation(known.first_index())) [[unlikely]]
        return false;
    found.source = kept_message_for<Family>(known.first_index(), raw);
    return found.source != nullptr;
}

} // namespace detail

template <typename Family>
[[gnu::always_inline]] inline Turn::Heard Turn::hear_alone(Socket socket, const msghdr& message,
                                                           bool is_batch, uint64_t& hash,
                                                           ConversationTable::Entry& found) {
    if (memory_ == nullptr) [[unlikely]]
        return Heard::not_yet;
    // Read once, because the compiler loads them again behind each atomic access.
    const void* const name = message.msg_name;
    const void* const control = message.msg_control;
    if (memory_->hear_again<Family>(socket, name, control))
        return Heard::again;
    if (!memory_->is_usual(socket)) [[unlikely]]
        return Heard::not_yet;
    SharedState& state = *shared_state::get();
    detail::Steady known;
    if (!detail::find_steady<Family>(state, socket, name, control, memory_->quick_words(), hash, known))
        [[unlikely]] {
        memory_->close_quick_look();
        found = known.entry;
        return Heard::not_yet;
    }
    const Run::Record record = known.record(hash);
    const bool is_alone = memory_->begin_run(is_batch, record);
    if (is_alone && !questions_change_threads(state)) [[likely]] {
        memory_->open_quick_look(known.entry, *known.source);
    } else {
        memory_->close_quick_look();
        // Where others may have answered what this thread has heard, hear_changing() finds that out.
        if (!is_alone && (questions_change_threads(state) || !memory_->go_on(record))) {
            found = known.entry;
            return Heard::not_yet;
        }
    }
    memory_->line().add(Counter::requests);
    return Heard::steady;
}

template <typename Family>
[[gnu::noinline]] bool detail::hear_hashed(ThreadMemory* memory, Socket socket, const msghdr& message,
                                           uint64_t hash, ConversationTable::Entry found) {
    RawDatagram raw;
    if (!Family::read(message.msg_name, message.msg_control, raw))
        return false;
    const Local local{Family::local(raw), 0};
    if (local.address.is_group() || !local)
        return false;
    hear_changing(memory, socket, hash, Family::peer(raw), local, found);
    return true;
}

[[gnu::always_inline]] inline Listening::Listening(Turn& turn, Socket socket)
    : memory_(turn.memory_), state_(shared_state::get()), socket_(socket) {
    if (memory_ != nullptr && !memory_->is_usual(socket) && !turn.becomes_usual(socket)) [[unlikely]]
        memory_ = nullptr;
}

[[gnu::always_inline]] inline bool Listening::hear(const msghdr& message, socklen_t room) const {
    if (memory_ == nullptr) [[unlikely]]
        return false;
    return with_form(
        message, room,
        [&]<typename Family>(Family) __attribute__((always_inline)) {
            RawDatagram raw;
            uint64_t hash = 0;
            detail::Steady known;
            if (!detail::find_steady<Family>(*state_, socket_, message.msg_name, message.msg_control, raw,
                                             hash, known)) [[unlikely]]
                return hash != 0 && detail::hear_hashed<Family>(memory_, socket_, message, hash,
                                                                state_->table().find_unsalted(hash));
            memory_->add(known.record(hash));
            return true;
        },
        []() __attribute__((always_inline)) { return false; });
}

[[gnu::always_inline]] inline Answering::Answering(const Turn& turn, Socket socket)
    : memory_(turn.memory_), state_(shared_state::get()), socket_(socket),
      answers_steady_(memory_ != nullptr && state_ != nullptr &&
                      (socket.word() & (Socket::has_address | Socket::only_ipv4)) == 0 &&
                      !questions_change_threads(*state_)) {}

namespace detail {

// Answering::source_for() where the answer is not the usual one. `hash`: 0 where it is not known.
// `has_begun`: whether the call has begun to send.
[[gnu::always_inline]] inline Source search_source(ThreadMemory* memory, Socket socket, uint64_t hash,
                                                   const void* name, socklen_t length, SourceRoom& room,
                                                   bool& has_begun) {
    SharedState* const state = shared_state::get();
    Peer peer;
    if (hash != 0) {
        read_peer(static_cast<const sockaddr*>(name), length, peer);
    } else {
        if (state == nullptr || !read_destination(socket, name, length, peer))
            return {};
        hash = state->hash_of(peer, socket.port());
        if (memory != nullptr && !std::exchange(has_begun, true))
            memory->begin_sending();
    }
    const Run::Record record = memory != nullptr ? memory->record_to_answer(hash) : Run::Record{};
    Source source;
    if (record.is_steady() && !questions_change_threads(*state) && !may_have_moved(*state, record))
        source = kept_source(record.at());
    else if (const LocalIndex at = send_changing(memory, socket, hash, peer, record); at != local_by_route)
        source = source_at(state->locals, at, room);
    // A connected socket gets what was sent to its address, and the kernel sends from there. What its peer
    // asks elsewhere is for another socket. The kernel refuses an IPv6 peer on a socket that has an IPv4
    // address. With our source it would not.
    const bool is_good =
        !socket.has(Socket::has_address) && (!socket.has(Socket::only_ipv4) || source.is_ipv4());
    return is_good ? source : Source{};
}

} // namespace detail

[[gnu::always_inline]] inline Source Answering::source_for(const void* name, socklen_t length,
                                                           SourceRoom& room) {
    uint64_t hash = 0;
    if (answers_steady_ && hash_of_name(name, length, socket_.port(), state_->key, hash)) [[likely]] {
        if (!std::exchange(has_begun_, true)) [[unlikely]]
            memory_->begin_sending();
        if (const Run::Record* const record = memory_->answer_steady(hash); record != nullptr) [[likely]]
            return kept_source(record->at());
    }
    return detail::search_source(memory_, socket_, hash, name, length, room, has_begun_);
}

} // namespace multihome::peers
