// SPDX-License-Identifier: MIT
#include "shim/sockets/process.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/sockets/multicast_turn.hpp"
#include "shim/sockets/sockets.hpp"

#include <cstdlib>
#include <pthread.h>
#include <sys/syscall.h>

namespace multihome::process {

namespace {

// The process that has called vfork() in this thread last; 0 once that process is known to run again. Parent
// and child run one after the other, and both see it.
constinit thread_local volatile int vfork_caller = 0;

// See may_have_inherited(). Among the initialized data, as in log.cpp: a page less.
[[gnu::section(".data")]] constinit bool is_activated = false;

// The children that use such sockets share what they know.
void before_fork() {
    if (is_activated && permissions::may(Activity::new_sockets))
        shared_state::create(settings::get().peers);
    sockets::mark_all();
    peers::forks();
}

void in_forked_child() {
    vfork_caller = 0;
    MulticastTurn::forget_all();
    sockets::forked();
    peers::forked();
}

} // namespace

void start() {
    is_activated = !settings::get().disabled && secure_getenv("LISTEN_FDS") != nullptr;
    pthread_atfork(before_fork, nullptr, in_forked_child);
}

bool may_have_inherited() {
    return is_activated;
}

void before_vfork() {
    sockets::mark_all();
    // A vfork child's child shares the same memory. Where we may not ask who runs, nothing is ours any more.
    if (permissions::may(Activity::naming_process) && !is_vfork_child())
        vfork_caller = static_cast<int>(libc::raw_syscall(SYS_getpid));
}

bool is_vfork_child() {
    const long caller = vfork_caller;
    if (caller == 0 || !permissions::may(Activity::naming_process))
        return false;
    if (caller != libc::raw_syscall(SYS_getpid))
        return true;
    vfork_caller = 0;
    return false;
}

} // namespace multihome::process
