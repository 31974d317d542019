// SPDX-License-Identifier: MIT
//
// What is known of each conversation: a set-associative table of 64-bit words, lock-free, for threads and for
// processes that share the memory it lies in. All functions are async-signal-safe.
//
// Invariants
//  - A word is the whole truth about one conversation. It changes by one compare-and-swap from one state to
//    another (conversation.hpp), so a reader sees it as it was or as it is. A writer that stops anywhere (a
//    signal, a killed process, a fork) leaves a table that everybody else can go on using.
//  - A look-up reads one bucket, a bucket is one cache line.
//  - Nothing is stored where nothing changes.
//  - Losing a race is harmless: the event that won is as true as ours, and ours is tried again on top of it.
//  - Bucket and fingerprint are different bits of the conversation's hash. A false match needs 36 equal bits
//    of it: 8 * 2^-36 = 2^-33 a look-up.
//  - An entry names local addresses by index; the salts of those indexes are part of its fingerprint
//    (local_addresses.hpp).
//
// Replacement. While a bucket holds at least `probation` entries that are not settled, the oldest of those
// makes room. So a flood of peers that nobody answers pushes out its own entries. Else a settled entry makes
// room, one that was not heard since replacement last came by (the clock algorithm).
#pragma once

#include "shim/peers/conversation.hpp"
#include "shim/peers/local_addresses.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace multihome {

template <template <typename> class Atomic = std::atomic>
class BasicConversationTable {
public:
    static constexpr unsigned ways = 8;
    static constexpr unsigned probation = 4;
    static constexpr unsigned maximum_bucket_bits = 21;

    using Word = Atomic<uint64_t>;
    // Aligned to its size: see find_unsalted(). The tests' words are larger, and may leave room at the end.
    struct alignas(std::bit_ceil(ways * sizeof(Word))) Bucket {
        std::array<Word, ways> words;
    };

    // How many buckets `peers` peers need at two words each, as an exponent of two.
    static constexpr unsigned bucket_bits_for(size_t peers) {
        unsigned bits = 1;
        while (bits < maximum_bucket_bits && (size_t{1} << bits) * (ways / 2) < peers)
            ++bits;
        return bits;
    }

    // The bits of a hash that are the byte offset of its bucket among 2^`bucket_bits`.
    static constexpr uint64_t bucket_mask_for(unsigned bucket_bits) {
        return ((uint64_t{1} << bucket_bits) - 1) * sizeof(Bucket);
    }
    // Bucket and fingerprint share no bits of the hash.
    static_assert((bucket_mask_for(maximum_bucket_bits) & ~Conversation::mask) == 0);

    // `buckets`: zeroed, as many as `bucket_mask` is for. The table owns nothing.
    BasicConversationTable(Bucket* buckets, uint64_t bucket_mask, BasicLocalAddresses<Atomic>* locals,
                           const Lifetimes& lifetimes)
        : buckets_(buckets), bucket_mask_(bucket_mask), locals_(locals), lifetimes_(lifetimes) {}

    // Where a conversation's word lies, and what it held when it was looked at.
    struct Entry {
        Word* word = nullptr;
        uint64_t held = 0;

        // False where nothing is recorded.
        explicit operator bool() const { return static_cast<bool>(state()); }
        Conversation state() const { return Conversation{held}; }
        // True where nothing has been stored in it since. Relaxed: only the equality counts.
        bool is_unchanged() const { return word->load(std::memory_order_relaxed) == held; }
    };

    // The conversation's entry. `found`: what find_unsalted() returned.
    Entry find(uint64_t hash) const { return find(hash, find_unsalted(hash)); }
    Entry find(uint64_t hash, const Entry& found) const {
        return locals_->is_any_reused() ? find_salted(hash) : found;
    }

    // The conversation's entry where the salts of its addresses are 0. That is what find() returns while no
    // slot has had a second address, as on nearly every host.
    [[gnu::always_inline]] Entry find_unsalted(uint64_t hash) const {
        // A bucket is aligned to its size: a word's address tells whether it is the last. A register less.
        constexpr size_t end = sizeof(Bucket::words) % sizeof(Bucket);
        for (Word* word = bucket_of(hash).words.data();;) {
            // Acquire pairs with the release of every exchange: who reads an index reads its salt too.
            const uint64_t held = word->load(std::memory_order_acquire);
            if (((held ^ hash) & fingerprint_mask) == 0) [[likely]]
                return {word, held};
            if (reinterpret_cast<uintptr_t>(++word) % sizeof(Bucket) == end)
                return {};
        }
    }

    // What an event stored: `after` in the place of `before`.
    struct Change {
        Word* word = nullptr; // null: nothing
        uint64_t before = 0;
        uint64_t after = 0;

