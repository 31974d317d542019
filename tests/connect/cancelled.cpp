// SPDX-License-Identifier: MIT
//
// 1,000 threads are cancelled inside connect(), each after a number of them that chance has chosen. Whenever
// that happens, the socket is as connect() alone leaves it: with its peer, or without one and at the
// wildcard; and the options that the shim uses for it are what they were.
//
//   cancelled bare|shim deferred|asynchronous v4|v6
#include "two_peers.hpp"

#include <pthread.h>
#include <random>
#include <semaphore.h>

using namespace probe;

namespace {

constexpr unsigned threads = 1000;
constexpr unsigned at_once = 20;
// Most threads have connected by then, so that most sockets have to have a peer.
constexpr unsigned most_connects = 15;
constexpr unsigned fair_share = threads / 2;

struct Connecting {
    pthread_t thread;
    Name peers[2];
    int fd;
    unsigned enough; // so many it makes at least
    sem_t is_enough;
};

bool asynchronous;

void* connect_again_and_again(void* argument) {
    auto& connecting = *static_cast<Connecting*>(argument);
    int before = 0;
    pthread_setcanceltype(asynchronous ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &before);
    for (unsigned time = 0;; ++time) {
        if (time == connecting.enough)
            sem_post(&connecting.is_enough);
        const Name& peer = connecting.peers[time % 2];
        (void)connect(connecting.fd, peer.get(), peer.length);
    }
    return nullptr;
}

// What the routing table chooses for the clients.
std::string routed(const Addresses& at) {
    const int fd = socket(Name(at.server, 0).storage.ss_family, SOCK_DGRAM, 0);
    const Name client(at.client, htons(9));
    must(connect(fd, client.get(), client.length) == 0, "connect");
    std::string address = name_of(fd).address();
    close(fd);
    return address;
}

// True where the socket is in a state that a connect() alone leaves it in. `local`: the addresses that it
// then has with either peer.
bool is_right(const Connecting& connecting, const Addresses& at, const std::string (&local)[2],
              in_port_t port) {
    const int fd = connecting.fd;
    const Name own = name_of(fd);
    int device = -1;
    socklen_t length = sizeof device;
    must(getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &length) == 0, "SO_BINDTOIFINDEX");
    if (own.port() != port || multicast_interface(fd, at) != 0 || device != 0)
        return false;
    Name peer;
    peer.length = sizeof peer.storage;
    if (getpeername(fd, peer.get(), &peer.length) != 0)
        return own.address() == at.server;
    for (unsigned number = 0; number < 2; ++number)
        if (equal(peer, connecting.peers[number]))
            return own.address() == local[number];
    return false;
}

} // namespace

int main(int count, char** arguments) {
    if (count != 4)
        return 2;
    const bool shim = std::string_view{arguments[1]} == "shim";
    asynchronous = std::string_view{arguments[2]} == "asynchronous";
    const Addresses& at = addresses_of(arguments[3]);
    const std::string route = routed(at);
    const std::string local[2]{shim ? at.asked : route, shim ? at.other : route};
    std::minstd_rand random;
    std::uniform_int_distribution<unsigned> connects(0, most_connects);
    unsigned wrong = 0;
    unsigned connected = 0;
    for (unsigned round = 0; round < threads / at_once; ++round) {
        Connecting all[at_once];
        in_port_t ports[at_once];
        for (unsigned number = 0; number < at_once; ++number) {
            Connecting& one = all[number];
            one.fd = server(at, one.peers);
            ports[number] = name_of(one.fd).port();
            one.enough = connects(random);
            must(sem_init(&one.is_enough, 0, 0) == 0, "sem_init");
            must(pthread_create(&one.thread, nullptr, connect_again_and_again, &one) == 0, "pthread_create");
        }
        for (Connecting& one : all) {
            sem_wait(&one.is_enough);
            pthread_cancel(one.thread);
        }
        for (unsigned number = 0; number < at_once; ++number) {
            const Connecting& one = all[number];
            pthread_join(one.thread, nullptr);
            wrong += !is_right(one, at, local, ports[number]);
            connected += name_of(one.fd).address() != at.server;
            close(one.fd);
        }
    }
    const bool ok = wrong == 0 && connected >= fair_share;
    std::printf("%u of %u connected, should be %u or more\n%s: %u in no state that connect() leaves\n",
                connected, threads, fair_share, ok ? "ok" : "FAIL", wrong);
    return ok ? 0 : 1;
}
