// SPDX-License-Identifier: MIT
//
// Hears a datagram that may change what is known of its peer.
#include "shim/base/kernel_constants.hpp"
#include "shim/base/log.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/clock.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"

namespace multihome::peers {

namespace {

using Entry = ConversationTable::Entry;
using Kind = Conversation::Kind;

// True where the peer is a server, and our port is one that the kernel gives to clients: then the peer
// answers us, and does not ask. Where both ports are the same, neither is a client of the other.
bool is_server_of_ours(const Peer& peer, in_port_t local_port) {
    return ntohs(local_port) >= first_given_port && Handover::answers_from(peer.port) &&
           peer.port != local_port;
}

// A function of its own: only a call that logs is to pay for the texts on the stack.
[[gnu::cold, gnu::noinline]] void log_new_peer(in_port_t port, const Peer& peer, const Local& local) {
    log::write(LogLevel::debug, FMT_COMPILE("port {}: peer {} asks {}"), ntohs(port),
               log::AddressText{peer}.text, log::AddressText{local.address}.text);
}

// Learns from a datagram that reached us at `local`, whose index is `salted`. Returns the conversation as it
// is now; the empty one where an answer leaves by route whatever it is.
Conversation learn(SharedState& state, ConversationTable& table, ThreadMemory* memory, Socket socket,
                   uint64_t hash, const Peer& peer, const Local& local, LocalAddresses::SaltedIndex salted,
                   const Entry& found) {
    const LocalIndex at = salted.index;
    if (at == local_by_route)
        return {};
    const Ticks time = now();
    // The program peeked at this datagram, and we learnt from it then. Where another thread has heard the
    // peer since, it is another datagram. So it is on a second look after an answer, or when the question has
    // run out: we do not always see who takes a datagram out of the queue.
    if (memory != nullptr && memory->takes_peeked(hash, at) && found.state().asked_last() == at &&
        !(memory->is_looking() && !found.state().waits(time, table.lifetimes()))) [[unlikely]]
        return found.state();
    // Asked once more where it waits, in the same quarter of a second: nothing changes.
    if (found.state() == Conversation::question(at, time) &&
        state.question_times.is_noted(hash, found.state(), time) && !state.handover.has_lost_some(time))
        return found.state();
    const ConversationTable::Heard heard = table.hear(hash, at, time, found, [&](Conversation next) {
        if (next.has_question())
            state.question_times.note(hash, next, time);
    });
    if (!state.locals.is_still(salted)) [[unlikely]] {
        table.forget(hash); // it says something of another address, which has the index since
        return {};
    }
    if (heard.is_new) {
        detail::count(memory, socket, Counter::clients);
        if (log::wanted(LogLevel::debug)) [[unlikely]]
            log_new_peer(socket.port(), peer, local);
    }
    // No line of the log: strangers would decide when it is written.
    if (heard.is_crowded)
        detail::count(memory, socket, Counter::crowded);
    const Conversation now_in = heard.entry.state();
    if (now_in.kind() == Kind::question && socket.port() != 0 && !Handover::answers_from(peer.port))
        state.handover.offer(state.hash_of(peer), socket.port(), time, table.lifetimes());
    // Where others have changed the entry at each attempt, only this thread knows of the question.
    return now_in ? now_in : Conversation::question(at, time);
}

// True where other threads have answered `last`, what this one has heard of a peer last: within a run it
// sends nothing. `known`: what is known of the peer now.
bool is_answered_elsewhere(Run::Record last, Conversation known) {
    if (last.at() == local_by_route)
        return false;
    if (known.kind() == Kind::known)
        return !last.is_at_home() || last.at() != known.first_index();
    return known.has_question() && known.is_answered();
}

// Notes that this thread receives something.
void begin_reading(SharedState& state, ThreadMemory& memory) {
    if (memory.is_reader())
        return;
    memory.set_reader();
    state.readers.fetch_add(1, std::memory_order_relaxed); // a hint
}

// False where the program asks for packet information itself, because it has to see that on every datagram;
// where a source is not good for each peer, because the quick look does not ask whose it is; and where
// answers take the interface of the question, because no form tells which that was.
bool may_be_usual(Socket socket) {
    // IPv6 peers may have asked before connect() gave it an IPv4 address. (::ffff:0.0.0.0 hears none.)
    const bool may_hear_both = socket.has(Socket::only_ipv4) && socket.has(Socket::has_address);
    return !socket.has(Socket::wants_messages) && !may_hear_both && !settings::get().same_interface;
}

} // namespace

bool Turn::becomes_usual(Socket socket) {
    if (memory_ == nullptr || memory_->is_usual(socket) || !may_be_usual(socket) ||
        (!memory_->has_line(socket) && detail::choose_line(memory_, socket) == nullptr))
        return false;
    memory_->set_usual();
    begin_reading(*shared_state::get(), *memory_);
    return true;
}

void detail::hear_changing(ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer,
                           const Local& local, Entry found) {
    SharedState& state = *shared_state::get();
    ConversationTable table = state.table();
    found = table.find(hash, found);
    const Conversation before = found.state();
    if (memory != nullptr && questions_change_threads(state) &&
        is_answered_elsewhere(memory->heard_last(hash), before))
        memory->answered_elsewhere(hash);
    const bool is_to_group = local == control::group_asked;
    LocalAddresses::SaltedIndex at; // none: an answer leaves by route
    bool is_steady = false;
    bool is_at_home = false;
    if (is_server_of_ours(peer, socket.port())) {
        // No question: it teaches nothing.
    } else if (!local || is_to_group) {
        // It names no address to answer from, and says only that the peer has spoken.
        table.hear(hash, local_by_route, now(), found);
    } else {
        at = state.locals.index_of(local, before || memory == nullptr ? before.first_index()
                                                                      : memory->heard_at_before());
        is_steady = before.is_steady() && at.index == before.first_index();
        const Conversation after =
            is_steady ? before : learn(state, table, memory, socket, hash, peer, local, at, found);
        is_at_home = after.kind() == Kind::known && after.first_index() == at.index;
        if (!after || after.kind() == Kind::spoke_first)
            at = {};
    }
    if (memory == nullptr)
        return;
    const uint8_t generation = LocalAddresses::generation_of(at.salt);
    is_steady = is_steady && generation == LocalAddresses::first_generation && is_kept(at.index);
    Run::Record record =
        is_to_group ? Run::Record::to_group(hash) : Run::Record{hash, at.index, generation, is_steady};
    if (is_at_home)
        record.set_at_home();
    memory->add(record);
}

bool Turn::hear(Socket socket, const msghdr& message, const Local& local) {
    SharedState* const state = shared_state::get();
    Peer peer;
    if (state == nullptr ||
        !read_peer(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen, peer))
        return false;
    if (memory_ != nullptr)
        begin_reading(*state, *memory_);
    const uint64_t hash = state->hash_of(peer, socket.port());
    detail::hear_changing(memory_, socket, hash, peer, local, state->table().find_unsalted(hash));
    return true;
}

} // namespace multihome::peers
