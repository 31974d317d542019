// SPDX-License-Identifier: MIT
//
// What the programs share that the bench starts.
#pragma once

#include "shim/peers/shared_state.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <valgrind/callgrind.h>

namespace multihome::bench {

constexpr unsigned largest_batch = 32;
constexpr unsigned largest_datagram = 2048;

[[noreturn]] inline void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// `result`, unless it is negative: then fails with errno.
inline int check(int result, const char* what) {
    if (result < 0)
        fail(what);
    return result;
}

template <typename Value>
void set_option(int fd, int level, int option, const Value& value) {
    check(setsockopt(fd, level, option, &value, sizeof value), "setsockopt");
}

// Bound to `address`, and with room for what comes while its owner has to wait. The kernel gives as much as
// it allows, to root all of it.
template <typename Address>
void bind_with_room(int fd, const Address& address) {
    const int size = 8 << 20;
    for (const int option : {SO_RCVBUF, SO_SNDBUF, SO_RCVBUFFORCE, SO_SNDBUFFORCE})
        setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
    check(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

// A program's main(): its settings are JSON on the command line.
template <typename Settings>
int run_with_settings(int argc, char** argv, void (*run)(const Settings&)) {
    try {
        nlohmann::json settings = Settings{};
        const size_t known = settings.size();
        settings.update(nlohmann::json::parse(argc > 1 ? argv[1] : "{}"));
        if (settings.size() != known)
            throw std::invalid_argument("some of the settings do not exist");
        run(settings.get<Settings>());
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
}

// Knuth's MMIX generator: the numbers are always the same.
using Random = std::linear_congruential_engine<uint64_t, 6364136223846793005, 1442695040888963407, 0>;

// Under a key that was drawn by lot, clients lie in other places of the table each time, and no count is
// exact.
inline HashKey steady_key() {
    HashKey key{};
    Random random(1);
    for (uint64_t& word : key.words) {
        word = random();
        word ^= word >> 32;
    }
    key.make_odd();
    return key;
}

// Called inside a server, after its bind(): gives the shim's table that key. Does nothing where no shim is.
inline void use_steady_key() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find(" rw-s ") == std::string::npos || line.find("/dev/zero") == std::string::npos)
            continue;
        auto* state = reinterpret_cast<SharedState*>(std::stoull(line, nullptr, 16));
        if (std::string_view(state->magic) == SharedState::expected_magic)
            state->key = steady_key();
    }
}

} // namespace multihome::bench
