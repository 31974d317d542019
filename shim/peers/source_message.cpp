// SPDX-License-Identifier: MIT
#include "shim/peers/source_message.hpp"

namespace multihome {

constinit std::array<SourceMessage, SourceMessage::count> SourceMessage::all{};

const SourceMessage& SourceMessage::make(LocalIndex index, const Local& local) {
    std::array<uint64_t, word_count> wanted{};
    control::write_source(wanted.data(), local);
    SourceMessage& message = all[index % count];
    // Relaxed, but for the length, which comes last: a number means one address for ever, so that whoever
    // else makes it stores the same.
    for (size_t word = 1; word < word_count; ++word)
        message.words_[word].store(wanted[word], std::memory_order_relaxed);
    message.words_[0].store(wanted[0], std::memory_order_release);
    return message;
}

} // namespace multihome
