// SPDX-License-Identifier: MIT
//
// What one thread has received last, so that a client that asks two of our addresses from one port gets each
// answer from the address it asked. Nobody touches it but through a Turn (peers.hpp).
//
// A *run* is what a thread receives in a row, before it sends something. After a receive call that brought
// one datagram, an answer to that peer belongs to the latest datagram of the conversation. Where one call
// brought several, or the program received until there was nothing more (EAGAIN), its answers come *in
// order*.
//
// In front of all that stands one quick look, for what a busy server meets most: a datagram, its answer, and
// the same datagram from the same peer over again. It is open while the run's only datagram is of a
// conversation that is steady: known at the address it asked, so that neither hearing nor answering it once
// more changes anything.
//
// Thread-local, and taken out of each thread's stack, hence below 1 KiB.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/family.hpp"
#include "shim/peers/conversation_table.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/run.hpp"
#include "shim/peers/source_message.hpp"
#include "shim/sockets/sockets.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace multihome::peers {

class ThreadMemory {
    // How far the run has come, in one word, which one store sets.
    class Progress {
    public:
        constexpr Progress() = default;
        // Single calls receive, and nothing was sent since.
        static constexpr Progress receiving() { return Progress{receiving_bit}; }
        // One more has brought something. `count`: of the run, when it began.
        constexpr Progress goes_on(unsigned count) const {
            return Progress{(word_ & (drained_bit | lost_bit)) | receiving_bit | count << count_shift};
        }
        // The last call could bring several. `several`: it has.
        static constexpr Progress batch(bool several) { return Progress{several ? batch_bit : 0U}; }
        // One more of its parts has come.
        constexpr Progress batch_goes_on() const { return Progress{word_ | batch_bit}; }
        // A call of this run found nothing.
        constexpr Progress drained() const { return Progress{word_ | drained_bit}; }
        constexpr Progress not_drained() const { return Progress{word_ & ~drained_bit}; }
        // The run does not remember all that it was.
        constexpr Progress lost() const { return Progress{word_ | lost_bit}; }
        // This call, or the last one, has only looked.
        constexpr Progress peeked() const { return Progress{word_ | peeked_bit}; }
        constexpr Progress sent() const { return Progress{word_ & ~receiving_bit}; }

        constexpr bool is_receiving() const { return (word_ & receiving_bit) != 0; }
        constexpr bool is_drained() const { return (word_ & drained_bit) != 0; }
        constexpr bool has_lost() const { return (word_ & lost_bit) != 0; }
        constexpr bool was_peeked() const { return (word_ & peeked_bit) != 0; }
        constexpr bool is_ordered() const { return (word_ & (batch_bit | drained_bit)) != 0; }
        constexpr unsigned count_before() const { return word_ >> count_shift; }

    private:
        static constexpr uint32_t receiving_bit = 1;
        static constexpr uint32_t batch_bit = 2;
        static constexpr uint32_t drained_bit = 4;
        static constexpr uint32_t lost_bit = 8;
        static constexpr uint32_t peeked_bit = 16;
        static constexpr unsigned count_shift = 8;

        constexpr explicit Progress(uint32_t word) : word_(word) {}
        uint32_t word_ = 0;
    };

public:
    constexpr ThreadMemory() = default;

    // --- the quick look ---

    // A receive call has brought one datagram, of this family's form. True where it is the last one over
    // again, which has been answered, and of which there is nothing to learn: then it counts as heard.
    template <typename Family>
    [[gnu::always_inline]] bool hear_again(Socket socket, const void* name, const void* control) {
        if (again_ != socket.word() || !is_name(quick_.raw, name, Family::name_length) ||
            !Family::is_arrival(quick_.raw, control) || !quick_.entry.is_unchanged()) [[unlikely]]
            return false;
        again_ = 0;
        progress_ = Progress::receiving();
        run_.ask_again();
        line_->add(Counter::requests);
        return true;
    }

    // Something is sent to `name`, of `length` readable bytes. True where that answers the last datagram, and
    // there is nothing to learn from it: then it counts as answered, leaves from quick_source(), and the
    // datagram may come over again.
    [[gnu::always_inline]] bool answer_again(Socket socket, const void* name, socklen_t length) {
        if (quick_.socket != socket.word() ||
            !quick_.entry.is_unchanged() || // another thread may have heard this peer elsewhere
            !is_name(quick_.raw, name, length)) [[unlikely]]
            return false;
        progress_ = progress_.sent();
        again_ = socket.word();
        line_->add(Counter::answered);
        return true;
    }

