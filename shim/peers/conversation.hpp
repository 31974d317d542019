// SPDX-License-Identifier: MIT
//
// What is known of one conversation, in one word: its state, and how each event changes it. These are pure
// functions. The table (conversation_table.hpp) stores the word, with a fingerprint above the state's bits.
//
//   state            is sent from        heard at Y                how long it lives
//   nothing          by route            question(Y)
//   we spoke first   by route            unchanged;                120 s of silence
//                                        then: homeless(Y)
//   lapsed(X)        by route            at X: known(X),           120 s of silence
//                                        then: question(X);
//                                        at Y: homeless(Y)
//   homeless(Y)      the answer from Y,  answered: known(Y)        the question 30 s
//                    all else by route
//   homeless(gone)   by route            homeless(Y)               for good
//   question(X)      X                   unanswered: question(Y)   30 s; for good where it was answered, by
//                                        answered: see below       less than three datagrams
//   question(gone)   by route            question(Y)               for good
//   known(X)         X                   moving(X, Y)              for good
//   moving(X, Y)     the answer from Y,  answered: known(Y)        the question 30 s, X for good
//                    all else from X
//   contested(X, Y)  as moving; once it  answered: known(Y)        the question 30 s
//                    is answered, by
//                    route
//
// Heard once more at X, every state but "we spoke first" becomes known(X) if X was answered or has lapsed. So
// a peer becomes known at an address by two questions, with something sent between them. Anybody can forge
// one datagram: it gets its answer, and moves nobody. Where a peer was answered once at each of two
// addresses, either question may be forged. Then nothing is known, and the routing table chooses.
//
// A datagram that names no address to answer from leaves a state that is still alive as it is. An address
// that turns out to be no source any more is *gone*; what is known of the others stays. Where none is left,
// or none was named, the peer has asked all the same: what the program sends it is no first word. Nor is it
// one where a question has *lapsed* (run out). A peer that then comes back to the same address has asked it
// twice.
//
// A peer to which we spoke first may be a server that we ask now and then, with a longer silence between.
// What is heard after such a silence may be forged. It is answered, but the program's own questions keep
// their source. Only where the program answers late is its next question taken for that answer.
//
// What is an answer? Certainly what the thread that heard the question sends first. What another thread
// sends, or this one later, is an answer if the program is known to answer so (`late`). If it is not, it
// depends on what went before. A question(X) that was answered by one datagram, as is usual, becomes
// question(Y), and any thread may answer that. After more than one datagram, the program may be sending to
// this peer on its own, and what is heard at Y may be forged: that is contested. Where a peer with a home has
// asked twice at Y, there may be two late answers: a name server's client asks so for A and AAAA.
#pragma once

#include <cstdint>

namespace multihome {

// The index of a local address (local_addresses.hpp).
using LocalIndex = uint16_t;
constexpr unsigned local_index_bits = 10;
// No address: the routing table chooses.
constexpr LocalIndex local_by_route = 0;

// A time in quarters of a second. Only differences count.
using Ticks = uint32_t;
constexpr Ticks ticks_a_second = 4;

// How long ago `then` was. Both are of a clock whose numbers go round above `mask`. Where another thread or
// process has noted a time that is later than `now`, as this one has read it, that is 0.
constexpr Ticks time_since(Ticks then, Ticks now, Ticks mask) {
    const Ticks age = (now - then) & mask;
    const Ticks latest = mask / 1024;
    return age < mask - latest ? age : 0;
}

// How long a state lives that is not confirmed: as in connection tracking (nf_conntrack_udp_timeout and
// nf_conntrack_udp_timeout_stream), which operators know.
struct Lifetimes {
    Ticks question = 30 * ticks_a_second;
    Ticks spoke_first = 120 * ticks_a_second;
};

class Conversation {
public:
    // In the lowest bits. Only the empty word is 0: who is moving has asked somewhere, or is contested.
    enum class Kind : uint8_t { moving = 0, question = 1, spoke_first = 2, known = 3 };

