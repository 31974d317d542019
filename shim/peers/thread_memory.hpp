// SPDX-License-Identifier: MIT
//
// What one thread has received last. With it, a client that asks two of our addresses from one port gets each
// answer from the address that it asked. It is touched within a Turn (peers.hpp) alone.
//
// A *run* is what a thread receives in a row, before it sends something. After a receive call that brought
// one datagram, an answer to that peer belongs to the latest datagram of the conversation. Where one call
// brought several, or the program received until there was nothing more (EAGAIN), its answers come *in
// order*.
//
// The quick look (quick_look.hpp) stands in front of all that.
//
// Thread-local. Each thread's stack gives up the room for it, hence at most 1 KiB.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/conversation_table.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/quick_look.hpp"
#include "shim/peers/run.hpp"
#include "shim/peers/run_progress.hpp"
#include "shim/peers/source_message.hpp"
#include "shim/sockets/socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace multihome::peers {

class ThreadMemory {
public:
    constexpr ThreadMemory() = default;

    // --- the quick look ---

    // A receive call brought one datagram, of this family's form. True where it repeats the last one, which
    // was answered, and so teaches nothing new. Then it counts as heard.
    template <typename Family>
    [[gnu::always_inline]] bool hear_again(Socket socket, const void* name, const void* control) {
        if (!quick_.is_asked_again<Family>(socket, name, control)) [[unlikely]]
            return false;
        quick_.set_not_answered();
        progress_ = {RunProgress::receiving};
        run_.ask_again();
        line_->add(Counter::requests);
        return true;
    }

    // Something is sent to `name`, of `length` readable bytes. True where it answers the last datagram, and
    // teaches nothing new. Then it counts as answered, and leaves from `source`. Writes what errno is now.
    [[gnu::always_inline]] bool answer_again(Socket socket, const void* name, socklen_t length,
                                             Source& source, int& errno_before) {
        if (!quick_.is_answer(socket, name, length)) [[unlikely]]
            return false;
        progress_.send();
        quick_.set_answered(socket);
        run_.answer_only();
        line_->add(Counter::answered);
        source = quick_.source();
        errno_before = *error_number_; // the quick look has a line, and set_line() finds both
        return true;
    }

    [[gnu::always_inline]] void close_quick_look() { quick_.close(); }
    // Where to put the words of the datagram that open_quick_look() or close_quick_look() comes next for.
    RawDatagram& quick_words() { return quick_.words(); }
    // Opens it for the run's only datagram, whose words were put there.
    [[gnu::always_inline]] void open_quick_look(const ConversationTable::Entry& entry,
                                                const SourceMessage& source) {
        quick_.open(usual_socket_, entry, source);
    }

    // --- receiving ---

    // A call for one datagram brought one on this socket.
    [[gnu::always_inline]] void begin(Socket socket, int fd) {
        close_quick_look();
        if (!progress_.has(RunProgress::receiving)) [[likely]] {
            run_.clear();
            progress_.begin();
            return;
        }
        if (progress_.has(RunProgress::drained)) [[unlikely]]
            end_round(socket, fd);
        progress_.go_on(run_.count());
    }
    // A call for many brought one, or `several`: a run of its own.
    [[gnu::always_inline]] void begin_batch(bool several) {
        close_quick_look();
        run_.clear();
        progress_.begin_batch(several);
    }
    // The same call for many brought more: see receive::messages().
    void go_on_with_batch() {
        close_quick_look();
        progress_.word |= RunProgress::several;
    }

    // Adds a datagram to the run.
    [[gnu::always_inline]] void add(Run::Record record) {
        if (run_.is_full()) [[unlikely]]
            lose_some();
        run_.add(record);
    }

    // Begins a run with a datagram, as begin() or begin_batch() and add() do together. False, and nothing
    // done, where something came before that is not answered yet.
    [[gnu::always_inline]] bool begin_run(bool is_batch, Run::Record record) {
        if (!is_batch && progress_.has(RunProgress::receiving | RunProgress::batch)) [[unlikely]]
            return false;
        if (is_batch)
            progress_.begin_batch(false);
        else
            progress_ = {RunProgress::receiving};
        run_.begin_with(record);
        return true;
    }
    // Goes on with a run, as begin() and add() do together. False, and nothing done, where that takes more
    // than to add the record.
    [[gnu::always_inline]] bool go_on(Run::Record record) {
        if (!progress_.has(RunProgress::receiving) || progress_.has(RunProgress::drained) || run_.is_full())
            return false;
        progress_.go_on(run_.count());
        run_.add(record);
        return true;
    }

