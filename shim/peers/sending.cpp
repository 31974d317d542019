// SPDX-License-Identifier: MIT
//
// Finds the source of what is sent where that may change what is known of the peer: of an answer to a peer
// that is not steady, of what the program sends on its own, and of what answers for another socket.
#include "shim/base/log.hpp"
#include "shim/peers/clock.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"

namespace multihome::peers {

namespace {

using Entry = ConversationTable::Entry;
using Kind = Conversation::Kind;

// No part of refused(): only a call that logs is to pay for the texts on the stack.
[[gnu::cold, gnu::noinline]] void log_refused(const Peer& peer, const Local& local) {
    log::write(LogLevel::debug, FMT_COMPILE("{} is no source for {} any more: sent as without multihome"),
               log::AddressText{local.address}.text, log::AddressText{peer}.text);
}

// Notes that what is sent now made this change. `memory`: null where the thread has no turn.
[[gnu::always_inline]] inline void remember(ThreadMemory* memory, uint64_t hash, ThreadMemory::Place place,
                                            const ConversationTable::Change& change) {
    if (memory != nullptr)
        memory->set_stored(hash, place, change);
}

// An answer leaves from `at`, where the peer was heard. Returns what that changed in the table.
[[gnu::always_inline]] inline ConversationTable::Change note_answer(SharedState& state, LocalIndex at,
                                                                    const Entry& entry) {
    const Conversation before = entry.state();
    const Entry after = state.table().answer(at, entry);
    if (before.kind() == Kind::question && !before.is_answered())
        state.locals.use(at);
    return {entry.word, entry.held, after.held};
}

// Returns where the peer waits for an answer from another port than the one it asked (handover.hpp);
// local_by_route where it does not. `hash`: the peer's alone.
LocalIndex find_offer(SharedState& state, Socket socket, uint64_t hash, const Peer& peer, Ticks time) {
    const ConversationTable table = state.table();
    const in_port_t port = state.handover.find(hash, socket.made(), time, table.lifetimes());
    if (port == 0)
        return local_by_route;
    const uint64_t asked_hash = state.hash_of(peer, port);
    const Conversation asked = table.find(asked_hash).state();
    return asked.kind() == Kind::question && asked.waits(time, table.lifetimes()) &&
                   state.question_times.is_recent(asked_hash, asked, time, table.lifetimes())
               ? asked.first_index()
               : local_by_route;
}

// True where what is sent to a peer is the answer to `record`, which this thread has heard. `known`: what is
// known of the conversation. `time`: now, if it has a question.
bool is_answer(ThreadMemory& memory, const Run::Record& record, Conversation known, Ticks time,
               const Lifetimes& lifetimes) {
    const Kind kind = known.kind();
    // What has its answer is not the question that another thread has heard since.
    if (kind == Kind::question)
        return known.is_alive(time, lifetimes) &&
               (record.at() == known.first_index() || !record.is_answered());
    // What was heard has lapsed, or was pushed out of the table before the program spoke.
    if (kind == Kind::spoke_first)
        return false;
    // The peer is known there: answer or not, the source is the same.
    if (record.at() == known.first_index())
        return true;
    const bool has_run_out = known.has_question() && !known.is_alive(time, lifetimes);
    return !has_run_out && memory.answers_at(exactly_now(), record.is_answered());
}

// True where other threads have answered `record`: the peer was at home there, and has a new home since.
bool is_overtaken(Run::Record record, Conversation known) {
    return record.is_at_home() && known.kind() == Kind::known && record.at() != known.first_index();
}

// Something is sent to a peer on a socket that may answer for another one. Returns where it leaves from, if
// the peer waits for that; else local_by_route. `found` is older: of a socket that had this port before, or
// of any whose port nobody knows.
LocalIndex take_offer(SharedState& state, ThreadMemory* memory, Socket socket, uint64_t hash,
                      const Peer& peer, const Entry& found) {
    const Ticks time = now();
    const uint64_t peer_hash = state.hash_of(peer);
    const LocalIndex at = find_offer(state, socket, peer_hash, peer, time);
    // Where a listener has this port too, what the peer has asked that one comes first (DTLS).
    if (at == local_by_route || (found && socket.port() != 0 && sockets::shares_port(socket)))
        return local_by_route;
    remember(memory, hash, ThreadMemory::in_handover, state.handover.withdraw(peer_hash, time));
    // If it is not sent after all, the table goes on saying that it was: else the next try would seem late.
    state.table().hand_over(hash, at, time, found,
                            [&](Conversation next) { state.question_times.note(hash, next, time); });
    state.locals.use(at);
    if (memory != nullptr) {
        memory->forget(hash, [](LocalIndex) { return true; });
        // The next datagrams of this answer follow the first.
        memory->begin_late_answer(hash, exactly_now());
    }
    return at;
}

// Something is sent to a peer that this thread has not just heard. `late`: see Conversation::spoken().
LocalIndex speak(SharedState& state, ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer,
                 const Entry& found, bool late) {
    // A group is nobody that could have spoken.
    if (!found && peer.address.is_group())
        return local_by_route;
    ConversationTable table = state.table();
    const Ticks time = now();
    const Conversation known = found.state();
    if (memory != nullptr && known.has_moving_answer(time, table.lifetimes()) &&
        memory->goes_on_with_late_answer(hash, exactly_now()))
        return known.second_index();
    const ConversationTable::Spoken spoken = table.speak(hash, time, found, late);
    if (memory != nullptr && spoken.change.word != nullptr && known.kind() == Kind::moving &&
        spoken.from == known.second_index())
        memory->begin_late_answer(hash, exactly_now());
    remember(memory, hash, ThreadMemory::in_table, spoken.change);
    if (spoken.is_late_answer) {
        // Who does not remember everything may have answered at once: that is no sign of late answers.
        if (!answers_late(state) && memory != nullptr && !memory->has_lost_some())
            state.answers_late.store(1, std::memory_order_relaxed);
        state.locals.use(spoken.from);
    }
    // A peer whose answer was handed over to this socket, and has been lost, is none that the program asks.
    const bool is_handed_over =
        known.first_index() != local_by_route && state.handover.may_offer_to(socket.made());
    if (spoken.from == local_by_route && !known.has_lost_its_address() && !is_handed_over)
        remember(memory, hash, ThreadMemory::in_handover, state.handover.speak(state.hash_of(peer), time));
    return spoken.from;
}

} // namespace

// Returns where something that is sent leaves from. `record`: what it may answer, as this thread heard it.
LocalIndex detail::send_changing(ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer,
                                 Run::Record record) {
    SharedState& state = *shared_state::get();
    Entry found = state.table().find(hash);
    if (state.handover.may_offer_to(socket.made()))
        if (const LocalIndex at = take_offer(state, memory, socket, hash, peer, found); at != local_by_route)
            return at;
    Ticks time = 0;
    if (found.state().has_question()) {
        time = now();
        if (!state.question_times.is_recent(hash, found.state(), time, state.table().lifetimes()))
            [[unlikely]]
            found = state.table().run_out(time, found);
    }
    const Conversation known = found.state();
    // Another address has the index by now.
    if (record.generation() != state.locals.generation(record.at())) [[unlikely]]
        record.forget_address();
    // This may be an answer without a record: in a signal handler, or of more than the thread remembers.
    bool late = answers_late(state) || memory == nullptr || memory->has_lost_some();
    if (record.at() != local_by_route) {
        // Another thread may have heard the peer since, at another address: then this may answer that.
        const bool for_thread = questions_change_threads(state);
        const bool for_parent = memory->may_answer_for_parent(record);
        const bool for_lost = memory->may_have_lost_latest();
        const bool is_ours = (!for_thread && !for_parent && !for_lost) || !found ||
                             (known.asked_last() == memory->heard_last(hash).at() &&
                              !(for_thread && is_overtaken(record, known)));
        if (is_ours && is_answer(*memory, record, known, time, state.table().lifetimes())) {
            remember(memory, hash, ThreadMemory::in_table, note_answer(state, record.at(), found));
            return record.at();
        }
        if (record.is_answered())
            memory->set_on_its_own();
        // What this thread has heard last is answered, and one more question may wait.
        const bool for_more = answers_late(state) && known.has_more();
        // A child may also be there to send to this peer on its own: then a forged question does not undo
        // that the peer was answered at its home, if it was answered before it became known. Where the
        // program is known to answer late, a child counts as a thread that has never heard the peer.
        late =
            for_thread || for_lost || for_more || (for_parent && (known.is_settled() || answers_late(state)));
    } else if (record.is_to_group() && !questions_change_threads(state) &&
               !memory->may_answer_for_parent(record) &&
               memory->answers_at(exactly_now(), record.is_answered())) {
        // The answer to what was sent to a group goes by route, wherever else the peer has asked.
        count(memory, socket, Counter::spoke_first);
        return local_by_route;
    }
    const LocalIndex at = speak(state, memory, socket, hash, peer, found, late);
    if (at == local_by_route)
        count(memory, socket, record ? Counter::spoke_first : Counter::not_heard);
    return at;
}

bool read_destination(Socket socket, const void* name, socklen_t length, Peer& peer) {
    sockaddr_in without_family;
    if (length >= sizeof without_family && !socket.has(Socket::ipv6)) {
        std::memcpy(&without_family, name, sizeof without_family);
        if (without_family.sin_family == AF_UNSPEC) {
            without_family.sin_family = AF_INET;
            name = &without_family;
        }
    }
    return read_peer(static_cast<const sockaddr*>(name), length, peer);
}

Local Turn::source_for_connection(Socket socket, const Peer& peer) {
    SharedState* const state = shared_state::get();
    if (state == nullptr)
        return {};
    const uint64_t hash = state->hash_of(peer, socket.port());
    Run::Record record;
    if (memory_ != nullptr) {
        memory_->begin_sending();
        record = memory_->record_to_answer(hash);
    }
    return state->locals.at(detail::send_changing(memory_, socket, hash, peer, record));
}

void Turn::not_sent(Socket socket, const Peer& peer, bool was_last, const Local& source) {
    SharedState* state = shared_state::get();
    if (memory_ == nullptr || state == nullptr)
        return;
    const uint64_t hash = state->hash_of(peer, socket.port());
    // Of a batch, the thread remembers only what it stored last.
    if (!memory_->not_sent(hash, was_last) && source)
        state->table().take_back_answer(hash, [&](LocalIndex at) { return state->locals.is_at(at, source); });
}

void Turn::refused(Socket socket, const Peer& peer, const Local& local) {
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return;
    count(socket, Counter::refused);
    const uint64_t hash = state->hash_of(peer, socket.port());
    const auto is_gone = [&](LocalIndex at) { return state->locals.is_at(at, local); };
    if (memory_ != nullptr)
        memory_->forget(hash, is_gone);
    state->table().forget_addresses(hash, now(), is_gone);
    if (log::wanted(LogLevel::debug)) [[unlikely]]
        log_refused(peer, local);
}

Local handed_over(Socket socket, const Peer& peer) {
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return {};
    return state->locals.at(find_offer(*state, socket, state->hash_of(peer), peer, now()));
}

void withdraw_offer(const Peer& peer) {
    if (SharedState* state = shared_state::get(); state != nullptr)
        state->handover.withdraw(state->hash_of(peer), now());
}

void asks(const Peer& peer) {
    if (SharedState* state = shared_state::get(); state != nullptr)
        state->handover.speak(state->hash_of(peer), now());
}

} // namespace multihome::peers
