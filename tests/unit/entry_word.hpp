// SPDX-License-Identifier: MIT
//
// Whose a word of the table is, said once more than the table says it, so that the tests see where the two
// differ.
#pragma once

#include "shim/peers/conversation.hpp"

#include <cstdint>

namespace multihome::test {

// The fingerprint of the conversation that the word was written for, while `locals` are what they were then;
// 0 for the empty word. The tests' conversations have their numbers for fingerprints.
template <typename Locals>
uint64_t number_of(uint64_t word, const Locals& locals) {
    const Conversation state{word};
    if (!state)
        return 0;
    uint64_t bits = word ^ locals.salt(state.first_index());
    if (state.kind() == Conversation::Kind::moving)
        bits ^= locals.salt(state.second_index()) << 1;
    return bits >> Conversation::bits;
}

// Where the program spoke first, the peer asked at no address of ours that is left, or it is at home nowhere.
inline bool is_without_address(Conversation state) {
    return state.first_index() == local_by_route && state.kind() != Conversation::Kind::known;
}

} // namespace multihome::test