    // The state's bits in a word; those above are the fingerprint.
    static constexpr unsigned bits = 28;
    static constexpr uint64_t mask = (uint64_t{1} << bits) - 1;

    constexpr Conversation() = default;
    // Takes a word of the table.
    constexpr explicit Conversation(uint64_t word) : word_(word & mask) {}

    static constexpr Conversation question(LocalIndex asked, Ticks now) {
        return Conversation{kind_and_first(Kind::question, asked) | time_bits(now)};
    }
    static constexpr Conversation spoke_first(Ticks now) { return lapsed(local_by_route, now); }
    static constexpr Conversation lapsed(LocalIndex asked, Ticks now) {
        return Conversation{kind_and_first(Kind::spoke_first, asked) |
                            (uint64_t{now / ticks_a_second} & seconds_mask) << seconds_shift};
    }
    static constexpr Conversation known(LocalIndex home, Ticks now) {
        return Conversation{kind_and_first(Kind::known, home) | used_bit |
                            time_bits(now >> known_unit_shift)};
    }

    constexpr uint64_t word() const { return word_; }
    constexpr explicit operator bool() const { return word_ != 0; }
    constexpr Kind kind() const { return static_cast<Kind>(word_ & 3); }
    friend constexpr bool operator==(Conversation, Conversation) = default;

    // Where a question asked, also a lapsed one, or where the peer is at home. local_by_route: nowhere.
    constexpr LocalIndex first_index() const { return index_at(first_index_shift); }
    // Where a moving conversation asked last; else local_by_route.
    constexpr LocalIndex second_index() const {
        return kind() == Kind::moving ? index_at(second_index_shift) : local_by_route;
    }

    // Where the peer asked last, as far as is known.
    constexpr LocalIndex asked_last() const {
        return kind() == Kind::moving ? second_index() : first_index();
    }

    // --- events ---

    // The peer was heard at `at`. local_by_route: the datagram names no address to answer from.
    constexpr Conversation heard(LocalIndex at, Ticks now, const Lifetimes& lifetimes) const {
        if (word_ == 0)
            return question(at, now);
        if (at == local_by_route)
            return heard_nowhere(now, lifetimes);
        switch (kind()) {
        case Kind::question:
            if (sends() == 0 || !is_alive(now, lifetimes) || has_lost_its_address())
                return question(at, now);
            if (at == first_index())
                return known(at, now);
            return sends() > 1 ? moving(at, true, now, lifetimes) : question(at, now);
        case Kind::spoke_first:
            if (at == first_index())
                return is_alive(now, lifetimes) ? known(at, now) : question(at, now);
            if (first_index() == local_by_route && is_alive(now, lifetimes))
                return spoke_first(now);
            return Conversation{}.moving(at, true, now, lifetimes);
        case Kind::known:
            return at == first_index() ? used() : moving(at, false, now, lifetimes);
        case Kind::moving:
            break;
        }
        if (at == first_index() || (at == second_index() && is_answered()))
            return known(at, now);
        const bool is_one_more =
            at == second_index() && first_index() != local_by_route && is_alive(now, lifetimes);
        return Conversation{moving(at, is_contested(), now, lifetimes).word_ | (is_one_more ? more_bit : 0)};
    }

    // The thread that heard the peer at `at` has sent it something.
    constexpr Conversation answered(LocalIndex at) const {
        if (kind() == Kind::question && at == first_index())
            return sent_once_more();
        if (kind() == Kind::moving && at == second_index())
            return one_answered();
        return *this;
    }

