// SPDX-License-Identifier: MIT
//
// How far a thread's run has come (thread_memory.hpp).
#pragma once

#include "shim/peers/run.hpp"
#include "shim/sockets/socket.hpp"

#include <array>
#include <cstdint>
#include <netinet/in.h>

namespace multihome::peers {

// One word, so that one store sets it.
class RunProgress {
public:
    constexpr RunProgress() = default;
    // A call for one datagram received, and nothing was sent since.
    static constexpr RunProgress receiving() { return RunProgress{receiving_bit}; }
    // One more such call received. `count`: the run's length before it.
    constexpr RunProgress goes_on(unsigned count) const {
        return RunProgress{(word_ & (drained_bit | lost_bit)) | receiving_bit | count << count_shift};
    }
    // A call for many received. `several`: it brought more than one. What was received before, and not
    // answered yet, is lost.
    constexpr RunProgress batch(bool several) const {
        return RunProgress{(several ? batch_bit : 0U) | unsent_bit |
                           ((word_ & (unsent_bit | receiving_bit)) != 0 ? lost_bit : 0U)};
    }
    // The same call brought more.
    constexpr RunProgress batch_goes_on() const { return RunProgress{word_ | batch_bit}; }
    // A call found nothing.
    constexpr RunProgress drained() const { return RunProgress{word_ | drained_bit}; }
    constexpr RunProgress not_drained() const { return RunProgress{word_ & ~drained_bit}; }
    // The run does not remember everything that was received.
    constexpr RunProgress lost() const { return RunProgress{word_ | lost_bit}; }
    // The call, this one or the last one, only looked (MSG_PEEK).
    constexpr RunProgress peeked() const { return RunProgress{word_ | peeked_bit}; }
    constexpr RunProgress sent() const { return RunProgress{word_ & ~(receiving_bit | unsent_bit)}; }

    constexpr bool is_receiving() const { return (word_ & receiving_bit) != 0; }
    constexpr bool is_drained() const { return (word_ & drained_bit) != 0; }
    constexpr bool has_lost() const { return (word_ & lost_bit) != 0; }
    constexpr bool was_peeked() const { return (word_ & peeked_bit) != 0; }
    // Answers come in the order of the requests.
    constexpr bool is_ordered() const { return (word_ & (batch_bit | drained_bit)) != 0; }
    // The run's length before the last call.
    constexpr unsigned count_before() const { return word_ >> count_shift; }

private:
    static constexpr uint32_t receiving_bit = 1;
    static constexpr uint32_t batch_bit = 2;
    static constexpr uint32_t drained_bit = 4;
    static constexpr uint32_t lost_bit = 8;
    static constexpr uint32_t peeked_bit = 16;
    static constexpr uint32_t unsent_bit = 32; // a call for many received, and nothing was sent since
    static constexpr unsigned count_shift = 8;

    constexpr explicit RunProgress(uint32_t word) : word_(word) {}
    uint32_t word_ = 0;
};

// How long the run was when each socket had been read to its end. Of more sockets than there are places, two
// may share one: then the run forgets more than it has to, and the table answers for that.
class DrainedSockets {
public:
    void clear() { lengths_ = {}; }

    void add(Socket socket, unsigned length) { lengths_[place(socket)] = static_cast<uint8_t>(length); }

    // The run's length when this socket had been read to its end; null where it has not been.
    uint8_t* length_at_end_of(Socket socket) {
        uint8_t& length = lengths_[place(socket)];
        return length != 0 ? &length : nullptr;
    }

private:
    static constexpr unsigned places = 40;

    // Not by the whole word: the program's options change it, and so does our mark before a fork. Sockets
    // that were made one after the other get different places.
    static unsigned place(Socket socket) {
        return (socket.made() != 0 ? socket.made() : ntohs(socket.port())) % places;
    }

    std::array<uint8_t, places> lengths_{}; // 0: none
    static_assert(Run::capacity <= UINT8_MAX);
};

} // namespace multihome::peers