    Source quick_source() const { return quick_.source->kept(); }
    // Where this thread's errno is: to find it is a call.
    int quick_errno() const { return *quick_.error_number; }

    [[gnu::always_inline]] void close_quick_look() {
        again_ = 0;
        quick_.socket = 0;
    }

    // The place for the words of the datagram that it is opened for, or else has to be closed for.
    RawDatagram& quick_words() { return quick_.raw; }

    // Opens it for the run's only datagram, whose words were put there.
    [[gnu::always_inline]] void open_quick_look(const ConversationTable::Entry& entry,
                                                const SourceMessage& source) {
        again_ = 0;
        quick_.socket = usual_socket_;
        quick_.entry = entry;
        quick_.source = &source;
    }

    // --- receiving ---

    // A call for one datagram has brought one on this socket.
    [[gnu::always_inline]] void begin(Socket socket) {
        close_quick_look();
        if (!progress_.is_receiving()) [[likely]] {
            run_.clear();
            progress_ = Progress::receiving();
            return;
        }
        if (progress_.is_drained()) [[unlikely]]
            end_round(socket);
        progress_ = progress_.goes_on(run_.count());
    }
    // A call for many has brought one, or `several`: a run of its own.
    [[gnu::always_inline]] void begin_batch(bool several) {
        close_quick_look();
        run_.clear();
        progress_ = Progress::batch(several);
    }
    // The same call for many has brought more: see receive::messages().
    void go_on_with_batch() {
        close_quick_look();
        progress_ = progress_.batch_goes_on();
    }

    // A datagram has come.
    void add(Run::Record record) {
        if (run_.is_full()) [[unlikely]]
            lose_some();
        run_.add(record);
    }

    // A datagram begins a run: what begin() or begin_batch() and add() do together. False where it goes on
    // with one.
    [[gnu::always_inline]] bool begin_run(bool is_batch, Run::Record record) {
        if (!is_batch && progress_.is_receiving()) [[unlikely]]
            return false;
        progress_ = is_batch ? Progress::batch(false) : Progress::receiving();
        run_.begin_with(record);
        return true;
    }
    // It goes on with a run, as by begin() and add(). False where that takes more than to add it.
    [[gnu::always_inline]] bool go_on(Run::Record record) {
        if (progress_.is_drained() || run_.is_full())
            return false;
        progress_ = progress_.goes_on(run_.count());
        run_.add(record);
        return true;
    }

    // This call has only looked.
    void begin_peek() { progress_ = progress_.peeked(); }
    // Of what is being heard.
    bool is_looking() const { return progress_.was_peeked(); }
    // What was only looked at will be received again: the run goes on as if it had not been. Until then it
    // may be answered.
    void end_peek() {
        close_quick_look();
        const unsigned before = progress_.count_before();
        const Run::Record peeked = run_.count() > before ? run_.last() : Run::Record{};
        run_.drop(before);
        // What was answered when it was looked at has no answer left when it is received.
        if (peeked_.is_answered())
            run_.answer_like(peeked_);
        peeked_ = peeked;
        is_peeked_taken_ = false;
        progress_ = (before == 0 ? Progress{} : progress_).peeked();
    }
    // True where this, which has come now, may be what was looked at last: that has been learnt from.
    bool takes_peeked(uint64_t hash, LocalIndex at) {
        return !std::exchange(is_peeked_taken_, true) && peeked_ && peeked_.is_of(hash) && peeked_.at() == at;
    }

    // A receive call on this socket found nothing.
    void drained(Socket socket) {
        // One that comes between answers changes nothing of their order.
        if (!progress_.is_receiving())
            return;
        if (!progress_.is_drained())
            drained_ = {};
        progress_ = progress_.drained();
        for (unsigned index = 0; index < drained_.size(); ++index)
            if (drained_[index] == 0 || drained_[index] == socket.word()) {
                drained_[index] = socket.word();
                drained_count_[index] = static_cast<uint8_t>(run_.count());
                break;
            }
    }

    // It has received more than it remembers.
    bool has_lost_some() const { return progress_.has_lost(); }

    // It has received something.
    bool is_reader() const { return is_reader_; }
    void set_reader() { is_reader_ = true; }