        // Puts back what was there before. A lost race means that something has happened since.
        void take_back() const {
            uint64_t expected = after;
            if (word != nullptr)
                word->compare_exchange_strong(expected, before, std::memory_order_release,
                                              std::memory_order_relaxed);
        }
    };

    struct Heard {
        Entry entry;
        Change change;
        bool is_new = false;     // the conversation was not in the table
        bool is_crowded = false; // and pushed out a question that had hardly been asked
    };
    struct Spoken : Conversation::Spoken {
        Change change;
    };
    struct NoNote {
        void operator()(Conversation /*next*/) const {}
    };

    // The next three take what find() returned as `found`, and begin a conversation that is not there. `note`
    // is called with each state that the table is about to have, before it has it.

    // The peer was heard at `at`.
    template <typename Note = NoNote>
    [[gnu::always_inline]] Heard hear(uint64_t hash, LocalIndex at, Ticks now, Entry found, Note note = {}) {
        return change(hash, now, found, note,
                      [&](Conversation state) { return state.heard(at, now, lifetimes_); });
    }

    // A socket on another port answers what the peer has asked at `at`.
    template <typename Note>
    void hand_over(uint64_t hash, LocalIndex at, Ticks now, Entry found, Note note) {
        change(hash, now, found, note,
               [&](Conversation state) { return state.handed_over(at, now, lifetimes_); });
    }

    // Something is sent that is no answer to what this thread has just heard: Conversation::spoken().
    Spoken speak(uint64_t hash, Ticks now, Entry found, bool late) {
        Conversation::Spoken spoken;
        const Heard heard = change(hash, now, found, NoNote{}, [&](Conversation state) {
            spoken = state.spoken(now, lifetimes_, late);
            return spoken.after;
        });
        return {spoken, heard.change};
    }

    // The next four change what is there, or nothing if they lose a race: the peer was heard again meanwhile.
    // The first two take what find() returned as `entry`, and return what they stored, or else `entry`.

    // The thread that heard the peer at `at` has sent it something.
    Entry answer(LocalIndex at, const Entry& entry) { return update(entry, entry.state().answered(at)); }

    // The last question has run out, whatever its age says by now.
    Entry run_out(Ticks now, const Entry& entry) {
        return update(entry, entry.state().run_out(now, lifetimes_));
    }

    // Forgets the addresses that `is_gone` as sources for this conversation.
    template <typename IsGone>
    void forget_addresses(uint64_t hash, Ticks now, IsGone is_gone) {
        const Entry entry = find(hash);
        Conversation next = entry.state();
        for (const LocalIndex index : {next.second_index(), next.first_index()})
            if (index != local_by_route && is_gone(index))
                next = next.without(index, now, lifetimes_);
        if (next != entry.state())
            exchange(entry, word_of(hash_of(entry), next));
    }

    // What was to answer the peer at the address that `is_source` was not sent.
    template <typename IsSource>
    void take_back_answer(uint64_t hash, IsSource is_source) {
        const Entry entry = find(hash);
        if (is_source(entry.state().second_index()))
            update(entry, entry.state().not_answered());
    }

    // Forgets the conversation. `keeps_first`: but for the entry that look-ups find first.
    void forget(uint64_t hash, bool keeps_first = false) {
        for (Word& word : bucket_of(hash).words) {
            uint64_t held = word.load(std::memory_order_relaxed);
            if (is_of(held, hash) && !std::exchange(keeps_first, false))
                word.compare_exchange_strong(held, 0, std::memory_order_relaxed);
        }
    }

    const Lifetimes& lifetimes() const { return lifetimes_; }

private:
    static constexpr uint64_t fingerprint_mask = ~Conversation::mask;

    Bucket& bucket_of(uint64_t hash) const {
        return *reinterpret_cast<Bucket*>(reinterpret_cast<unsigned char*>(buckets_) + (hash & bucket_mask_));
    }

    // find() where a salt may be other than 0.
    [[gnu::noinline]] Entry find_salted(uint64_t hash) const {
        for (Word& word : bucket_of(hash).words) {
            const uint64_t held = word.load(std::memory_order_acquire); // see find()
            if (is_of(held, hash))
                return {&word, held};
        }
        return {};
    }

    // The salts of the addresses in this state.
    [[gnu::always_inline]] uint64_t salt_of(Conversation state) const {
        // Without an address the index is local_by_route, whose salt is 0.
        uint64_t salt = locals_->salt(state.first_index());
        // Shifted, because all indexes go through the same salts: else two equal ones would cancel out.
        if (state.kind() == Conversation::Kind::moving)
            salt ^= locals_->salt(state.second_index()) << 1;
        return salt;
    }

    // The fingerprint of the conversation in this state.
    [[gnu::always_inline]] uint64_t fingerprint(uint64_t hash, Conversation state) const {
        return (hash ^ salt_of(state)) & fingerprint_mask;
    }

