// SPDX-License-Identifier: MIT
#include "shim/peers/peers.hpp"

namespace multihome::peers {

constinit thread_local ThreadMemory detail::this_thread;

Counters::Line* detail::choose_line(ThreadMemory* memory, Socket socket) {
    SharedState* const state = shared_state::get();
    if (state == nullptr)
        return nullptr;
    if (memory == nullptr)
        return &state->counters.line(socket.port(), 0);
    if (memory->thread_number() == 0)
        // Relaxed: any number will do.
        memory->set_thread_number(1 + state->threads.fetch_add(1, std::memory_order_relaxed));
    Counters::Line& line = state->counters.line(socket.port(), memory->thread_number());
    memory->set_line(socket, line);
    return &line;
}

void forks() {
    detail::this_thread.forks();
}

void forked() {
    detail::this_thread.forked();
}

} // namespace multihome::peers
