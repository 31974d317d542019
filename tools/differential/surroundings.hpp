// SPDX-License-Identifier: MIT
// What a side's program lives among: a network in which only it is, clients that speak to it, and addresses.
// Nothing here goes through the interposed functions.
#pragma once

#include "tools/differential/step.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace multihome::differential {

/// libc's own functions, whatever is preloaded.
struct Libc {
    Libc();
    int (*socket)(int, int, int);
    int (*bind)(int, const sockaddr*, socklen_t);
    int (*connect)(int, const sockaddr*, socklen_t);
    int (*close)(int);
    int (*close_range)(unsigned, unsigned, int);
    int (*dup3)(int, int, int);
    int (*fcntl)(int, int, ...);
    int (*setsockopt)(int, int, int, const void*, socklen_t);
    int (*getsockopt)(int, int, int, void*, socklen_t*);
    long (*syscall)(long, ...);
    ssize_t (*recvmsg)(int, msghdr*, int);
    ssize_t (*sendmsg)(int, const msghdr*, int);
    ssize_t (*sendto)(int, const void*, size_t, int, const sockaddr*, socklen_t);
};
const Libc& libc();

/// Puts this process into a network of its own with nothing but loopback. False where that is not allowed;
/// then what there was of it is not usable and the process has to give up.
bool isolate_network();

constexpr int port_count = 16;
constexpr int client_count = 3;
constexpr int first_own_descriptor = 200; ///< ours, beyond what a program of a few sockets gets
constexpr int own_descriptor_count = 8;

/// Where sixteen ports in a row are free; 0 where there is no such place.
in_port_t find_free_ports();

class Surroundings {
public:
    /// `isolated`: addresses beyond loopback may be used, because nothing leaves.
    Surroundings(in_port_t first_port, bool isolated) : first_port_(first_port), isolated_(isolated) {}
    ~Surroundings() = default;
    Surroundings(const Surroundings&) = delete;
    Surroundings& operator=(const Surroundings&) = delete;
    Surroundings(Surroundings&&) = delete;
    Surroundings& operator=(Surroundings&&) = delete;

    /// Opens our own sockets, where they are not open (a step may have closed them), and closes them.
    void repair();
    static void leave();

    /// Fills in an address; returns its length.
    socklen_t address(Place place, int port, sockaddr_storage& result) const;

    /// As normalise_address(), for a whole address. `by_lot`: the number is drawn from all there are, as a
    /// ping socket's identifier is.
    void normalise_port(sockaddr_storage& name, bool by_lot) const;

    /// Waits until everything sent so far has arrived. Loopback delivers within the sending call nearly
    /// always, but "nearly" would be a difference in every long run.
    void settle();

    void client_send(int client, Place to, int port, std::size_t length, int times, bool segmented);

    /// One datagram that reached a client, boiled down to a number and told in a note; false when there is
    /// none (any more).
    bool client_receive(int client, std::uint64_t& digest, std::string* note = nullptr);

    /// Where the next datagram for an IPv4 client comes from; 0 when there is none.
    static in_addr_t client_source(int client);

    /// One end of a UNIX socket pair, to pass descriptors from, and the other.
    [[nodiscard]] static int pass_from() { return first_own_descriptor + 5; }
    [[nodiscard]] static int pass_to() { return first_own_descriptor + 6; }
    /// Of this process: pidfd_getfd() of it copies a descriptor.
    [[nodiscard]] static int own_pidfd() { return first_own_descriptor + 4; }

private:
    [[nodiscard]] static int marker() { return first_own_descriptor; }
    [[nodiscard]] static int client_fd(int client) { return first_own_descriptor + 1 + client; }
    void open_udp(int number, int family, int port);
    in_port_t first_port_;
    bool isolated_;
};

/// Takes out of a socket address what the kernel draws by lot: an ephemeral port. Ours are all below 0x8000.
void normalise_address(unsigned char* address, std::size_t length);

/// Takes out of control messages what differs from call to call: times, process numbers, flow labels.
void normalise_control(unsigned char* control, std::size_t length);

} // namespace multihome::differential