    // This call only looks (MSG_PEEK).
    void begin_peek() { progress_.word |= RunProgress::peeked; }
    // True where the datagram that is being heard is only looked at.
    bool is_looking() const { return progress_.has(RunProgress::peeked); }
    // Takes what was looked at out of the run again: the program will receive it once more. Until then the
    // program may answer it.
    [[gnu::noinline]] void end_peek() {
        close_quick_look();
        const unsigned before = progress_.count_before();
        const Run::Record peeked = run_.count() > before ? run_.last() : Run::Record{};
        run_.drop(before);
        // The program answered what it had looked at before, and has received it since. It does not answer
        // that twice.
        if (peeked_.is_answered())
            run_.answer_like(peeked_);
        peeked_ = peeked;
        is_peeked_taken_ = false;
        if (before == 0)
            progress_.forget_but_losses();
        progress_.word |= RunProgress::peeked;
    }
    // True where this datagram may be the one that the program peeked at last, from which we have learnt.
    // False from the second call on.
    bool takes_peeked(uint64_t hash, LocalIndex at) {
        return !std::exchange(is_peeked_taken_, true) && peeked_ && peeked_.is_of(hash) && peeked_.at() == at;
    }

    // A receive call on this socket found nothing.
    void drained(Socket socket, int fd) {
        // Between answers, such a call changes nothing of their order.
        if (!progress_.has(RunProgress::receiving))
            return;
        if (!progress_.has(RunProgress::drained))
            drained_.clear();
        progress_.word |= RunProgress::drained;
        run_.begin_order();
        if (!drained_.add(socket, fd, run_.count()))
            progress_.word |= RunProgress::drained_many;
    }

    // Other threads have answered what this one has heard of this conversation.
    void answered_elsewhere(uint64_t hash) { run_.answer_all(hash); }

    // Where a datagram was heard before: a guess at where the next one is.
    LocalIndex heard_at_before() const { return run_.first_at(); }
    // True where the run does not remember everything that was received.
    bool has_lost_some() const { return progress_.has(RunProgress::lost); }
    // True where it may have lost the datagram that is to be answered.
    bool may_have_lost_latest() const { return has_lost_some() && !answers_in_order(); }

    // True where this thread has received something.
    bool is_reader() const { return reading_ == Reading::itself; }
    void set_reader() { reading_ = Reading::itself; }

    // --- sending ---

    // True where the thread has received several datagrams, and answers them one after the other.
    bool answers_in_order() const { return progress_.is_ordered() && run_.count() > 1; }

    // A call sends something: the next receive call begins a new run.
    [[gnu::always_inline]] void begin_sending() {
        progress_.send();
        quick_.set_not_answered();
        last_sent_ = 0;
        run_.begin_answers(answers_in_order());
    }
    // It sends something to this conversation. Where this answers the datagram whose turn it is, and that is
    // steady, returns that one; else null, and record_to_answer() has to look.
    [[gnu::always_inline]] const Run::Record* answer_steady(uint64_t hash) {
        return run_.answer_steady(hash);
    }
    // Returns the datagram that this answers, as it was before; the empty record where there is none.
    Run::Record record_to_answer(uint64_t hash) {
        last_sent_ = 0;
        Run::Record record = answers_in_order() ? run_.answer_first(hash) : run_.answer_latest(hash);
        if (!record.is_question() && is_peeked(hash)) {
            record = peeked_;
            peeked_.answer();
        }
        return record;
    }

    // Something is sent `now` (in nanoseconds) to a peer that was heard elsewhere than where it is known.
    // True where that is its answer, or a part of it: a long answer is several datagrams in a row.
    // `is_answered`: the answer has begun.
    bool answers_at(uint64_t now, bool is_answered) {
        if (!is_answered)
            answer_began_at_ = now;
        const uint64_t since = now - answer_began_at_;
        if (is_answered && (since > longest_answer || since - answer_went_on_after_ > longest_pause))
            return false;
        answer_went_on_after_ = static_cast<uint32_t>(since);
        return true;
    }

