// SPDX-License-Identifier: MIT
//
// No cancellation of the thread while this lives (pthread_setcancelstate(3)).
#pragma once

#include <pthread.h>

namespace multihome {

class NoCancellation {
public:
    NoCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NoCancellation() { pthread_setcancelstate(before_, nullptr); }
    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

} // namespace multihome
