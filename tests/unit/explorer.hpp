// SPDX-License-Identifier: MIT
//
// All that a few threads can do to each other: Explored<T> (explored.hpp) stands in for std::atomic<T>, and
// an Explorer runs the same few operations again and again, each time with another order of the threads and
// other values that the loads may return, until there is no other.
//
// The model is that of C++20 as far as the shim uses it. Each location has its writes in order, its messages.
// A load may return any message but one that is older than what its thread knows of: a thread knows of what
// it has read and written itself, and of what a thread knew whose release it has acquired, by an operation
// or a fence. A read-modify-write reads the newest message, and hands on the release of the one that it read.
// A compare_exchange_strong that fails is a load.
//
// What is not modelled: a location's writes come in the order in which they are executed, and no load returns
// what is written later. So two threads' writes to two locations never come in opposite orders (2+2W), and no
// load sees what depends on it (load buffering), as in relacy. seq_cst is acquire and release, and no more;
// consume, and what is not atomic, are not there. All is known before the threads begin and after they end.
//
// Threads change places after writes only, and lose nothing by it: a load changes nothing for others, and may
// return the same message later. So every order is as good as one in which a thread's loads come right before
// its next write, or at the very end. Tests compare that with changes everywhere.
//
// A thread is a function that is run anew each time that its turn comes, and is told what it was told before.
// So it must depend on nothing else than what it loads, and set its results anew.
#pragma once

#include "view.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace multihome::test {

class Explorer {
public:
    // What the explorer has to find: each makes the operations worse than their names say. A torn exchange is
    // a load and then a store; a blind one stores whatever is there.
    enum class Fault : uint8_t {
        none,
        release_is_relaxed,
        acquire_is_relaxed,
        no_acquire_fence,
        no_release_fence,
        torn_exchange,
        blind_exchange
    };

    struct Options {
        Fault fault = Fault::none;
        bool has_one_order = false;     // of all operations: loads return the newest; wants change_everywhere
        bool change_everywhere = false; // threads change places after loads as well
        unsigned preemptions = ~0U;     // so many times a thread is left that could go on
        uint64_t limit = 5'000'000;     // executions
    };

    struct Result {
        uint64_t executions = 0;
        bool is_complete = false; // there is no other
        std::string violation;    // the first one, and how it comes about; empty where there is none
    };

    using Thread = std::function<void()>;
    // After each execution: what is wrong with it, or nothing. Sees the newest values.
    using Check = std::function<std::string()>;

    static Result explore(const std::vector<Thread>& threads, const Check& check, const Options& options) {
        Explorer explorer{threads, options};
        Result result;
        for (bool more = true; more && result.executions < options.limit; more = explorer.advance()) {
            const bool counts = explorer.execute();
            result.executions += counts ? 1 : 0;
            result.violation = counts ? check() : "";
            explorer.clean();
            if (!result.violation.empty()) {
                explorer.is_traced_ = true;
                explorer.execute();
                explorer.clean();
                result.violation += explorer.trace_;
                return result;
            }
        }
        result.is_complete = explorer.choices_.empty();
        return result;
    }

    // The one whose threads are running or have just run.
    static Explorer*& current() {
        static Explorer* explorer = nullptr;
        return explorer;
    }

    bool is_running() const { return is_running_; }
    uint64_t newest(const Location& location) const {
        return location.number != 0 ? messages_[location.number - 1].back().value : location.initial;
    }

    uint64_t load(const Location& location, std::memory_order order) {
        if (is_repeating())
            return repeat().value;
        const uint64_t value = read(location, order);
        remember(value, false);
        note("load", location, value);
        if (options_.change_everywhere)
            change_places();
        return value;
    }

    void store(const Location& location, uint64_t value, std::memory_order order) {
        if (!is_running_) {
            messages(location).push_back({value, View{}});
            return;
        }
        if (is_repeating()) {
            repeat();
            return;
        }
        write(location, value, order, View{});
        remember(value, false);
        note("store", location, value);
        change_places();
    }