    // The same for an answer to a question that another thread has heard: the first datagram of it, and the
    // next ones to that conversation. Answers to several peers may take turns.
    void begin_late_answer(uint64_t hash, uint64_t now) {
        // After a pause, those that began before are over.
        if (!answers_at(now, true)) {
            late_answers_to_ = {};
            answers_at(now, false);
        }
        std::shift_right(late_answers_to_.begin(), late_answers_to_.end(), 1);
        late_answers_to_.front() = late_answer_to(hash);
    }
    bool goes_on_with_late_answer(uint64_t hash, uint64_t now) {
        return std::count(late_answers_to_.begin(), late_answers_to_.end(), late_answer_to(hash)) != 0 &&
               answers_at(now, true);
    }

    // True where a forked child may answer for its parent: it has received nothing itself, and the parent may
    // have heard the peer since the fork. Its first answer is an exception if it goes to the peer that the
    // parent had heard last, because the child was forked for that one. `record`: what the child seems to
    // answer, as it was before.
    bool may_answer_for_parent(Run::Record record) {
        if (is_reader())
            return false;
        const bool is_first = std::exchange(reading_, Reading::nothing) == Reading::before_fork;
        return !is_first || record.is_answered() || (run_.count() != 0 && !run_.last().is_like(record));
    }

    // The datagram of this conversation that this thread has heard last; the empty record where there is
    // none.
    Run::Record heard_last(uint64_t hash) {
        if (const Run::Record* const record = run_.latest(hash); record != nullptr)
            return *record;
        return is_peeked(hash) ? peeked_ : Run::Record{};
    }

    // What is sent to this conversation now made this change, in this place.
    enum Place : uint8_t { in_table = 0, in_handover = 1 };
    [[gnu::always_inline]] void set_stored(uint64_t hash, Place place,
                                           const ConversationTable::Change& change) {
        last_sent_ = static_cast<uint8_t>(last_sent_ | 1U << place);
        stored_[place] = change;
        stored_for_ = hash;
    }
    // What is sent now is no answer, though this thread has heard the peer.
    void set_on_its_own() { last_sent_ |= on_its_own_bit; }
    // Something was not sent to this conversation after all: the next answer is the same one. `was_last`: it
    // is what was sent last, alone in its call. Undoes what the last sending to this conversation stored;
    // false where it does not know that any more.
    bool not_sent(uint64_t hash, bool was_last) {
        if (!was_last || (last_sent_ & on_its_own_bit) == 0)
            run_.not_sent(hash);
        if (is_peeked(hash))
            peeked_.set_not_answered();
        if (stored_for_ != hash)
            return false;
        for (const Place place : {in_table, in_handover})
            if ((last_sent_ & 1U << place) != 0)
                stored_[place].take_back();
        return std::exchange(last_sent_, uint8_t{0}) != 0;
    }

    // The addresses that `is_gone` are no source for this conversation any more.
    template <typename IsGone>
    void forget(uint64_t hash, IsGone is_gone) {
        close_quick_look();
        run_.forget(hash, is_gone);
    }

    // What errno is now.
    [[gnu::always_inline]] int error_number() {
        if (error_number_ == nullptr) [[unlikely]]
            error_number_ = &errno;
        return *error_number_;
    }

    // --- counting ---

    // True where this thread counts in line() for this socket.
    bool has_line(Socket socket) const { return line_socket_ == socket.word(); }
    Counters::Line& line() const { return *line_; }
    void set_line(Socket socket, Counters::Line& line) {
        close_quick_look(); // it counts in this line
        line_socket_ = socket.word();
        line_ = &line;
        usual_socket_ = 0;
        error_number_ = &errno;
    }
    // True where this socket may receive a datagram of a usual form (usual.hpp). It has the line then.
    bool is_usual(Socket socket) const { return usual_socket_ == socket.word(); }
    void set_usual() { usual_socket_ = line_socket_; }
    // The number that this thread counts under; 0: none yet.
    unsigned thread_number() const { return thread_number_; }
    void set_thread_number(unsigned number) { thread_number_ = number; }

