// SPDX-License-Identifier: MIT
#include "shim/peers/source_message.hpp"

#include "shim/base/settings.hpp"

namespace multihome {

constinit std::array<SourceMessage, LocalAddresses::count> detail::source_messages{};

Source SourceMessage::make(const Local& local) {
    std::array<size_t, word_count> wanted{};
    control::write_source(wanted.data(), local);
    // Relaxed, except the length, which comes last. Whoever else makes it stores the same.
    for (size_t word = 1; word < word_count; ++word)
        words_[word].store(wanted[word], std::memory_order_relaxed);
    words_[0].store(wanted[0], std::memory_order_release); // pairs with the acquire in get()
    return get();
}

Source detail::make_source(const LocalAddresses& locals, LocalIndex index, SourceRoom& room) {
    Local local = locals.at(index);
    if (!local)
        return {};
    // Whoever else writes to the shared state (see the header) chooses no interface.
    if (!settings::get().same_interface && !local.address.is_link_local())
        local.interface_index = 0;
    if (local.interface_index == 0 && locals.is_first_generation(index))
        return source_messages[index].make(local);
    return {room.bytes, control::write_source(room.bytes, local)};
}

} // namespace multihome