    // --- sending ---

    // It has received several, and answers them one after the other.
    bool answers_in_order() const { return progress_.is_ordered() && run_.count() > 1; }

    // Something is sent to this conversation: the next receive call begins a new run. Returns the datagram
    // that this is the answer to, as it was before it is answered now; the empty record where there is none.
    [[gnu::always_inline]] Run::Record record_to_answer(uint64_t hash) {
        progress_ = progress_.sent();
        again_ = 0;
        last_sent_ = 0;
        const Run::Record record = answers_in_order() ? run_.answer_first(hash) : run_.answer_latest(hash);
        return (record && !record.is_answered()) || !is_peeked(hash) ? record : answer_peeked();
    }

    // Something is sent now, in nanoseconds, to who was heard elsewhere than where it is known. True where it
    // is the answer, or goes on with it: a long one is several datagrams in a row. `is_answered`: the answer
    // has begun.
    bool answers_at(uint64_t now, bool is_answered) {
        if (!is_answered)
            answer_began_at_ = now;
        else if (now - answered_at_ > longest_pause || now - answer_began_at_ > longest_answer)
            return false;
        answered_at_ = now;
        return true;
    }

    // The same for an answer to a question that another thread has heard: the first datagram of it, and the
    // next ones to that conversation.
    void begin_late_answer(uint64_t hash, uint64_t now) {
        answers_at(now, false);
        late_answer_to_ = static_cast<uint32_t>(hash >> 32);
    }
    bool goes_on_with_late_answer(uint64_t hash, uint64_t now) {
        return late_answer_to_ == static_cast<uint32_t>(hash >> 32) && answers_at(now, true);
    }

    // True in a forked child that has received nothing itself, and sends what may be the answer to something
    // that its parent has heard since, even if the child remembers the peer. Its first answer to what the
    // parent had heard last is what it was forked for. `record`: what it seems to answer, as it was before.
    bool may_answer_for_parent(Run::Record record) {
        if (is_reader_)
            return false;
        const bool is_first = std::exchange(answers_first_, false);
        return !is_first || record.is_answered() || (run_.count() != 0 && !run_.last().is_like(record));
    }

    // Where this thread has heard the conversation last; local_by_route where it has not.
    LocalIndex heard_last(uint64_t hash) {
        if (const Run::Record* const record = run_.latest(hash); record != nullptr)
            return record->at();
        return is_peeked(hash) ? peeked_.at() : local_by_route;
    }

    // What is sent to this conversation now has made this change, there.
    enum Place : uint8_t { in_table = 0, in_handover = 1 };
    [[gnu::always_inline]] void set_stored(uint64_t hash, Place place,
                                           const ConversationTable::Change& change) {
        last_sent_ |= 1U << place;
        stored_[place] = change;
        stored_for_ = hash;
    }
    // What is sent now is no answer, though this thread has heard the peer.
    void set_on_its_own() { last_sent_ |= on_its_own_bit; }
    // Something was not sent to this conversation after all. `was_last`: it is what was sent last, and not
    // one of several by one call. What the last one has stored is undone.
    void give_back(uint64_t hash, bool was_last) {
        // What answers by the quick look changes nothing.
        if (again_ != 0 && run_.count() != 0 && run_.last().is_of(hash))
            return;
        if (!was_last || (last_sent_ & on_its_own_bit) == 0)
            run_.give_back(hash);
        if (is_peeked(hash))
            peeked_.give_back();
        if (stored_for_ != hash)
            return;
        for (const Place place : {in_table, in_handover})
            if ((last_sent_ & 1U << place) != 0)
                stored_[place].take_back();
        last_sent_ = 0;
    }

    // The addresses that `is_gone` are no source for this conversation any more.
    template <typename IsGone>
    void forget(uint64_t hash, IsGone is_gone) {
        close_quick_look();
        run_.forget(hash, is_gone);
    }

    // --- counting ---