    // This thread is about to fork. The child may answer what was heard until now, so that the next receive
    // call begins a new run.
    void forks() { progress_.send(); }
    // This is the only thread of a forked child: another one than its parent's thread was, which goes on to
    // hear the same peers.
    void forked() {
        close_quick_look();
        run_.change_unseen();
        thread_number_ = 0;
        line_socket_ = 0;
        usual_socket_ = 0;
        reading_ = Reading::before_fork;
    }

    // This thread has made a socket, which may answer for another one (handover.hpp).
    void made_socket() { run_.change_unseen(); }

    // --- turns ---

    // False where the caller interrupted a turn of this thread's. A turn may never end, because a signal
    // handler left it by longjmp(): from then on this thread goes by the table alone.
    [[gnu::always_inline]] bool try_enter() {
        if (is_entered_) [[unlikely]]
            return false;
        is_entered_ = true;
        // Pairs with the fence in leave(), for a signal handler on this thread.
        std::atomic_signal_fence(std::memory_order_acq_rel);
        return true;
    }
    [[gnu::always_inline]] void leave() {
        std::atomic_signal_fence(std::memory_order_acq_rel); // pairs with the one in try_enter()
        is_entered_ = false;
    }

private:
    // In nanoseconds. What a program does between two datagrams of one answer takes less than this, and
    // hardly any program sends something of its own so soon after an answer.
    static constexpr uint64_t longest_pause = 500'000;
    // What goes on for longer is no answer any more.
    static constexpr uint64_t longest_answer = 100'000'000;

    // A part of the hash, never 0. Where two conversations share it, one datagram is wrongly taken for an
    // answer.
    static uint16_t late_answer_to(uint64_t hash) { return static_cast<uint16_t>(hash >> 48 | 1); }

    bool is_peeked(uint64_t hash) const {
        return progress_.has(RunProgress::peeked) && peeked_ && peeked_.is_of(hash);
    }

    // Only the end of a run shows whether its answers come in order, beginning with the first. A server that
    // forks for each request never ends its run, and its children answer what came last. So such a run keeps
    // both ends.
    [[gnu::noinline]] void lose_some() {
        if (!progress_.is_ordered()) {
            run_.forget_middle();
            run_.change_unseen(); // what is left of a conversation need not be its latest
            progress_.go_on(run_.count());
        }
        progress_.word |= RunProgress::lost;
    }

    // This socket was read to its end, and is read again: another round begins. What the run had by then was
    // answered elsewhere.
    [[gnu::noinline]] void end_round(Socket socket, int fd) {
        uint8_t* const length = drained_.length_at_end_of(socket, fd);
        if (length == nullptr)
            return;
        run_.forget_first(*length);
        *length = 0;
        if (run_.count() == 0) {
            run_.clear();
            progress_.word &= ~RunProgress::drained;
        }
    }

    QuickLook quick_;
    bool is_entered_ = false;
    bool is_peeked_taken_ = false; // see takes_peeked()
    // What this thread has received; before a fork, as long as it has answered nothing since.
    enum class Reading : uint8_t { nothing, itself, before_fork };
    Reading reading_ = Reading::nothing;
    // See not_sent(). A bit for each place in which something was stored, and on_its_own_bit.
    uint8_t last_sent_ = 0;
    static constexpr uint8_t on_its_own_bit = 4;
    RunProgress progress_;
    unsigned thread_number_ = 0;
    std::array<uint16_t, 4> late_answers_to_{}; // see begin_late_answer(); 0: none
    DrainedSockets drained_;                    // none unless progress_ is drained
    // See answers_at(). In nanoseconds.
    uint32_t answer_went_on_after_ = 0;
    uint64_t answer_began_at_ = 0;
    std::array<ConversationTable::Change, 2> stored_; // see set_stored()
    uint64_t stored_for_ = 0;
    uint64_t line_socket_ = 0;
    uint64_t usual_socket_ = 0; // line_socket_, or none
    Counters::Line* line_ = nullptr;
    // Where this thread's errno lies, because to find that out is a call into libc.
    const int* error_number_ = nullptr;
    Run::Record peeked_; // what a call has only looked at
    Run run_;
};
static_assert(sizeof(ThreadMemory) <= 1024);

} // namespace multihome::peers