    // A socket answers the peer from `at`, on another port than the peer has asked. Where the peer is not
    // heard on that port, the program may be asking it, and its question may be forged. So this lasts for one
    // answer.
    constexpr Conversation handed_over(LocalIndex at, Ticks now, const Lifetimes& lifetimes) const {
        if (word_ != 0 && kind() != Kind::question)
            return heard(at, now, lifetimes).answered(at);
        constexpr Ticks rest = ticks_a_second / 2;
        const Ticks heard_at = now - (lifetimes.question > rest ? lifetimes.question - rest : 0);
        return Conversation{question(at, heard_at).word_ | uint64_t{maximum_sends} << sends_shift};
    }

    // The question has run out. Its age has wrapped since, and hides that (question_times.hpp).
    constexpr Conversation run_out(Ticks now, const Lifetimes& lifetimes) const {
        if (!has_question() || !is_alive(now, lifetimes))
            return *this;
        if (kind() == Kind::moving) {
            // In units first: just after the host has started, a life ago there was no time yet.
            const Ticks unit = moving_unit(lifetimes);
            return with_time(moving_time_shift, moving_time_mask,
                             now / unit - (lifetimes.question / unit + 1));
        }
        // What was answered by less than three datagrams is believed for good.
        return with_time(time_shift, time_mask, now - lifetimes.question - 1);
    }

    // What was sent to a moving peer as an answer was not sent after all.
    constexpr Conversation not_answered() const {
        return kind() == Kind::moving ? Conversation{word_ & ~answered_bit} : *this;
    }

    // The address `at`, not local_by_route, is no source for this peer any more.
    constexpr Conversation without(LocalIndex at, Ticks now, const Lifetimes& lifetimes) const {
        if (kind() == Kind::spoke_first)
            return *this;
        if (at == second_index()) // the home is left, as it was before
            return is_contested() ? question(first_index(), now).sent_once_more() : known(first_index(), now);
        if (at != first_index())
            return *this;
        if (kind() != Kind::moving || (!is_answered() && !is_alive(now, lifetimes)))
            return question(local_by_route, now);
        const Conversation left = question(second_index(), now);
        return is_answered() ? left.sent_once_more() : left;
    }

    // Something is sent to the peer that is no answer to what this thread has just heard. `late`: the program
    // is known to answer late, or in other threads than those that hear. Else it sends on its own.
    struct Spoken;
    constexpr Spoken spoken(Ticks now, const Lifetimes& lifetimes, bool late) const;

    // --- what it is worth ---