    bool exchange(const Location& location, uint64_t& expected, uint64_t wanted, std::memory_order success,
                  std::memory_order failure) {
        if (!is_running_) {
            const uint64_t before = std::exchange(expected, newest(location));
            if (before != expected)
                return false;
            store(location, wanted, success);
            return true;
        }
        if (options_.fault == Fault::torn_exchange)
            return exchange_torn(location, expected, wanted, success);
        if (is_repeating()) {
            const Told told = repeat();
            expected = told.value;
            return told.succeeded;
        }
        const bool succeeds = exchange_once(location, expected, wanted, success, failure);
        remember(expected, succeeds);
        note(succeeds ? "exchange" : "failed exchange", location, succeeds ? wanted : expected);
        if (succeeds || options_.change_everywhere)
            change_places();
        return succeeds;
    }

    void fence(std::memory_order order) {
        if (!is_running_)
            return;
        if (is_repeating()) {
            repeat();
            return;
        }
        Known& known = known_[running_];
        if (acquires(order) && options_.fault != Fault::no_acquire_fence)
            known.now.join(known.if_acquired);
        if (releases(order) && options_.fault != Fault::no_release_fence)
            known.when_released = known.now;
        remember(0, false);
    }

private:
    // What a thread was told by an operation.
    struct Told {
        uint64_t value;
        bool succeeded;
    };
    struct Known {
        View now;
        View if_acquired;   // by a fence, of what was loaded
        View when_released; // by a fence
        std::vector<Told> told;
        size_t repeated = 0;
        bool is_done = false;
    };
    struct Choice {
        unsigned taken;
        unsigned count;
    };
    struct PlacesChanged {};
    struct Redundant {};
    Explorer(const std::vector<Thread>& threads, const Options& options)
        : threads_(threads), options_(options) {
        current() = this;
    }
    ~Explorer() { current() = nullptr; }
    Explorer(const Explorer&) = delete;
    Explorer& operator=(const Explorer&) = delete;

    // False where the same comes out of another one.
    bool execute() {
        known_.assign(threads_.size(), Known{});
        depth_ = 0;
        preempted_ = 0;
        is_over_ = false;
        trace_.clear();
        is_running_ = true;
        running_ = choose(static_cast<unsigned>(threads_.size()));
        for (bool more = true; more;) {
            Known& known = known_[running_];
            known.repeated = 0;
            try {
                threads_[running_]();
                known.is_done = is_over_ = true;
                // What they load after their last writes changes nothing for the others: one order will do.
                if (reduces() && !is_first_left())
                    throw Redundant{};
                more = take_next();
            } catch (const PlacesChanged&) {
                continue; // with the next one
            } catch (const Redundant&) {
                is_running_ = false;
                return false;
            }
        }
        is_running_ = false;
        return true;
    }

    void clean() {
        for (const Location* location : locations_)
            location->number = 0;
        locations_.clear();
        messages_.clear();
    }