    [[gnu::always_inline]] bool is_of(uint64_t held, uint64_t hash) const {
        const Conversation state{held};
        return state && fingerprint(hash, state) == (held & fingerprint_mask);
    }

    uint64_t word_of(uint64_t hash, Conversation state) const {
        return fingerprint(hash, state) | state.word();
    }
    // What word_of() takes for the hash of this entry, which find() has returned. Made from the fingerprint,
    // so that the next word is nobody's where another address has had a slot since.
    uint64_t hash_of(const Entry& entry) const { return entry.held ^ salt_of(entry.state()); }

    // Stores `wanted` in place of `entry`, if nobody has changed that. Returns what was stored, or `entry`.
    static Entry exchange(const Entry& entry, uint64_t wanted) {
        uint64_t expected = entry.held;
        return entry.word->compare_exchange_strong(expected, wanted, std::memory_order_release,
                                                   std::memory_order_relaxed)
                   ? Entry{entry.word, wanted}
                   : entry;
    }

    // The same where that changes the state, but none of its addresses: the fingerprint stays. See hash_of().
    static Entry update(const Entry& entry, Conversation next) {
        return next != entry.state() ? exchange(entry, (entry.held & fingerprint_mask) | next.word()) : entry;
    }

    // Applies an event to the conversation. One that is not there begins. Bounded: each failed exchange means
    // that another writer changed this very word.
    template <typename Note, typename Event>
    [[gnu::always_inline]] Heard change(uint64_t hash, Ticks now, Entry entry, Note note, Event event) {
        for (unsigned attempt = 0; attempt < ways; ++attempt) {
            const Conversation before = entry.state();
            const Conversation next = event(before);
            note(next);
            if (next == before)
                return {entry, {}};
            const bool is_new = !before;
            const uint64_t own_hash = is_new ? hash : hash_of(entry);
            if (is_new)
                entry = victim(bucket_of(hash), now);
            const Entry stored = exchange(entry, word_of(own_hash, next));
            if (stored.held != entry.held) {
                // Two threads that hear a new peer at the same time may both insert it. Each then keeps the
                // entry that look-ups find first: if each kept its own, both entries could go. On processors
                // where each may miss the other's store, two may stay. Look-ups and forget() cope with that.
                if (is_new)
                    forget(hash, true);
                return {stored, Change{entry.word, entry.held, stored.held}, is_new,
                        is_new && is_crowded(entry.state(), now)};
            }
            entry = find(hash);
        }
        return {};
    }

    // The word that makes room.
    Entry victim(Bucket& bucket, Ticks now) const {
        Entry oldest;
        Ticks oldest_age = 0;
        Entry unused;
        unsigned unsettled = 0;
        for (Word& word : bucket.words) {
            const uint64_t held = word.load(std::memory_order_relaxed);
            const Conversation state{held};
            if (!state)
                return {&word, held};
            if (!state.is_settled()) {
                ++unsettled;
                const Ticks age =
                    state.age(now, lifetimes_) + (state.is_alive(now, lifetimes_) ? 0 : expired);
                if (!oldest || age > oldest_age) {
                    oldest = {&word, held};
                    oldest_age = age;
                }
            } else if (!unused && !state.is_used()) {
                unused = {&word, held};
            }
        }
        if (oldest && (unsettled >= probation || oldest_age >= expired))
            return oldest;
        return unused ? unused : second_chance(bucket);
    }

    // All settled entries have been heard since replacement last came by. It comes by now, and takes one.
    Entry second_chance(Bucket& bucket) const {
        Entry chosen;
        for (Word& word : bucket.words) {
            uint64_t held = word.load(std::memory_order_relaxed);
            const Conversation state{held};
            if (!state.is_settled())
                continue;
            const uint64_t unused = (held & fingerprint_mask) | state.unused().word();
            if (held != unused && state.kind() == Conversation::Kind::known &&
                word.compare_exchange_strong(held, unused, std::memory_order_relaxed))
                held = unused;
            if (!chosen)
                chosen = {&word, held};
        }
        return chosen ? chosen : Entry{bucket.words.data(), bucket.words[0].load(std::memory_order_relaxed)};
    }

    bool is_crowded(Conversation out, Ticks now) const {
        return out.kind() == Conversation::Kind::question && !out.is_answered() &&
               out.age(now, lifetimes_) <= ticks_a_second;
    }

    static constexpr Ticks expired = Ticks{1} << 30;

    Bucket* buckets_;
    uint64_t bucket_mask_;
    BasicLocalAddresses<Atomic>* locals_;
    Lifetimes lifetimes_;
};

using ConversationTable = BasicConversationTable<>;
static_assert(sizeof(ConversationTable::Bucket) == 64, "a cache line");

} // namespace multihome
