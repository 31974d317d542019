// SPDX-License-Identifier: MIT
#include "shim/peers/peers.hpp"

#include "shim/base/control.hpp"
#include "shim/base/log.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/shared_state.hpp"

#include <ctime>

namespace multihome {

constinit thread_local Recent recent;

namespace peers {

namespace {

using Entry = PeerTable::Entry;

constinit std::atomic<unsigned> next_shard{0};

void say_new_peer(int fd, const Peer& peer, const Local& local) {
    if (log::wanted(LogLevel::debug)) [[unlikely]]
        log::write(LogLevel::debug, "socket {}: peer {} asks {}", fd, log::AddressText{peer}.text,
                   local ? log::AddressText{local.address}.text : "a group");
}

[[gnu::cold]] void say_crowded() {
    constinit static std::atomic<bool> said{false};
    if (!said.exchange(true, std::memory_order_relaxed))
        log::write(
            LogLevel::warn,
            "new peers come faster than a table for {} peers can hold: answers that are not sent at once may "
            "leave as without multihome; raise MULTIHOME_PEERS",
            settings::get().peers);
}

// The first datagram tells who speaks first here.
void settle_role(Socket& socket, int fd, Socket::Role role) {
    if (socket.role() != Socket::Role::fresh)
        return;
    const Socket settled = socket.with_role(role);
    sockets::update(fd, socket, settled);
    socket = settled;
}

// Read only for peers that are new or wait for their answer. CLOCK_MONOTONIC_COARSE is read without a system
// call.
uint32_t seconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<uint32_t>(now.tv_sec);
}

// A thread has answered a peer that is not among those it has just heard: here, requests go from thread to
// thread. Relaxed: a hint that is true for good once it is true.
void note_answer_for_others(SharedState& state) {
    if (state.answers_for_others.load(std::memory_order_relaxed) == 0)
        state.answers_for_others.store(1, std::memory_order_relaxed);
}

// Counts this thread among the readers. Relaxed: a hint.
void note_reader(SharedState& state) {
    constinit static thread_local bool noted = false;
    if (noted)
        return;
    noted = true;
    state.readers.fetch_add(1, std::memory_order_relaxed);
}

// This thread has heard the peer at the address in `then`; the table says `now`, so the peer has been heard
// at another one since. By a single reader: the answers come in order, and this one belongs to `then`. By
// another thread, where threads answer what they read themselves: likewise. But where requests go from thread
// to thread, that has been answered long since, and this answer belongs to `now`.
bool requests_change_threads(const SharedState& state) {
    return state.answers_for_others.load(std::memory_order_relaxed) != 0 &&
           state.readers.load(std::memory_order_relaxed) > 1;
}
bool was_heard_elsewhere(const SharedState& state, uint64_t then, uint64_t now) {
    return requests_change_threads(state) && ((then ^ now) & Entry::identity_mask) == 0 &&
           Entry::local(then) != Entry::local(now);
}

// An answer has used the peer's entry: nobody waits for another socket to answer it.
void note_answered(SharedState& state, uint64_t hash, uint64_t word) {
    if ((word & Entry::answered_bit) == 0)
        state.handover.withdraw(hash);
}

Local local_of(const SharedState& state, uint64_t word) {
    return state.locals.at(Entry::local(word));
}

uint64_t key_of(const Peer& peer, uint64_t hash) {
    return peer.address.is_ipv4() ? Record::key_of_ipv4(peer) : Record::key_of_ipv6(hash);
}

} // namespace

constinit thread_local Counters::Shard* detail::counters = nullptr;

Counters::Shard* detail::choose_counters() {
    SharedState* state = shared_state::get();
    if (state != nullptr)
        counters = &state->counters.shard(next_shard.fetch_add(1, std::memory_order_relaxed));
    return counters;
}

void begin_receiving(const Turn& turn, Socket socket, bool batch) {
    if (turn)
        recent.begin_call(socket.tag(), batch);
}

void drained(Socket socket) {
    if (const Turn turn; turn)
        recent.drained(socket.tag());
}

void end_peek(const Turn& turn) {
    if (turn)
        recent.end_peek();
}

[[gnu::hot]] void heard(const Turn& turn, Socket socket, int fd, uint64_t name, const Peer& peer,
                        const Local& local, uint64_t arrival) {
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return;
    count(Counter::received);
    settle_role(socket, fd, Socket::Role::server);

    // The same peer at the same address once more, answered before, and its entry untouched since: nothing to
    // hash, nothing to store. Relaxed: only the equality counts.
    const Recent::Heard* previous = turn ? recent.previous(socket.tag()) : nullptr;
    if (previous != nullptr && previous->peer == peer && previous->local == local &&
        previous->arrival == arrival && (previous->word & Entry::answered_bit) != 0 && recent.is_settled()) {
        recent.note();
        return;
    }

    note_reader(*state);
    const uint64_t hash = hash_of(peer, state->key);
    Recent::Heard now;
    now.peer = peer;
    now.local = local;
    now.tag = socket.tag();
    now.arrival = arrival;
    now.hash = hash;
    now.name = name;
    const LocalIndex index = local ? state->locals.intern(local) : local_by_route;
    if (local && index == local_by_route) {
        // The list is full. The answer of this thread still finds its way by `recent`; others must not be
        // sent astray by what the table said before.
        state->table().forget(hash, socket.tag());
        now.word = Entry::identity(hash, socket.tag());
        now.record = {key_of(peer, hash), local_by_route, false};
        if (turn)
            recent.add(now);
        constinit static std::atomic<bool> said{false};
        if (!said.exchange(true, std::memory_order_relaxed))
            log::write(
                LogLevel::warn,
                "more than {} local addresses in use: answers from the others are right only if the thread "
                "that received the request sends them at once",
                LocalAddresses::capacity);
        return;
    }
    const Learned learned = state->table().learn(hash, socket.tag(), index);
    if (learned.slot != nullptr) {
        now.slot = learned.slot;
        now.word = learned.word;
    } else {
        now.word = Entry::identity(hash, socket.tag());
    }
    if (learned.inserted) {
        count(Counter::peers);
        say_new_peer(fd, peer, local);
        if (learned.crowded)
            say_crowded();
    }
    if (Entry::local(now.word) == local_asked_first)
        now.local = {};
    else if (socket.role() == Socket::Role::server && (now.word & Entry::answered_bit) == 0 && local)
        state->handover.offer(hash, index, seconds());
    now.record = {key_of(peer, hash), Entry::local(now.word), (now.word & Entry::answered_bit) != 0};
    if (turn)
        recent.add(now);
}

// A datagram that is as heard_alike() and heard_in_batch() want it, but for who the peer is.
[[gnu::hot]] bool detail::heard_another(Socket socket, const sockaddr* name, socklen_t length, bool batch) {
    Peer peer;
    if (!read_peer(name, length, peer))
        return false;
    uint64_t first_bytes = 0;
    std::memcpy(&first_bytes, name, sizeof first_bytes);
    SharedState* state = shared_state::get();
    const bool ipv4 = address_family(first_bytes) == AF_INET;
    const uint64_t hash = ipv4 ? hash_of_ipv4(peer, state->key) : hash_of(peer, state->key);
    const PeerTable::Found found = state->table().find_settled(hash, recent.previous(socket.tag())->word);
    if (found.slot == nullptr)
        return false;
    const uint64_t key = ipv4 ? Record::key_of_ipv4(peer) : key_of(peer, hash);
    if (batch)
        recent.add_another(first_bytes, peer, hash, key, found);
    else
        recent.continue_with(first_bytes, peer, hash, key, found);
    count(Counter::received);
    return true;
}

// An answer in the order of a batch's datagrams, to a peer whose entry no answer has to be noted in.
[[gnu::hot]] const SourceMessage* detail::answer_in_order(Socket socket, const sockaddr* address,
                                                          socklen_t length) {
    const Recent::Heard* last = recent.last(socket.tag());
    SharedState* state = shared_state::get();
    // Connected to an IPv4 peer since: the long way sees whom it sends to.
    if (last == nullptr || socket.has(Socket::only_ipv4) || requests_change_threads(*state))
        return nullptr;
    uint64_t key = 0;
    if (recent.is_last_peer(address, length)) {
        key = last->record.key();
    } else {
        Peer peer;
        if (!read_peer(address, length, peer))
            return nullptr;
        key = peer.address.is_ipv4() ? Record::key_of_ipv4(peer)
                                     : Record::key_of_ipv6(hash_of(peer, state->key));
    }
    const Record record = recent.next(key);
    if (!record.answered())
        return nullptr;
    const SourceMessage* message = SourceMessage::find(record.local());
    if (message == nullptr) {
        const Local local = state->locals.at(record.local());
        if (!local)
            return nullptr;
        message = &SourceMessage::make(record.local(), local);
    }
    recent.take_next();
    return message;
}

void open_shortcut(const Turn& turn, Socket socket, const sockaddr* address, const Peer& peer,
                   const Local& local) {
    // A program that asks for packet information itself is to see it on every datagram.
    if (turn && (socket.word() & Socket::all_asked) == 0 && detail::counters != nullptr &&
        recent.may_set_shortcut(socket.tag(), peer, local))
        recent.set_shortcut(socket.word(), address, *detail::counters);
}

[[gnu::hot]] Local source_for(const Turn& turn, Socket socket, int fd, const Peer& peer) {
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return {};
    Recent::Heard* last = nullptr;
    if (turn) {
        recent.sent();
        last = recent.last(socket.tag());
    }
    const bool in_order = last != nullptr && recent.in_order();
    if (last != nullptr && !in_order && last->peer == peer) {
        if (last->slot == &Recent::no_slot)
            return last->local;
        const uint64_t word = last->slot->load(std::memory_order_acquire); // as PeerTable::find()
        if (was_heard_elsewhere(*state, last->word, word))
            return local_of(*state, word);
        if ((last->word & Entry::answered_bit) == 0) {
            note_answered(*state, last->hash, last->word);
            last->word = PeerTable::mark_answered(last->slot, last->word);
            // For the datagrams after this one that are like it.
            if ((last->word & Entry::answered_bit) != 0)
                last->record.note_answered();
        }
        return last->local;
    }
    const uint64_t hash = hash_of(peer, state->key);
    PeerTable table = state->table();
    const uint64_t key = key_of(peer, hash);
    if (in_order) {
        if (const Record record = recent.take(key)) {
            const uint64_t word = table.find(hash, socket.tag());
            if ((word & Entry::answered_bit) == 0) {
                note_answered(*state, hash, word);
                table.mark_answered(hash, socket.tag());
            }
            const bool elsewhere =
                word != 0 && requests_change_threads(*state) && Entry::local(word) != record.local();
            return state->locals.at(elsewhere ? Entry::local(word) : record.local());
        }
    }
    if (const uint64_t word = table.find(hash, socket.tag()); word != 0) {
        if ((word & Entry::answered_bit) == 0) {
            note_answered(*state, hash, word);
            table.mark_answered(hash, socket.tag());
        }
        if (turn && (last == nullptr || !recent.latest(key)))
            note_answer_for_others(*state);
        return local_of(*state, word);
    }
    // A group is nobody that could have spoken first.
    if (peer.address.is_group())
        return {};
    if (socket.role() != Socket::Role::client) {
        const LocalIndex offered = state->handover.find(hash, seconds());
        if (offered != local_by_route) {
            table.learn(hash, socket.tag(), offered);
            return state->locals.at(offered);
        }
    }
    settle_role(socket, fd, Socket::Role::client);
    if (socket.role() == Socket::Role::client)
        table.learn(hash, socket.tag(), local_asked_first);
    return {};
}

Local handed_over(const Peer& peer) {
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return {};
    return state->locals.at(state->handover.find(hash_of(peer, state->key), seconds()));
}

void refused(Socket socket, const Peer& peer, const Local& local) {
    count(Counter::fallbacks);
    SharedState* state = shared_state::get();
    if (state == nullptr)
        return;
    const uint64_t hash = hash_of(peer, state->key);
    state->table().forget(hash, socket.tag());
    state->handover.withdraw(hash);
    if (const Turn turn; turn)
        recent.forget(peer);
    if (log::wanted(LogLevel::debug))
        log::write(LogLevel::debug, "{} is no source for {} any more: sent as without multihome",
                   log::AddressText{local.address}.text, log::AddressText{peer}.text);
}

} // namespace peers
} // namespace multihome
