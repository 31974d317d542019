// SPDX-License-Identifier: MIT
//
// Holds off the cancellation of this thread while it lives (pthread_setcancelstate(3)).
#pragma once

#include <pthread.h>

namespace multihome {

class NoCancellation {
public:
    // Sets the type as well. When a signal comes that was sent before, glibc (2.36, sigcancel_handler())
    // looks at the type alone: it cancels a thread that may be cancelled at any time.
    NoCancellation() {
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type_);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);
    }
    ~NoCancellation() {
        pthread_setcancelstate(state_, nullptr);
        pthread_setcanceltype(type_, nullptr);
    }
    // True where the thread may be cancelled at any time. Then call no cancellation point of glibc meanwhile.
    bool was_at_any_time() const { return type_ == PTHREAD_CANCEL_ASYNCHRONOUS; }

    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;

private:
    int type_ = PTHREAD_CANCEL_DEFERRED;
    int state_ = PTHREAD_CANCEL_ENABLE;
};

} // namespace multihome
