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
class RunProgress {
public:
    constexpr RunProgress() = default;
    // A call for one datagram received, and nothing was sent since.
    static constexpr RunProgress receiving() { return RunProgress{receiving_bit}; }
    // The same, where the run begins with this datagram. What calls for many received before, and was not
    // answered yet, is lost.
    constexpr RunProgress begins() const {
        return RunProgress{receiving_bit | ((word_ & unsent_bit) != 0 ? lost_bit : 0U)};
    }
    // One more such call received. `count`: the run's length before it.
    constexpr RunProgress goes_on(unsigned count) const {
        return RunProgress{(word_ & (drained_bit | lost_bit | many_bit)) | receiving_bit |
                           count << count_shift};
    }
    // A call for many received. `several`: it brought more than one. What was received before, and not
    // answered yet, is lost.
    constexpr RunProgress batch(bool several) const {
        return RunProgress{(several ? batch_bit : 0U) | unsent_bit | (is_unanswered() ? lost_bit : 0U)};
    }
    // The same call brought more.
    constexpr RunProgress batch_goes_on() const { return RunProgress{word_ | batch_bit}; }
    // A call found nothing.
    constexpr RunProgress drained() const { return RunProgress{word_ | drained_bit}; }
    constexpr RunProgress not_drained() const { return RunProgress{word_ & ~drained_bit}; }
    // So many sockets were read to their end that nobody knows which of them begins anew.
    constexpr RunProgress drained_many() const { return RunProgress{word_ | many_bit}; }
    // The run does not remember everything that was received.
    constexpr RunProgress lost() const { return RunProgress{word_ | lost_bit}; }
    // The call, this one or the last one, only looked (MSG_PEEK).
    constexpr RunProgress peeked() const { return RunProgress{word_ | peeked_bit}; }
    constexpr RunProgress sent() const { return RunProgress{word_ & ~(receiving_bit | unsent_bit)}; }

    // Nothing was sent since a call received.
    constexpr bool is_unanswered() const { return (word_ & (receiving_bit | unsent_bit)) != 0; }
    // The same, of a call for one.
    constexpr bool is_receiving() const { return (word_ & receiving_bit) != 0; }
    constexpr bool is_drained() const { return (word_ & drained_bit) != 0; }
    constexpr bool has_lost() const { return (word_ & lost_bit) != 0; }
    constexpr bool was_peeked() const { return (word_ & peeked_bit) != 0; }
    // Answers come in the order of the requests. Where it is not known which requests are of this round, each
    // answer belongs to the latest of its conversation.
    constexpr bool is_ordered() const {
        return (word_ & (batch_bit | drained_bit)) != 0 && (word_ & many_bit) == 0;
    }
    // The run's length before the last call.
    constexpr unsigned count_before() const { return word_ >> count_shift; }

private:
    static constexpr uint32_t receiving_bit = 1;
    static constexpr uint32_t batch_bit = 2;
    static constexpr uint32_t drained_bit = 4;
    static constexpr uint32_t peeked_bit = 8;
    static constexpr uint32_t unsent_bit = 16; // a call for many received, and nothing was sent since
    static constexpr uint32_t lost_bit = 32;
    static constexpr uint32_t many_bit = 64;
    static constexpr unsigned count_shift = 8;

    constexpr explicit RunProgress(uint32_t word) : word_(word) {}
    uint32_t word_ = 0;
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