    // False where the state is as good as gone.
    constexpr bool is_alive(Ticks now, const Lifetimes& lifetimes) const {
        switch (kind()) {
        case Kind::question:
            // Believed for good once answered, unless the program has sent on without hearing anything.
            return age(now, lifetimes) <= lifetimes.question || (sends() != 0 && sends() < maximum_sends);
        case Kind::spoke_first:
            return age(now, lifetimes) <= lifetimes.spoke_first;
        case Kind::known:
            return true;
        case Kind::moving:
            break;
        }
        return units(now, lifetimes) <= lifetimes.question / moving_unit(lifetimes);
    }
    // A question, answered or not, also that of a moving conversation.
    constexpr bool has_question() const {
        return word_ != 0 && (kind() == Kind::question || kind() == Kind::moving);
    }
    // A question without an address to answer from.
    constexpr bool has_lost_its_address() const {
        return word_ != 0 && kind() != Kind::spoke_first && asked_last() == local_by_route;
    }
    // True where it stays as it is when the peer is heard once more at home.
    constexpr bool is_steady() const {
        const uint64_t steady = kind_and_first(Kind::known, 0) | used_bit;
        return (word_ & steady) == steady;
    }
    // True where the peer is known at an address, whether or not it is about to move.
    constexpr bool is_settled() const {
        return kind() == Kind::known || (kind() == Kind::moving && !is_contested());
    }
    // A moving conversation that has no home, or whose home was answered only once.
    constexpr bool is_contested() const { return kind() == Kind::moving && (word_ & contested_bit) != 0; }
    // True where something was sent since the question was heard. For a question or a moving conversation.
    constexpr bool is_answered() const {
        return kind() == Kind::question ? sends() != 0 : (word_ & answered_bit) != 0;
    }
    // A moving one that asked twice before it was answered: the second question waits for its own answer.
    constexpr bool has_more() const { return kind() == Kind::moving && (word_ & more_bit) != 0; }
    // A moving one, to which the first datagram of the last answer was sent a short while ago.
    constexpr bool has_moving_answer(Ticks now, const Lifetimes& lifetimes) const {
        return kind() == Kind::moving && is_answered() && !has_more() && is_alive(now, lifetimes);
    }
    // True where the peer has asked, and nothing was sent to it since.
    constexpr bool waits(Ticks now, const Lifetimes& lifetimes) const {
        return has_question() && !is_answered() && is_alive(now, lifetimes);
    }
    // The time since the question was heard, or since we spoke. It wraps, and then a state that nobody has
    // come back to is alive once more: after 68 minutes for a question; after 18 hours, in whole seconds,
    // where we spoke; after three and a half lives of a question, in halves of one, where the peer is moving.
    constexpr Ticks age(Ticks now, const Lifetimes& lifetimes) const {
        switch (kind()) {
        case Kind::spoke_first:
            return time_since(static_cast<Ticks>(word_ >> seconds_shift), now / ticks_a_second,
                              seconds_mask) *
                   ticks_a_second;
        case Kind::moving:
            return units(now, lifetimes) * moving_unit(lifetimes);
        default:
            return time_since(static_cast<Ticks>(word_ >> time_shift), now, time_mask);
        }
    }
    // The time since a known conversation became known, in units of 64 s. multihomectl tells it.
    constexpr Ticks age_when_known(Ticks now) const {
        return (((now >> known_unit_shift) - static_cast<Ticks>(word_ >> time_shift)) & time_mask)
               << known_unit_shift;
    }

    // For replacement (conversation_table.hpp): true where it was heard since replacement last came by.
    constexpr bool is_used() const { return kind() != Kind::known || (word_ & used_bit) != 0; }
    constexpr Conversation used() const { return Conversation{word_ | used_bit}; }
    constexpr Conversation unused() const { return Conversation{word_ & ~used_bit}; }

private:
    //                 0-1   2-11    12-13         14-27
    //   question      kind  asked   sends         time
    //                             12-27
    //   spoke first   kind  asked  time, in seconds
    //   known         kind  home    used          time, in units of 64 s
    //                 0-1   2-11    12-21         22        23         24    25-27
    //   moving        kind  home    asked         answered  contested  more  time, in half lives
    static constexpr unsigned first_index_shift = 2;
    static constexpr unsigned second_index_shift = first_index_shift + local_index_bits;
    static constexpr unsigned sends_shift = second_index_shift;
    static constexpr unsigned maximum_sends = 3;
    static constexpr uint64_t used_bit = uint64_t{1} << sends_shift;
    static constexpr unsigned time_shift = sends_shift + 2;
    static constexpr Ticks time_mask = (Ticks{1} << (bits - time_shift)) - 1;
    static constexpr unsigned known_unit_shift = 8;
    static constexpr unsigned seconds_shift = sends_shift;
    static constexpr Ticks seconds_mask = (Ticks{1} << (bits - seconds_shift)) - 1;
    static constexpr uint64_t answered_bit = uint64_t{1} << (second_index_shift + local_index_bits);
    static constexpr uint64_t contested_bit = answered_bit << 1;
    static constexpr uint64_t more_bit = contested_bit << 1;
    static constexpr unsigned moving_time_shift = second_index_shift + local_index_bits + 3;
    static constexpr Ticks moving_time_mask = (Ticks{1} << (bits - moving_time_shift)) - 1;

