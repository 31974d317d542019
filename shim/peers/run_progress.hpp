// SPDX-License-Identifier: MIT
//
// How far a thread's run has come (thread_memory.hpp).
#pragma once

#include "shim/peers/run.hpp"
#include "shim/sockets/socket.hpp"

#include <array>
#include <cstdint>

namespace multihome::peers {

// One word, so that one store sets it.
struct RunProgress {
    enum Bit : uint32_t {
        receiving = 1U << 0,    // a call for one datagram received, and nothing was sent since
        batch = 1U << 1,        // the same of a call for many
        several = 1U << 2,      // a call for many brought more than one
        drained = 1U << 3,      // a call found nothing
        drained_many = 1U << 4, // so many sockets that nobody knows which of them begins anew
        lost = 1U << 5,         // the run does not remember everything that was received
        peeked = 1U << 6,       // the call, this one or the last one, only looked (MSG_PEEK)
    };
    static constexpr unsigned count_shift = 8; // above: the run's length before the last call

    uint32_t word = 0;

    constexpr bool has(uint32_t bits) const { return (word & bits) != 0; }
    constexpr unsigned count_before() const { return word >> count_shift; }
    // Answers come in the order of the requests. Where it is not known which requests are of this round, each
    // answer belongs to the latest of its conversation.
    constexpr bool is_ordered() const { return has(several | drained) && !has(drained_many); }

    // A call for one datagram received. What calls for many received before, and was not answered yet, is
    // lost.
    void begin() { word = receiving | ((word & batch) != 0 ? lost : 0U); }
    // One more such call received. `count`: the run's length before it.
    void go_on(unsigned count) {
        word = (word & (drained | drained_many | lost)) | receiving | count << count_shift;
    }
    // A call for many received. What was received before, and not answered yet, is lost.
    void begin_batch(bool brought_several) {
        word = batch | (brought_several ? several : 0U) | (has(receiving | batch) ? lost : 0U);
    }
    // Nothing is known of the run but that it does not remember everything. The next call must not forget
    // that.
    void forget_but_losses() { word = has(lost) ? lost | batch : 0U; }
    void send() { word &= ~(receiving | batch); }
};

// The first sockets that a run has read to their end, and the run's length by then.
class DrainedSockets {
public:
    void clear() { ids_ = {}; }

    // `fd`: the socket's descriptor. False where there is no room for one more.
    bool add(Socket socket, int fd, unsigned length) {
        const uint16_t id = id_of(socket, fd);
        for (unsigned index = 0; index < ids_.size(); ++index)
            if (ids_[index] == 0 || ids_[index] == id) {
                ids_[index] = id;
                lengths_[index] = static_cast<uint8_t>(length);
                return true;
            }
        return false;
    }

    // The run's length when this socket had been read to its end; null where it has not been.
    uint8_t* length_at_end_of(Socket socket, int fd) {
        const uint16_t id = id_of(socket, fd);
        for (unsigned index = 0; index < ids_.size(); ++index)
            if (ids_[index] == id)
                return &lengths_[index];
        return nullptr;
    }

private:
    // Not the whole word: the program's options change it, and so does our mark before a fork. A socket that
    // we saw being made has a number of its own. The others have their descriptors', from the high end.
    static uint16_t id_of(Socket socket, int fd) {
        return socket.made() != 0 ? socket.made()
                                  : static_cast<uint16_t>(0x8000U | ~static_cast<unsigned>(fd));
    }

    static constexpr unsigned capacity = 13;
    std::array<uint16_t, capacity> ids_{}; // 0: none
    std::array<uint8_t, capacity> lengths_{};
    static_assert(Run::capacity <= UINT8_MAX);
};

} // namespace multihome::peers
