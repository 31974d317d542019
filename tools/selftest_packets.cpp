// SPDX-License-Identifier: MIT
#include "tools/selftest_scripts.hpp"

#include <array>

namespace multihome::tools {

namespace {

// For the numbers see selftest_descriptors.cpp.

constexpr SelftestScript recvfrom_script{"recvfrom", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
recvfrom fd=3 length=100
client_send count=9 length=60
recvfrom fd=3 length=100
recvfrom fd=3 length=10 flags=0x20
recvfrom fd=3 length=0
recvfrom fd=3 length=100 flags=0x2
recvfrom fd=3 length=100 name_length=5
recvfrom fd=3 length=100 name_length=-1
recvfrom fd=3 length=100 name=null
recvfrom fd=3 length=100 name=one
recvfrom fd=3 length=100 length_place=one
recvfrom fd=3 length=100 data=none
syscall:recvfrom fd=3 length=100
recvfrom fd=3 length=-1
recvfrom fd=99 length=100
)"};

constexpr SelftestScript checked_recvfrom_script{"__recvfrom_chk", R"(
socket domain=10 type=2
bind fd=3 place=v6_any
__recvfrom_chk fd=3 length=100
client_send count=3 length=60
client_send count=2 length=60 client=1 place=v6_loopback
__recvfrom_chk fd=3 length=100
__recvfrom_chk fd=3 length=10 flags=0x20
__recvfrom_chk fd=3 length=100 name=null
__recvfrom_chk fd=3 length=100 name_length=10
__recvfrom_chk fd=3 length=100
)"};

constexpr SelftestScript recvmsg_script{"recvmsg", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
recvmsg fd=3 length=100 control_length=64
client_send count=14 length=60
recvmsg fd=3 length=100
recvmsg fd=3 length=100 control_length=64
recvmsg fd=3 length=20 control_length=16
recvmsg fd=3 length=20 vectors=2 control=null
setsockopt fd=3 option=12 value=1 length=4
recvmsg fd=3 length=100 control_length=64
recvmsg fd=3 length=100 control_length=20
recvmsg fd=3 length=100 control_length=24 control=edge
recvmsg fd=3 length=100 control_length=1
setsockopt fd=3 option=8 value=1 length=4
recvmsg fd=3 length=100 control_length=64
recvmsg fd=3 length=100 control_length=40
recvmsg fd=3 length=100 control_length=64 name=null
recvmsg fd=3 length=100 control_length=64 control=none
recvmsg fd=3 message=null
recvmsg fd=3 message=one
syscall:recvmsg fd=3 length=100 control_length=64
recvmsg fd=3 length=100 control_length=-1
recvmsg fd=99 length=100
socket domain=10 type=2
bind fd=4 place=v6_any port=1
client_send count=2 port=1 length=60
client_send client=1 place=v6_loopback count=2 port=1 length=60
recvmsg fd=4 length=100 control_length=64
recvmsg fd=4 length=100 control_length=64
recvmsg fd=4 length=100 control_length=64
recvmsg fd=4 length=100 control_length=64
)"};

constexpr SelftestScript recvmmsg_script{"recvmmsg", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
recvmmsg fd=3 count=5 length=100 control_length=64 time=null
client_send count=20 length=60
setsockopt fd=3 option=12 value=1 length=4
recvmmsg fd=3 count=5 length=100 control_length=8 spread=8 time=null
recvmmsg fd=3 count=2 length=100 control_length=64
recvmmsg fd=3 count=2 length=100 control_length=64 timeout=1000
recvmmsg fd=3 count=2 length=100 timeout=-1
recvmmsg fd=3 count=2 length=100 timeout=-2
recvmmsg fd=3 count=2 length=100 time=one
recvmmsg fd=3 count=0 length=100 time=null
recvmmsg fd=3 count=3 length=100 time=null bad=2 name=one
syscall:recvmmsg fd=3 count=2 length=100 control_length=64 time=null
recvmmsg fd=3 count=1024 length=100 control_length=64 time=null
recvmmsg fd=3 count=5000 length=10 time=null
recvmmsg fd=3 message=one count=5 time=null
recvmmsg fd=99 count=5 time=null
)"};

constexpr SelftestScript sendto_script{"sendto", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
client_send count=1 length=60
recvfrom fd=3 length=100
sendto fd=3 length=100 place=v4_loopback port=12
sendto fd=3 length=0 place=v4_loopback port=12
sendto fd=3 length=70000 place=v4_loopback port=12
sendto fd=3 length=-1 place=v4_loopback port=12
sendto fd=3 length=10 place=v4_loopback port=13
sendto fd=3 length=10 place=v6_loopback port=12
sendto fd=3 length=10 place=v4_loopback port=12 name_length=8
sendto fd=3 length=10 place=v4_loopback port=12 name=one
sendto fd=3 length=10 place=v4_loopback port=12 data=one
sendto fd=3 length=10 name=null
sendto fd=3 length=10 place=v4_loopback port=12 flags=0x1
syscall:sendto fd=3 length=100 place=v4_loopback port=12
sendto fd=99 length=100 place=v4_loopback port=12
socket domain=10 type=2
bind fd=4 place=v6_any port=1
client_send client=1 place=v6_loopback count=1 port=1 length=60
client_send count=1 port=1 length=60
recvfrom fd=4 length=100
recvfrom fd=4 length=100
sendto fd=4 length=100 place=v6_loopback port=12
sendto fd=4 length=100 place=v6_mapped_loopback port=12
sendto fd=4 length=100 place=v4_loopback port=12
)"};

constexpr SelftestScript sendmsg_script{"sendmsg", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
client_send count=1 length=60
recvfrom fd=3 length=100
sendmsg fd=3 length=100 place=v4_loopback port=12
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x3
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x4
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x10
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x2 control_length=-2 control=edge
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x100
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x200
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x2000
sendmsg fd=3 length=100 place=v4_loopback port=12 contents=0x1 control=none
sendmsg fd=3 length=100 place=v4_loopback port=12 control_length=5
sendmsg fd=3 length=100 place=v4_loopback port=12 vectors=3
sendmsg fd=3 length=100 place=v4_loopback port=12 vectors=-1
sendmsg fd=3 length=100 place=v4_loopback port=12 vectors=1025
sendmsg fd=3 message=null
sendmsg fd=3 message=none
syscall:sendmsg fd=3 length=100 place=v4_loopback port=12
sendmsg fd=99 length=100 place=v4_loopback port=12
)"};

constexpr SelftestScript sendmmsg_script{"sendmmsg", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
client_send count=1 length=60
recvfrom fd=3 length=100
sendmmsg fd=3 count=5 length=100 place=v4_loopback port=12
sendmmsg fd=3 count=5 length=100 place=v4_loopback port=12 contents=0x1
sendmmsg fd=3 count=5 length=100 place=v4_loopback port=12 contents=0x2000
sendmmsg fd=3 count=5 length=100 place=v4_loopback port=12 bad=3 name=one
sendmmsg fd=3 count=0 length=100 place=v4_loopback port=12
sendmmsg fd=3 count=100 length=1 place=v4_loopback port=12
sendmmsg fd=3 count=1025 length=0 place=v4_loopback port=12 message=one
syscall:sendmmsg fd=3 count=5 length=100 place=v4_loopback port=12
sendmmsg fd=99 count=5 length=100 place=v4_loopback port=12
)"};

constexpr std::array of_packets{recvfrom_script, checked_recvfrom_script, recvmsg_script, recvmmsg_script,
                                sendto_script,   sendmsg_script,          sendmmsg_script};

} // namespace

std::span<const SelftestScript> packet_scripts() {
    return of_packets;
}

} // namespace multihome::tools
