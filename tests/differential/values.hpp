// SPDX-License-Identifier: MIT
// What the arguments of random calls are drawn from: the ordinary, and what lies at the boundaries.
#pragma once

#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <span>

namespace multihome::differential {

using Values = std::span<const std::int64_t>;

template <std::size_t count>
using List = std::array<std::int64_t, count>;

inline constexpr List<11> data_lengths{0, 1, 10, 40, 100, 100, 1000, 1472, 2000, 65507, 65508};
inline constexpr List<5> odd_lengths{-1, INT_MAX, 0x7ffff000, 0x7ffff001, 0x100000000};
inline constexpr List<13> name_lengths{-1, -2, 1, 2, 3, 7, 8, 15, 16, 24, 27, 28, 256};
inline constexpr List<20> control_lengths{1,  8,  12, 15, 16, 17,  20,  23,   24,      28,
                                          32, 40, 48, 56, 64, 100, 256, 4096, 1048576, -1};
inline constexpr List<12> receive_flags{0x2,        0x20,    0x22,   0x2000, 0x1,  0x100,
                                        0x40000000, 0x10000, 0x2002, 0x8,    0x40, 0x200};
inline constexpr List<11> send_flags{0x4000, 0x800,  0x4,     0x8000, 0x1,      0x10,
                                     0x80,   0x2000, 0x20000, 0x40,   0x4000000};
inline constexpr std::int64_t nonblocking = 0x800; // SOCK_NONBLOCK
inline constexpr std::int64_t own_pidfd = 204;     // Surroundings::own_pidfd()
inline constexpr List<1> compat_flag{0x80000000};
inline constexpr List<10> message_counts{0, 1, 2, 3, 5, 5, 8, 64, 1024, 5000};
inline constexpr List<8> descriptors_beyond{-1, 50, 199, 1023, 32767, 32768, 65000, 1000000};
inline constexpr List<6> commands{0, 1030, 1, 2, 3, 77};

struct SocketOption {
    int level;
    int name;
    int values; // 0 to values - 1; a negative number stands for itself, without its sign
};

// Those that change what a program sees of its datagrams, or that the shim uses itself. Not SO_REUSEPORT:
// which of the sockets of a port gets a datagram is then drawn by lot.
inline constexpr std::array<SocketOption, 91> options{{
    {0, 8, 2},    {0, 8, 2},       {0, 8, 2},         {41, 49, 2}, {41, 49, 2}, {41, 2, 2},  {41, 2, 2},
    {0, 24, 2},   {0, 12, 2},      {0, 13, 2},        {0, 11, 2},  {0, 20, 2},  {0, 6, 2},   {0, 7, 2},
    {0, 2, 255},  {0, 1, 255},     {0, 10, 5},        {0, 32, 3},  {0, 33, 3},  {0, 34, 2},  {41, 51, 2},
    {41, 8, 2},   {41, 66, 2},     {41, 26, 2},       {41, 25, 2}, {41, 74, 2}, {41, 17, 2}, {41, 50, 3},
    {41, 67, 64}, {41, 16, 64},    {41, 56, 2},       {41, 1, 3},  {1, 29, 2},  {1, 35, 2},  {1, 37, 128},
    {1, 40, 2},   {1, 8, -4000},   {1, 33, -2000000}, {1, 25, 2},  {1, 6, 2},   {1, 2, 2},   {1, 36, 9},
    {17, 104, 2}, {17, 103, -100}, {17, 1, 2},        {1, 75, 2},  {1, 82, 2},  {41, 6, 2},  {1, 10, 2},
    {1, 10, 2},   {1, 10, 2},      {0, 32, 3},        {41, 50, 3}, {41, 50, 3}, {41, 1, -2}, {41, 1, -2},
    {41, 26, 2},  {0, 15, 2},      {0, 15, 2},        {41, 78, 2}, {41, 78, 2}, {0, 19, 2},  {41, 75, 2},
    {0, 50, 2},   {41, 76, 2},     {1, 62, 2},        {1, 62, 2},  {1, 2, -1},  {1, 2, -1},  {1, 12, 7},
    {1, 5, 2},    {1, 11, 2},      {1, 42, 3},        {1, 60, 2},  {1, 61, 2},  {1, 63, 2},  {1, 64, 2},
    {1, 65, 128}, {0, 26, 2},      {0, 23, 2},        {0, 25, 2},  {0, 49, 2},  {41, 31, 2}, {41, 77, 2},
    {41, 29, 2},  {41, 23, 6},     {41, 62, 2},       {41, 33, 2}, {41, 53, 2}, {41, 58, 2}, {41, 60, 2},
}};

} // namespace multihome::differential