    // True where line() is the one that this thread counts in for this socket.
    bool has_line(Socket socket) const { return line_socket_ == socket.word(); }
    Counters::Line& line() const { return *line_; }
    void set_line(Socket socket, Counters::Line& line) {
        close_quick_look(); // it counts in this line
        line_socket_ = socket.word();
        line_ = &line;
        usual_socket_ = 0;
        // Here, before the quick look can open: that needs a line.
        quick_.error_number = &errno;
    }
    // The socket that has the line receives what may be of a usual form (usual.hpp).
    bool is_usual(Socket socket) const { return usual_socket_ == socket.word(); }
    void set_usual() { usual_socket_ = line_socket_; }
    // The number that this thread counts under; 0: none yet.
    unsigned thread_number() const { return thread_number_; }
    void set_thread_number(unsigned number) { thread_number_ = number; }

    // This is the only thread of a forked child: what its parent's thread was is another one, and goes on to
    // hear the same peers.
    void forked() {
        close_quick_look();
        run_.change_unseen();
        answers_first_ = true;
        thread_number_ = 0;
        line_socket_ = 0;
        usual_socket_ = 0;
        is_reader_ = false;
    }

    // --- turns ---

    // False where the caller has interrupted somebody whose turn it is. One who never ends it, because a
    // signal handler went elsewhere with longjmp(), leaves the thread to the table for good.
    [[gnu::always_inline]] bool try_enter() {
        if (is_entered_) [[unlikely]]
            return false;
        is_entered_ = true;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        return true;
    }
    [[gnu::always_inline]] void leave() {
        std::atomic_signal_fence(std::memory_order_acq_rel);
        is_entered_ = false;
    }

private:
    // In nanoseconds: what a program does between two datagrams of one answer takes less, and hardly any
    // program sends something of its own as soon as that after an answer.
    static constexpr uint64_t longest_pause = 500'000;
    // What goes on for longer is no answer any more.
    static constexpr uint64_t longest_answer = 100'000'000;

    void clear() {
        run_.clear();
        progress_ = progress_.not_drained();
    }

    bool is_peeked(uint64_t hash) const { return progress_.was_peeked() && peeked_ && peeked_.is_of(hash); }
    Run::Record answer_peeked() {
        const Run::Record before = peeked_;
        peeked_.answer();
        return before;
    }

    // Whether answers come in order, beginning with the first, shows where the run ends. A server that forks
    // for each request receives for ever, and its children answer what came last.
    [[gnu::noinline]] void lose_some() {
        if (!progress_.is_ordered()) {
            run_.forget_middle();
            progress_ = progress_.goes_on(run_.count());
        }
        progress_ = progress_.lost();
    }

    // A socket that is read again, after it was read to its end, begins another round: what the run had by
    // then has been answered elsewhere.
    [[gnu::noinline]] void end_round(Socket socket) {
        for (unsigned index = 0; index < drained_.size(); ++index)
            if (drained_[index] == socket.word()) {
                run_.forget_first(drained_count_[index]);
                if (run_.count() == 0)
                    clear();
                else
                    drained_count_[index] = 0;
            }
    }

    uint64_t again_ = 0; // the socket on which hear_again() may come true; 0: none
    bool is_entered_ = false;
    bool is_reader_ = false;
    bool is_peeked_taken_ = false; // see takes_peeked()
    bool answers_first_ = false;   // see may_answer_for_parent()
    // See give_back(): where there is something stored, and on_its_own_bit.
    uint8_t last_sent_ = 0;
    static constexpr uint8_t on_its_own_bit = 4;
    Progress progress_;
    unsigned thread_number_ = 0;
    uint32_t late_answer_to_ = 0; // a part of the conversation's hash
    // The first sockets read to their end in this run, none unless is_drained, and the run's length by then.
    std::array<uint8_t, 4> drained_count_{};
    static_assert(Run::capacity <= UINT8_MAX);
    std::array<uint64_t, 4> drained_{};
    uint64_t answer_began_at_ = 0; // see answers_at()
    uint64_t answered_at_ = 0;
    std::array<ConversationTable::Change, 2> stored_; // see set_stored()
    uint64_t stored_for_ = 0;
    uint64_t line_socket_ = 0;
    uint64_t usual_socket_ = 0; // line_socket_, or none
    Counters::Line* line_ = nullptr;
    struct {
        uint64_t socket = 0; // the descriptor's word; 0: closed
        RawDatagram raw{};
        ConversationTable::Entry entry;
        const SourceMessage* source = nullptr;
        const int* error_number = nullptr;
    } quick_;
    Run::Record peeked_; // what a call has only looked at
    Run run_;
};
static_assert(sizeof(ThreadMemory) <= 1024);

} // namespace multihome::peers
