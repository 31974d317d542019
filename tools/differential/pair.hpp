// SPDX-License-Identifier: MIT
// The two processes, and the comparison of what they report.
#pragma once

#include "tools/differential/record.hpp"

#include <netinet/in.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace multihome::differential {

/// How this program is to be started as a side.
struct Launch {
    std::vector<std::string> arguments; ///< before the assignment, which is the last one
    std::string library;     ///< preloaded into the shimmed side; empty: the program contains the shim
    bool own_network = true; ///< false: on the host's loopback, one side after the other
};

/// The first thing in which the sides differ.
struct Difference {
    std::size_t step = 0;
    std::string text; ///< for a person; may be several lines
};

class Pair {
public:
    /// Starts both. Throws std::runtime_error where that cannot be done.
    explicit Pair(Launch launch);
    ~Pair();
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    Pair(Pair&&) = delete;
    Pair& operator=(Pair&&) = delete;

    /// Runs the steps on both sides, at most Mailbox::maximum_steps of them, and closes what they leave open.
    /// True where nothing differs.
    bool run(std::span<const Step> steps, Difference& difference);

    /// Starts both anew: what they remember is forgotten.
    void restart() { start(); }

    /// The same again, to say more of a difference in a step: which bytes of the memory differ.
    std::string explain(std::span<const Step> steps, std::size_t step);

    /// True where a client that asks 127.0.0.2 is answered from there with the shim: it is at work.
    bool shim_answers_from_where_it_was_asked();

    /// Each side lives in a network of its own.
    [[nodiscard]] bool isolated() const { return isolated_; }

private:
    enum Who : std::uint8_t { shimmed, bare };
    struct Process {
        pid_t pid = -1;
        int descriptor = -1;
        Mailbox* mailbox = nullptr;
    };
    void start();
    void stop();
    bool try_start(Who who);
    bool run_both(std::span<const Step> steps, std::uint32_t detailed, Difference& difference);
    bool wait_for(Who who, Difference& difference);

    Launch launch_;
    bool isolated_ = false;
    in_port_t first_port_ = 0;
    std::array<Process, 2> processes_;
};

} // namespace multihome::differential
