// SPDX-License-Identifier: MIT
//
// What each answer's source must be: a map from conversation to address. Where more than one source is right
// (a peer waits for answers from two of our addresses, and neither the order nor the thread says which one
// this is), all of them are allowed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace multihome::conversations {

// A set of the host's addresses, by their numbers.
using Addresses = uint32_t;
constexpr Addresses only(size_t address) {
    return Addresses{1} << address;
}

// A peer and a port of ours. A peer that comes back with another port is another peer.
using Conversation = std::pair<size_t, size_t>;

class Model {
public:
    static constexpr Addresses anywhere = ~Addresses{0};

    // So many sockets can be read in turn, see multihome(7).
    static constexpr size_t most_drained = 13;

    // The address that the routing table chooses.
    static constexpr size_t routed = 0;

    void heard(size_t actor, Conversation conversation, uint64_t token, size_t asked, int socket) {
        Run& run = runs_[actor];
        if (run.is_over) {
            begin_again(actor);
        } else if (const auto end = run.ends.find(socket); end != run.ends.end()) {
            // The next round begins: what was read until then was answered elsewhere.
            forget_until(actor, end->second);
            end->second = 0;
        }
        State& state = states_[conversation];
        state.has_lapsed = false;
        state.is_alone = state.waiting.empty();
        state.is_mixed_up &= !state.is_alone;
        state.waiting.push_back({token, asked});
        state.read_by[actor].push_back({token, asked, ++questions_read_});
        state.newest_reader = actor;
        state.newest_token = token;
        state.newest_asked = asked;
        state.asked |= only(asked);
    }

    // A call on this socket found nothing.
    void found_empty(size_t actor, int socket) {
        runs_[actor].is_ordered = true;
        runs_[actor].ends[socket] = questions_read_;
    }
    // Whether the actor answers in the order in which it has read, which it has done until there was no more.
    bool keeps_order(size_t actor) { return runs_[actor].ends.size() <= most_drained; }
    // A call for many brought several.
    void gathered(size_t actor) { runs_[actor].is_ordered = true; }

    // The sources that are right for the answer to this question. `in_order`: the actor has just read all
    // there was, and answers it in order.
    Addresses answer(size_t actor, Conversation conversation, uint64_t token, size_t asked, bool in_order) {
        State& state = states_[conversation];
        const Questions& mine = state.read_by[actor];
        const bool may_be_another = has_read_another(actor, state, mine, token);
        const bool is_alone = state.is_alone && !may_be_another;
        if (state.has_lapsed)
            return only(routed);
        // What the actor has just read comes first, whatever was known before.
        if (state.is_vague)
            return is_alone && state.newest_reader == actor && !state.spoke_first ? only(asked) : anywhere;
        if (state.spoke_first)
            return only(routed);
        if (is_alone)
            return only(asked);
        if (in_order && !mine.empty() && mine.front().token == token)
            return only(asked);
        // One question of a conversation is remembered for all, the newest, and one answer to it.
        Addresses possible = only(asked);
        bool newest_waits = false;
        for (const Question& question : state.waiting) {
            possible |= only(question.asked);
            newest_waits |= question.token == state.newest_token;
        }
        if (!newest_waits || state.is_mixed_up)
            possible |= state.asked;
        // What the actor has read itself counts, unless another one has read the newest, at another address
        // than the actor has read last.
        if (may_be_another || state.newest_reader == actor ||
            (!mine.empty() && mine.back().asked == state.newest_asked))
            for (const Question& question : mine)
                possible |= only(question.asked);
        state.is_mixed_up |= possible != only(asked);
        return possible == only(asked) ? only(asked) : known(state);
    }
    // It has left.
    void answered(size_t actor, Conversation conversation, uint64_t token) {
        runs_[actor].is_over = true;
        State& state = states_[conversation];
        state.was_sent_to = true;
        const auto is_meant = [&](const Question& question) { return question.token == token; };
        std::erase_if(state.waiting, is_meant);
        // If it was not the first one that the actor has read, it may have been taken for the answer to that.
        Questions& mine = state.read_by[actor];
        if (const auto found = std::find_if(mine.begin(), mine.end(), is_meant); found == mine.begin())
            std::erase_if(mine, is_meant);
        else if (found != mine.end())
            found->is_answered = true;
        if (std::all_of(mine.begin(), mine.end(),
                        [](const Question& question) { return question.is_answered; }))
            mine.clear();
        // It may have been taken for the answer to another one that waits.
        state.is_mixed_up |= !state.waiting.empty();
    }

    // Whether a question waits for its answer.
    bool is_busy(Conversation conversation) { return !states_[conversation].waiting.empty(); }

    // What the program sends on its own.
    Addresses pushed(size_t actor, Conversation conversation) {
        runs_[actor].is_over = true;
        State& state = states_[conversation];
        state.was_sent_to = true;
        // Of a vague one, this may or may not be the first word.
        if (state.asked == 0)
            state.spoke_first = true;
        return state.is_vague ? anywhere : state.spoke_first ? only(routed) : known(state);
    }
    // Whether something that nobody asked for would be taken for an answer.
    bool waits(size_t peer) const {
        return std::any_of(states_.begin(), states_.end(), [&](const auto& entry) {
            return entry.first.first == peer && !entry.second.is_settled();
        });
    }