    constexpr Conversation heard_nowhere(Ticks now, const Lifetimes& lifetimes) const {
        if (kind() == Kind::spoke_first && !is_alive(now, lifetimes))
            return Conversation{}.moving(local_by_route, true, now, lifetimes);
        if (kind() == Kind::question && !is_alive(now, lifetimes))
            return question(local_by_route, now);
        return kind() == Kind::spoke_first ? lapsed(first_index(), now)
               : kind() == Kind::known     ? used()
                                           : *this;
    }

    static constexpr uint64_t kind_and_first(Kind kind, LocalIndex first) {
        return static_cast<uint64_t>(kind) | uint64_t{first} << first_index_shift;
    }
    static constexpr uint64_t time_bits(Ticks time) { return uint64_t{time & time_mask} << time_shift; }
    constexpr LocalIndex index_at(unsigned shift) const {
        return static_cast<LocalIndex>(word_ >> shift & ((1U << local_index_bits) - 1));
    }

    constexpr Conversation one_answered() const {
        return Conversation{is_answered() ? word_ & ~more_bit : word_ | answered_bit};
    }

    constexpr Conversation with_time(unsigned shift, uint64_t time_bits_mask, Ticks time) const {
        return Conversation{(word_ & ~(time_bits_mask << shift)) | (time & time_bits_mask) << shift};
    }

    // The unit of a moving conversation's time: half a question's life. See age().
    static constexpr Ticks moving_unit(const Lifetimes& lifetimes) {
        return lifetimes.question >= 2 ? lifetimes.question / 2 : 1;
    }
    constexpr Ticks units(Ticks now, const Lifetimes& lifetimes) const {
        return time_since(static_cast<Ticks>(word_ >> moving_time_shift), now / moving_unit(lifetimes),
                          moving_time_mask);
    }
    constexpr Conversation moving(LocalIndex at, bool contested, Ticks now,
                                  const Lifetimes& lifetimes) const {
        return Conversation{kind_and_first(Kind::moving, first_index()) | uint64_t{at} << second_index_shift |
                            (contested ? contested_bit : 0) |
                            (uint64_t{now / moving_unit(lifetimes)} & moving_time_mask) << moving_time_shift};
    }

    constexpr unsigned sends() const { return static_cast<unsigned>(word_ >> sends_shift) & maximum_sends; }
    constexpr Conversation sent_once_more() const {
        return sends() < maximum_sends ? Conversation{word_ + (uint64_t{1} << sends_shift)} : *this;
    }

    uint64_t word_ = 0;
};

struct Conversation::Spoken {
    LocalIndex from = local_by_route;
    bool is_late_answer = false; // to a question that nobody had answered
    Conversation after;          // the state then
};

constexpr Conversation::Spoken Conversation::spoken(Ticks now, const Lifetimes& lifetimes, bool late) const {
    if (word_ == 0)
        return {.after = spoke_first(now)};
    switch (kind()) {
    case Kind::question:
        if (!is_alive(now, lifetimes) && !has_lost_its_address())
            return {.after = lapsed(first_index(), now)};
        return {first_index(), sends() == 0 && !has_lost_its_address(), sent_once_more()};
    case Kind::spoke_first:
        return {.after = lapsed(first_index(), now)};
    case Kind::known:
        return {.from = first_index(), .after = *this};
    case Kind::moving:
        break;
    }
    const bool alive = is_alive(now, lifetimes);
    // Without a home, it is an answer whichever thread sends it. If not after all, one datagram goes astray.
    if (alive && (late || first_index() == local_by_route) && (!is_answered() || has_more()))
        return {.from = second_index(), .after = one_answered()};
    const LocalIndex from = is_contested() && is_answered() ? local_by_route : first_index();
    if (alive)
        return {.from = from, .after = *this};
    // The question at Y has run out. Stored as it is, it would be alive again when the clock has gone round.
    return {.from = from,
            .after = !is_answered() && !is_contested() ? known(first_index(), now)
                                                       : Conversation{word_ & ~more_bit}};
}

} // namespace multihome
