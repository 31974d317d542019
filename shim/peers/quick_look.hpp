// SPDX-License-Identifier: MIT
//
// The quick look, for what a busy server meets most: a datagram, its answer, and the same datagram from the
// same peer once more.
//
// It is open while the run's only datagram is of a conversation that is steady: known at the address that it
// asked. Then it changes nothing to hear that datagram once more, nor to answer it once more.
#pragma once

#include "shim/base/family.hpp"
#include "shim/peers/conversation_table.hpp"
#include "shim/peers/source_message.hpp"
#include "shim/sockets/socket.hpp"

#include <cstdint>

namespace multihome::peers {

class QuickLook {
public:
    constexpr QuickLook() = default;

    // True where this is the last datagram once more, which has been answered. It is of this family's form.
    template <typename Family>
    [[gnu::always_inline]] bool is_asked_again(Socket socket, const void* name, const void* control) const {
        if (answered_on_ != socket.word() || !is_name(raw_, name, Family::name_length) ||
            !Family::is_arrival(raw_, control) || !entry_.is_unchanged()) [[unlikely]]
            return false;
        return true;
    }
    // True where what is sent to `name`, of `length` readable bytes, answers the last datagram.
    [[gnu::always_inline]] bool is_answer(Socket socket, const void* name, socklen_t length) const {
        return socket_ == socket.word() &&
               entry_.is_unchanged() && // another thread may have heard this peer elsewhere
               is_name(raw_, name, length);
    }

    // The last datagram was answered here. It may come once more.
    void set_answered(Socket socket) { answered_on_ = socket.word(); }
    // The last datagram waits for its answer, or something else was sent since.
    void set_not_answered() { answered_on_ = 0; }

    // Opens for the run's only datagram, whose words are in words(). `socket`: the descriptor's word.
    [[gnu::always_inline]] void open(uint64_t socket, const ConversationTable::Entry& entry,
                                     const SourceMessage& source) {
        answered_on_ = 0;
        socket_ = socket;
        entry_ = entry;
        source_ = &source;
    }
    [[gnu::always_inline]] void close() {
        answered_on_ = 0;
        socket_ = 0;
    }
    // Where to put the words of a datagram before open(). Who puts others there must close().
    RawDatagram& words() { return raw_; }

    Source source() const { return source_->get(); }

private:
    uint64_t answered_on_ = 0; // the word of the descriptor on which is_asked_again() may come true; 0: none
    uint64_t socket_ = 0;      // the descriptor's word; 0: closed
    RawDatagram raw_{};
    ConversationTable::Entry entry_;
    const SourceMessage* source_ = nullptr;
};

} // namespace multihome::peers
