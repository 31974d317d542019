// SPDX-License-Identifier: MIT
//
// No cancellation of the thread while this lives (pthread_setcancelstate(3)).
#pragma once

#include <pthread.h>

namespace multihome {

class NoCancellation {
public:
    // The type as well: where a thread may be cancelled at any time, glibc (2.36, sigcancel_handler()) looks
    // at the type alone when a signal comes that was sent before.
    NoCancellation() {
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type_);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);
    }
    ~NoCancellation() {
        pthread_setcancelstate(state_, nullptr);
        pthread_setcanceltype(type_, nullptr);
    }
    // Then no cancellation point of glibc may be called meanwhile.
    bool was_at_any_time() const { return type_ == PTHREAD_CANCEL_ASYNCHRONOUS; }

    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;

private:
    int type_ = PTHREAD_CANCEL_DEFERRED;
    int state_ = PTHREAD_CANCEL_ENABLE;
};

} // namespace multihome
