// SPDX-License-Identifier: MIT
//
// No cancellation of the thread while this lives (pthread_setcancelstate(3)).
#pragma once

#include "shim/base/libc.hpp"

#include <pthread.h>
#include <sys/syscall.h>

namespace multihome {

class NoCancellation {
public:
    // The type as well: where a thread may be cancelled at any time, glibc (2.36, sigcancel_handler()) looks
    // at the type alone when a signal comes that was sent before.
    NoCancellation() {
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type_);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);
        // Such a signal comes with the next system call, and not in a cancellation point, which sets the
        // type.
        if (type_ == PTHREAD_CANCEL_ASYNCHRONOUS) [[unlikely]]
            libc::raw_syscall(SYS_getpid);
    }
    ~NoCancellation() {
        pthread_setcancelstate(state_, nullptr);
        pthread_setcanceltype(type_, nullptr);
    }
    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;

private:
    int type_ = PTHREAD_CANCEL_DEFERRED;
    int state_ = PTHREAD_CANCEL_ENABLE;
};

} // namespace multihome