    // It is not known what became of this conversation: a thread was cancelled, a source was refused.
    void forget(Conversation conversation) { states_[conversation].become_vague(); }
    // An address went away: whoever has asked there may be forgotten.
    void forget_all_that_asked(size_t address) {
        for (auto& [conversation, state] : states_)
            if ((state.asked & only(address)) != 0)
                state.become_vague();
    }
    // All have been silent for long. Who waited for an answer waits no more, and what the program sent to a
    // peer first counts no more.
    void be_silent() {
        for (auto& [conversation, state] : states_) {
            state.has_been_silent = true;
            state.has_lapsed = !state.is_vague && !state.spoke_first && !state.was_sent_to;
            if (state.spoke_first || state.is_mixed_up || !state.is_settled())
                state.become_vague();
            // The next word is a first one again, be it an answer that comes late.
            if (state.spoke_first && state.is_settled()) {
                state.spoke_first = false;
                state.asked = 0;
            }
        }
    }
    bool has_lapsed(Conversation conversation) { return states_[conversation].has_lapsed; }
    // A worker or a thread that knows nothing has taken the place of this one; or one that knows what
    // `parent` does.
    void begin_again(size_t actor) {
        runs_[actor] = {};
        forget_until(actor, questions_read_);
    }
    void begin_again(size_t actor, size_t parent) {
        runs_[parent].is_over = true;
        runs_[actor] = runs_[parent];
        runs_[actor].is_forked = true;
        for (auto& [conversation, state] : states_)
            state.read_by[actor] = state.read_by[parent];
    }
    // Of how many conversations of this peer that is so.
    size_t vague_ones(size_t peer) const {
        return static_cast<size_t>(std::count_if(states_.begin(), states_.end(), [&](const auto& entry) {
            return entry.first.first == peer && entry.second.is_vague;
        }));
    }
    void forget_peer(size_t peer) {
        std::erase_if(states_, [&](const auto& entry) { return entry.first.first == peer; });
    }

private:
    struct Question {
        uint64_t token;
        size_t asked;
        uint64_t number = 0;
        bool is_answered = false; // or another one was, instead
    };
    using Questions = std::vector<Question>;
    // What an actor has read in a row.
    struct Run {
        bool is_over = false; // something was sent, or a worker was forked: the next question begins another
        bool is_ordered = false;      // its answers may begin with the first question, not with the latest
        bool is_forked = false;       // its parent has read it
        std::map<int, uint64_t> ends; // by socket: how much had been read when it was empty
    };
    struct State {
        Questions waiting; // that nobody has answered
        // By actor: what it has read, and may think that it has not answered.
        std::map<size_t, Questions> read_by;
        size_t newest_reader = 0;
        uint64_t newest_token = 0;
        size_t newest_asked = 0;
        Addresses asked = 0; // all at which the peer has ever asked
        bool spoke_first = false;
        bool is_alone = false;    // the newest question was read when no other one waited
        bool is_mixed_up = false; // an answer may have been taken for that to another question
        bool is_vague = false;
        bool was_sent_to = false; // anything, ever
        bool has_been_silent = false;
        bool has_lapsed = false; // nothing is known but questions that have run out

        void become_vague() {
            is_vague = true;
            is_alone = false;
        }
        bool is_settled() const {
            return waiting.empty() && std::all_of(read_by.begin(), read_by.end(),
                                                  [](const auto& entry) { return entry.second.empty(); });
        }
    };
    void forget_until(size_t actor, uint64_t number) {
        for (auto& [conversation, state] : states_)
            std::erase_if(state.read_by[actor],
                          [&](const Question& question) { return question.number <= number; });
    }
    // True where the actor has read an older question of this conversation, and may take this answer for that
    // one's: where it answers in order, and where it was forked before it could see that others answer.
    bool has_read_another(size_t actor, const State& state, const Questions& mine, uint64_t token) {
        const Run& run = runs_[actor];
        if (mine.empty() || (mine.size() == 1 && mine.front().token == token))
            return false;
        const bool is_newest = state.newest_reader == actor || mine.back().asked == state.newest_asked;
        return run.is_forked || (run.is_ordered && is_newest);
    }

    // Where the peer may be, as far as the program knows. One that was at several addresses may be a stranger
    // at any of them, and one that has been silent may have gone: then the routing table may choose.
    Addresses known(const State& state) const {
        const bool several = (state.asked & (state.asked - 1)) != 0;
        return state.asked | (several || state.has_been_silent ? only(routed) : 0);
    }

    std::map<Conversation, State> states_;
    std::map<size_t, Run> runs_; // by actor
    uint64_t questions_read_ = 0;
};

} // namespace multihome::conversations
