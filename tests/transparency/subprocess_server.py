#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Point 3: a server that starts programs, as Python does it: a vfork child that closes all descriptors but a few."""
import socket
import subprocess

IP_PKTINFO = 8


def look(what, server):
    """Prints what the program sees of its server, and who answers a client."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.4", 0))
    client.settimeout(5)
    client.sendto(b"question", ("127.0.0.2", server.getsockname()[1]))
    data, control, flags, peer = server.recvmsg(100, 200)
    print(what, server.getsockopt(socket.IPPROTO_IP, IP_PKTINFO), data, control, flags)
    server.sendto(b"answer", peer)
    print(f"answer asked=127.0.0.2 from={client.recvfrom(100)[1][0]}")
    client.close()


quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
quiet.bind(("0.0.0.0", 0))
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
asking.bind(("0.0.0.0", 0))
for ways in (
    {},
    {"close_fds": False},
    {"pass_fds": (quiet.fileno(),)},
    {"stdin": quiet},  # which dup2()s it in the child
    {"start_new_session": True},
    {"preexec_fn": lambda: None},  # a fork instead of a vfork
):
    look("quiet", quiet)
    look("asking", asking)
    print(subprocess.run(["/bin/true"], check=True, stdout=subprocess.PIPE, **ways).returncode)
look("quiet", quiet)
look("asking", asking)
