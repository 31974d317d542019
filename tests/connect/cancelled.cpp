// SPDX-License-Identifier: MIT
//
// 2,000 threads are cancelled inside connect(). Whenever that happens, the socket is as connect() alone
// leaves it: with its peer, or without one and at the wildcard; and IP_MULTICAST_IF is what it was.
#include "names.hpp"

#include <atomic>
#include <pthread.h>
#include <string_view>

namespace {

constexpr unsigned at_once = 20;

struct Connecting {
    pthread_t thread;
    sockaddr_in peers[2]; // have asked at 127.0.0.2 and 127.0.0.3
    int fd;
    std::atomic<bool> is_started;
};

bool asynchronous;

void* connect_again_and_again(void* argument) {
    auto& connecting = *static_cast<Connecting*>(argument);
    int before = 0;
    pthread_setcanceltype(asynchronous ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &before);
    connecting.is_started = true;
    for (unsigned time = 0;; ++time)
        (void)connect(connecting.fd, any(connecting.peers[time % 2]), sizeof connecting.peers[0]);
    return nullptr;
}

// True where the socket is in a state that a connect() alone leaves it in.
bool is_right(const Connecting& connecting, bool shim, in_port_t port) {
    const int fd = connecting.fd;
    const sockaddr_in own = name_of(fd);
    in_addr chosen{};
    socklen_t length = sizeof chosen;
    must(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &chosen, &length) == 0, "IP_MULTICAST_IF");
    if (own.sin_port != port || chosen.s_addr != 0)
        return false;
    sockaddr_in peer{};
    length = sizeof peer;
    if (getpeername(fd, any(peer), &length) != 0)
        return equal(own, name_at(0, port));
    for (unsigned number = 0; number < 2; ++number)
        if (equal(peer, connecting.peers[number]))
            return equal(own, name_at(shim ? 2 + number : 1, port));
    return false;
}

} // namespace

int main(int, char** arguments) {
    const bool shim = std::string_view{arguments[1]} == "shim";
    asynchronous = std::string_view{arguments[2]} == "asynchronous";
    unsigned wrong = 0;
    unsigned connected = 0;
    for (unsigned round = 0; round < 2000 / at_once; ++round) {
        Connecting all[at_once];
        for (Connecting& one : all) {
            one.fd = server(one.peers);
            one.is_started = false;
            must(pthread_create(&one.thread, nullptr, connect_again_and_again, &one) == 0, "pthread_create");
        }
        for (Connecting& one : all) {
            while (!one.is_started)
                sched_yield();
            pthread_cancel(one.thread);
        }
        for (Connecting& one : all) {
            pthread_join(one.thread, nullptr);
            const sockaddr_in own = name_of(one.fd);
            wrong += !is_right(one, shim, own.sin_port);
            connected += own.sin_addr.s_addr != 0;
            close(one.fd);
        }
    }
    const bool ok = wrong == 0 && connected != 0;
    std::printf("%u of 2000 connected\n%s: %u in no state that connect() leaves\n", connected,
                ok ? "ok" : "FAIL", wrong);
    return ok ? 0 : 1;
}