    // The next choices; false where there are no others.
    bool advance() {
        choices_.resize(depth_);
        while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().count)
            choices_.pop_back();
        if (choices_.empty())
            return false;
        ++choices_.back().taken;
        return true;
    }

    unsigned choose(unsigned count) {
        if (count <= 1)
            return 0;
        if (depth_ == choices_.size())
            choices_.push_back({0, count});
        return choices_[depth_++].taken;
    }

    unsigned count_left() const {
        return static_cast<unsigned>(
            std::count_if(known_.begin(), known_.end(), [](const Known& known) { return !known.is_done; }));
    }
    // A thread is over. False where all are.
    bool take_next() {
        if (count_left() == 0)
            return false;
        unsigned taken = choose(count_left());
        for (running_ = 0; known_[running_].is_done || taken-- != 0;)
            ++running_;
        return true;
    }

    // After a write, as a rule.
    void change_places() {
        // A thread is over, whose last loads could as well have waited for this write.
        if (is_over_ && reduces())
            throw Redundant{};
        if (preempted_ >= options_.preemptions)
            return;
        // The first choice is to go on.
        unsigned taken = choose(count_left());
        if (taken == 0)
            return;
        ++preempted_;
        const size_t left = running_;
        for (size_t thread = 0; taken != 0; ++thread)
            if (thread != left && !known_[thread].is_done && --taken == 0)
                running_ = thread;
        throw PlacesChanged{};
    }

    bool reduces() const { return !options_.change_everywhere && options_.preemptions == ~0U; }
    bool is_first_left() const {
        return std::all_of(known_.data(), known_.data() + running_,
                           [](const Known& known) { return known.is_done; });
    }

    bool is_repeating() const { return known_[running_].repeated < known_[running_].told.size(); }
    Told repeat() {
        Known& known = known_[running_];
        return known.told[known.repeated++];
    }
    void remember(uint64_t value, bool succeeded) {
        Known& known = known_[running_];
        known.told.push_back({value, succeeded});
        ++known.repeated;
    }

    std::vector<Message>& messages(const Location& location) {
        if (location.number == 0) {
            locations_.push_back(&location);
            location.number = static_cast<uint32_t>(locations_.size());
            messages_.push_back({Message{location.initial, View{}}});
        }
        return messages_[location.number - 1];
    }

    uint64_t read(const Location& location, std::memory_order order) {
        if (location.number == 0)
            return location.initial;
        const auto newest_one = static_cast<uint32_t>(messages(location).size() - 1);
        return read_message(location, newest_one - choose(newest_one - oldest(location) + 1), order);
    }
    // The oldest message that may be read.
    uint32_t oldest(const Location& location) const {
        return options_.has_one_order ? static_cast<uint32_t>(messages_[location.number - 1].size() - 1)
                                      : known_[running_].now.oldest(location.number);
    }

    uint64_t read_message(const Location& location, uint32_t number, std::memory_order order) {
        Known& known = known_[running_];
        const Message& message = messages(location)[number];
        known.now.raise(location.number, number);
        const bool acquired = acquires(order) && options_.fault != Fault::acquire_is_relaxed;
        (acquired ? known.now : known.if_acquired).join(message.view);
        return message.value;
    }

    // `handed_on`: the release of the message that a read-modify-write has read.
    void write(const Location& location, uint64_t value, std::memory_order order, View handed_on) {
        std::vector<Message>& all = messages(location);
        Known& known = known_[running_];
        known.now.raise(location.number, static_cast<uint32_t>(all.size()));
        const bool released = releases(order) && options_.fault != Fault::release_is_relaxed;
        handed_on.join(released ? known.now : known.when_released);
        all.push_back({value, std::move(handed_on)});
    }

    bool exchange_once(const Location& location, uint64_t& expected, uint64_t wanted,
                       std::memory_order success, std::memory_order failure) {
        const std::vector<Message>& all = messages(location);
        const auto newest_one = static_cast<uint32_t>(all.size() - 1);
        const bool may_succeed = all[newest_one].value == expected || options_.fault == Fault::blind_exchange;
        std::vector<uint32_t> others; // that it may fail with
        for (uint32_t number = newest_one + 1; number-- > oldest(location);)
            if (all[number].value != expected)
                others.push_back(number);
        unsigned taken = choose(static_cast<unsigned>(others.size()) + (may_succeed ? 1 : 0));
        if (may_succeed && taken-- == 0) {
            View handed_on = all[newest_one].view;
            read_message(location, newest_one, success);
            write(location, wanted, success, std::move(handed_on));
            return true;
        }
        expected = read_message(location, others[taken], failure);
        return false;
    }

    bool exchange_torn(const Location& location, uint64_t& expected, uint64_t wanted,
                       std::memory_order success) {
        const uint64_t value = load(location, std::memory_order_relaxed);
        if (value != expected) {
            expected = value;
            return false;
        }
        // Between the two all may happen.
        if (is_repeating()) {
            repeat();
        } else {
            remember(0, false);
            change_places();
        }
        store(location, wanted, success);
        return true;
    }

    void note(const char* what, const Location& location, uint64_t value) {
        if (is_traced_ && location.number != 0)
            trace_ += "\n  thread " + std::to_string(running_) + ": " + what + " location " +
                      std::to_string(location.number) + " = " + std::to_string(value);
    }

    const std::vector<Thread>& threads_;
    Options options_;
    std::vector<Choice> choices_;
    size_t depth_ = 0;
    std::vector<Known> known_;
    size_t running_ = 0;
    unsigned preempted_ = 0;
    bool is_running_ = false;
    bool is_over_ = false; // one of the threads
    std::vector<const Location*> locations_;
    std::vector<std::vector<Message>> messages_;
    bool is_traced_ = false;
    std::string trace_;
};

} // namespace multihome::test
