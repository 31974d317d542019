// SPDX-License-Identifier: MIT
#include "tools/selftest_scripts.hpp"

#include <array>

namespace multihome::tools {

namespace {

// The numbers, for the reader: domain 1 AF_UNIX, 2 AF_INET, 10 AF_INET6; type 1 SOCK_STREAM, 2 SOCK_DGRAM;
// level 0 IPPROTO_IP (option 8 IP_PKTINFO, 12 IP_RECVTTL, 24 IP_BIND_ADDRESS_NO_PORT), 41 IPPROTO_IPV6 (49
// IPV6_RECVPKTINFO, 2 IPV6_2292PKTINFO), 1 SOL_SOCKET (4 SO_ERROR, 35 SO_TIMESTAMPNS); flags 2 MSG_PEEK, 0x20
// MSG_TRUNC. Sockets get the numbers from 3 on.

constexpr SelftestScript socket_script{"socket", R"(
socket domain=2 type=2
socket domain=10 type=2
socket domain=2 type=0x80802
socket domain=2 type=1
socket domain=1 type=2
socket domain=2 type=2 protocol=136
socket domain=2 type=77
socket domain=999 type=2
syscall:socket domain=2 type=2
inspect fd=3
inspect fd=4
)"};

constexpr SelftestScript bind_script{"bind", R"(
socket domain=2 type=2
socket domain=10 type=2
socket domain=10 type=2
socket domain=2 type=1
bind fd=3 place=v4_any
bind fd=4 place=v6_any port=1
bind fd=5 place=v6_loopback port=2
bind fd=6 place=v4_any port=3
bind fd=3 place=v4_any port=4
bind fd=4 place=v4_any port=4 name=null
bind fd=50 place=v4_any
bind fd=-1 place=v4_any
socket domain=2 type=2
bind fd=7 place=v4_any name_length=7
bind fd=7 place=v6_any
bind fd=7 place=v4_any port=5 name=one
bind fd=7 place=v4_any port=5 name=edge
)"};

constexpr SelftestScript connect_script{"connect", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
client_send count=2 length=10
recvfrom fd=3 length=100
connect fd=3 place=v4_loopback port=12
recvfrom fd=3 length=100
sendto fd=3 length=20 name=null
connect fd=3 place=unspecified
client_send length=5 count=1 client=2
recvfrom fd=3 length=100
sendto fd=3 length=20 place=v4_loopback port=13
socket domain=10 type=2
bind fd=4 place=v6_any port=1
client_send client=1 place=v6_loopback port=1 count=1 length=9
client_send port=1 count=1 length=9
recvfrom fd=4 length=100
connect fd=4 place=v6_loopback port=12
sendto fd=4 length=20 name=null
connect fd=4 place=v4_loopback port=12
connect fd=-1 place=v4_loopback
connect fd=3 place=v4_loopback name=null
connect fd=3 place=v4_loopback name=one
connect fd=3 place=v4_loopback name_length=3
)"};

constexpr SelftestScript close_script{"close", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
close fd=3
recvfrom fd=3 length=10
socket domain=2 type=1
recvmsg fd=3 length=10 control_length=64
close fd=3
close fd=3
close fd=-1
close fd=1000000
)"};

constexpr SelftestScript close_range_script{"close_range", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
dup fd=3
dup fd=3
close_range fd=4 number=5
getsockopt fd=3 option=8 length=4
getsockopt fd=4 option=8 length=4
close_range fd=3 number=10 flags=4
getsockopt fd=3 option=8 length=4
close_range fd=9 number=4
close_range fd=3 number=4 flags=0x80
syscall:close_range fd=3 number=5
)"};

constexpr SelftestScript closefrom_script{"closefrom", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
dup fd=3
dup2 fd=3 number=40
closefrom fd=4
getsockopt fd=3 option=8 length=4
getsockopt fd=4 option=8 length=4
getsockopt fd=40 option=8 length=4
closefrom fd=3
)"};

constexpr SelftestScript dup_script{"dup", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
dup fd=3
client_send count=1 length=30
recvmsg fd=4 length=100 control_length=64
sendto fd=4 length=10 place=v4_loopback port=12
setsockopt fd=4 option=8 value=1 length=4
getsockopt fd=3 option=8 length=4
dup fd=77
dup fd=-1
)"};

constexpr SelftestScript dup2_script{"dup2", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
socket domain=2 type=1
dup2 fd=3 number=4
client_send count=2 length=30
recvmsg fd=4 length=100 control_length=64
dup2 fd=3 number=3
dup2 fd=3 number=-1
dup2 fd=77 number=3
dup2 fd=3 number=2000000000
syscall:dup2 fd=3 number=20
recvmsg fd=20 length=100 control_length=64
)"};

constexpr SelftestScript dup3_script{"dup3", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
dup3 fd=3 number=100
client_send count=1 length=30
recvmsg fd=100 length=100 control_length=64
fcntl fd=100 command=1
dup3 fd=3 number=101 flags=0x80000
fcntl fd=101 command=1
dup3 fd=3 number=3
dup3 fd=3 number=4 flags=1
)"};

constexpr SelftestScript fcntl_script{"fcntl", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
fcntl fd=3 command=0 argument=50
fcntl fd=3 command=1030 argument=50
fcntl fd=3 command=3
fcntl fd=3 command=4 argument=0x800
fcntl fd=3 command=3
fcntl fd=3 command=2 argument=1
fcntl fd=3 command=1
fcntl fd=3 command=0 argument=-1
fcntl fd=3 command=12345
fcntl fd=99 command=3
client_send count=2 length=30
recvmsg fd=50 length=100 control_length=64
recvmsg fd=51 length=100 control_length=64
)"};

constexpr SelftestScript fcntl64_script{"fcntl64", R"(
socket domain=10 type=2
bind fd=3 place=v6_any
fcntl64 fd=3 command=0 argument=50
fcntl64 fd=3 command=1030 argument=50
fcntl64 fd=3 command=3
fcntl64 fd=-1 command=3
client_send count=2 length=30
recvmsg fd=50 length=100 control_length=64
recvmsg fd=51 length=100 control_length=64
)"};

// Nothing that a descriptor could be taken from: what one brings is tested with the others' descriptors.
constexpr SelftestScript pidfd_getfd_script{"pidfd_getfd", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
pidfd_getfd fd=3 number=3
pidfd_getfd fd=99 number=3
pidfd_getfd fd=3 number=3 flags=1
syscall:pidfd_getfd fd=3 number=3
getsockopt fd=3 option=8 length=4
)"};

constexpr SelftestScript setsockopt_script{"setsockopt", R"(
socket domain=2 type=2
setsockopt fd=3 option=8 value=1 length=4
bind fd=3 place=v4_any
setsockopt fd=3 option=8 value=0 length=4
setsockopt fd=3 option=8 value=1 length=1
setsockopt fd=3 option=8 value=1 length=0
setsockopt fd=3 option=8 value=1 length=4 data=null
setsockopt fd=3 option=8 value=1 length=4 data=one
setsockopt fd=3 option=8 value=1 length=-1
setsockopt fd=3 option=24 value=1 length=4
setsockopt fd=3 option=24 value=0 length=4
setsockopt fd=3 option=12 value=1 length=4
setsockopt fd=3 level=1 option=35 value=1 length=4
client_send count=1 length=30
recvmsg fd=3 length=100 control_length=256
socket domain=10 type=2
setsockopt fd=4 level=41 option=2 value=1 length=4
bind fd=4 place=v6_any port=1
setsockopt fd=4 level=41 option=49 value=1 length=4
setsockopt fd=4 level=41 option=49 value=1 length=3
setsockopt fd=4 option=8 value=1 length=4
client_send count=1 port=1 length=30
recvmsg fd=4 length=100 control_length=256
setsockopt fd=99 option=8 value=1 length=4
)"};

constexpr SelftestScript getsockopt_script{"getsockopt", R"(
socket domain=2 type=2
bind fd=3 place=v4_any
getsockopt fd=3 option=8 length=4
getsockopt fd=3 option=8 length=1
getsockopt fd=3 option=8 length=3
getsockopt fd=3 option=8 length=0
getsockopt fd=3 option=8 length=100
getsockopt fd=3 option=8 length=-1
getsockopt fd=3 option=8 length=4 data=null
getsockopt fd=3 option=8 length=4 length_place=null
getsockopt fd=3 option=8 length=4 data=one length_place=one
getsockopt fd=3 option=24 length=4
getsockopt fd=3 level=1 option=4 length=4
socket domain=10 type=2
bind fd=4 place=v6_any port=1
getsockopt fd=4 option=8 length=4
getsockopt fd=4 level=41 option=49 length=4
getsockopt fd=4 level=41 option=2 length=4
getsockopt fd=4 level=41 option=2 length=2
getsockopt fd=99 option=8 length=4
)"};

constexpr SelftestScript prctl_script{"prctl", R"(
prctl number=3
prctl number=4 argument=1
prctl number=39
prctl number=22 argument=99
prctl number=15 argument=1
prctl number=99999
socket domain=2 type=2
bind fd=3 place=v4_any
client_send count=1 length=10
recvmsg fd=3 length=100 control_length=64
)"};

constexpr SelftestScript syscall_script{"syscall", R"(
syscall:socket domain=2 type=2
syscall:bind fd=3 place=v4_any
client_send count=3 length=60
syscall:recvmmsg fd=3 count=2 length=100 control_length=64 time=null
syscall:recvmsg fd=3 length=100 control_length=64
syscall:sendmmsg fd=3 count=2 length=100 place=v4_loopback port=12
syscall:setsockopt fd=3 option=8 value=1 length=4
syscall:getsockopt fd=3 option=8 length=4
syscall:connect fd=3 place=v4_loopback port=12
syscall:fcntl fd=3 command=0 argument=50
syscall:dup fd=3
syscall:dup3 fd=3 number=60
syscall:close fd=3
syscall number=99999
)"};

constexpr std::array of_descriptors{socket_script,      bind_script,       connect_script, close_script,
                                    close_range_script, closefrom_script,  dup_script,     dup2_script,
                                    dup3_script,        fcntl_script,      fcntl64_script, pidfd_getfd_script,
                                    setsockopt_script,  getsockopt_script, prctl_script,   syscall_script};

} // namespace

std::span<const SelftestScript> descriptor_scripts() {
    return of_descriptors;
}

} // namespace multihome::tools
