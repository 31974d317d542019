// SPDX-License-Identifier: MIT
// One step of a program that both sides run: a call with all that its arguments point to, or something that
// happens around the program (a client sends, a descriptor is closed where the shim cannot see it). A step is
// plain data, so that it can be put into shared memory, cut down field by field, and written as a line of
// text:
//
//     recvmsg fd=3 length=100 control_length=64 flags=0x40
//     syscall:recvmsg fd=3 name=null
//
// What is not mentioned is 0, which for a pointer means a good one.
#pragma once

#include "tools/differential/call.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace multihome::differential {

/// What a step does, beyond calling an interposed function.
enum class Op : std::uint8_t {
#define MULTIHOME_SYMBOL(result, name, arguments)     name,
#define MULTIHOME_VARIADIC(result, name, fixed, rest) name,
#include "shim/symbols.def"
    client_send,  ///< a client sends datagrams to one of the program's ports
    inspect,      ///< names, options and readiness of a descriptor
    hidden_close, ///< closed by a way that the shim cannot see (fclose() does that)
    listen,
    socketpair, ///< descriptors that the shim did not see being made
    pass,       ///< a descriptor comes over a UNIX socket; flags=1: it stays here as well
    hand_out,   ///< a descriptor goes to a program without the library, which looks at it
    recv,       ///< by functions that are not interposed
    send,
    elsewhere, ///< the next `count` steps run in another place, as `number` says (Elsewhere)
    ask_other, ///< a client asks 127.0.0.2 and is answered: the one thing that has to differ
    reset,     ///< everything closed, everything as at the start
    count
};

/// Where the steps after Op::elsewhere run.
enum class Elsewhere : std::uint8_t {
    child,       ///< fork()
    vfork_child, ///< which comes to have other descriptors, and ends
    thread,
    count
};

/// What a pointer argument points to.
enum class Pointer : std::uint8_t {
    good,
    null,
    one,      ///< (void*)1
    none,     ///< a page without access
    readonly, ///< a page that can only be read
    cross,    ///< the second half lies on a page without access
    edge,     ///< good, and a page without access follows right behind
    odd,      ///< good, but not aligned
    kernel,   ///< the kernel's half of the address space
    count
};

/// Socket addresses, for binding, connecting and sending.
enum class Place : std::uint8_t {
    v4_loopback,
    v4_any,
    v4_nowhere,   ///< no route leads there
    v4_broadcast, ///< 127.255.255.255
    v4_group,
    v4_limited, ///< 255.255.255.255
    v6_loopback,
    v6_any,
    v6_mapped_loopback,
    v6_mapped_any,
    v6_nowhere,
    v6_group,
    v6_link_local,
    v6_short,     ///< without sin6_scope_id, as RFC 2133 had it
    unspecified,  ///< AF_UNSPEC
    local,        ///< an abstract UNIX name
    other_family, ///< 77
    v4_other,     ///< 127.0.0.2
    count
};

/// The control messages that a sending step carries: a set of these.
enum Content : std::uint32_t {
    content_ttl = 1U << 0,
    content_tos = 1U << 1,
    content_packet_info = 1U << 2,
    content_packet_info6 = 1U << 3,
    content_segment = 1U << 4,
    content_transmit_time = 1U << 5,
    content_hop_limit = 1U << 6,
    content_traffic_class = 1U << 7,
    content_too_short = 1U << 8, ///< a header whose length is less than a header
    content_too_long = 1U << 9,  ///< a header that claims more than there is
    content_unknown = 1U << 10,  ///< a level that nobody knows
    content_packet_info_2292 = 1U << 11,
    content_mark = 1U << 12,
    content_foreign_source = 1U << 13, ///< an IP_PKTINFO with an address that is not ours
    content_rights = 1U << 14,
    content_mapped_source = 1U << 15,
    content_zero = 1U << 16, ///< a header of nothing but zeros
    content_garbage = 1U << 17,
    content_bits = 18
};

#define MULTIHOME_FIELDS(FIELD)                                                                              \
    FIELD(fd)                                                                                                \
    FIELD(number) /* the second descriptor; the last one of a range */                                       \
    FIELD(flags)                                                                                             \
    FIELD(domain)                                                                                            \
    FIELD(type)                                                                                              \
    FIELD(protocol)                                                                                          \
    FIELD(command)                                                                                           \
    FIELD(argument)                                                                                          \
    FIELD(level)                                                                                             \
    FIELD(option)                                                                                            \
    FIELD(value)                                                                                             \
    FIELD(place) /* Place */                                                                                 \
    FIELD(port)  /* an index, not a number */                                                                \
    FIELD(client)                                                                                            \
    FIELD(count)          /* of messages, of datagrams */                                                    \
    FIELD(length)         /* of the data, for each vector */                                                 \
    FIELD(name_length)    /* 0: what fits, -2: really 0 */                                                   \
    FIELD(vectors)        /* how many; 0 stands for one, -1 for none */                                      \
    FIELD(control_length) /* sending: 0: what the contents take, -2: without the last one's padding */       \
    FIELD(spread)         /* how much more of it each message has */                                         \
    FIELD(contents)       /* Content */                                                                      \
    FIELD(bad)            /* the one message that the pointers below are for, plus 1; 0: all of them */      \
    FIELD(timeout)        /* seconds; -1: nanoseconds out of range; -2: negative */                          \
    FIELD(waits)          /* 1: without MSG_DONTWAIT, on a socket that has a time limit */                   \
    FIELD(data)           /* Pointer, like all that follow */                                                \
    FIELD(name)                                                                                              \
    FIELD(length_place)                                                                                      \
    FIELD(message)                                                                                           \
    FIELD(vector)                                                                                            \
    FIELD(control)                                                                                           \
    FIELD(time)

enum class Field : std::uint8_t {
#define MULTIHOME_FIELD(name) name,
    MULTIHOME_FIELDS(MULTIHOME_FIELD)
#undef MULTIHOME_FIELD
        end
};

constexpr std::size_t field_count = static_cast<std::size_t>(Field::end);
constexpr Field first_pointer_field = Field::data;

struct Step {
    Op op = Op::reset;
    bool by_number = false; ///< through syscall(2)
    std::array<std::int64_t, field_count> fields{};

    [[nodiscard]] std::int64_t get(Field field) const { return fields[static_cast<std::size_t>(field)]; }
    [[nodiscard]] int integer(Field field) const { return static_cast<int>(get(field)); }
    [[nodiscard]] Pointer pointer(Field field) const { return static_cast<Pointer>(get(field)); }
    void set(Field field, std::int64_t value) { fields[static_cast<std::size_t>(field)] = value; }
    friend bool operator==(const Step&, const Step&) = default;
};

/// True where the step calls an interposed function (and Symbol has the same number).
constexpr bool is_call(Op op) {
    return static_cast<std::size_t>(op) < symbol_count;
}

/// True where steps of this kind may run there. What another process sets on a socket that both have is none
/// of the library's business there.
bool may_run(Elsewhere where, Op op);

std::string to_text(const Step& step);

/// Throws std::invalid_argument, with what is wrong in the line.
Step parse_step(std::string_view line);

/// Many lines; empty ones and those that start with '#' are skipped.
std::vector<Step> parse_steps(std::string_view text);

} // namespace multihome::differential
