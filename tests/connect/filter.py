# SPDX-License-Identifier: MIT
"""A program that locks itself into a system-call filter must not be killed for a call that only the shim makes."""
import ctypes
import errno
import os
import platform
import socket
import struct

from common import LIBC, V4, V6, any_ip_route, expect, hear, in_child, run, skip, source

NUMBERS = {"x86_64": {"setsockopt": 54, "getsockopt": 55, "madvise": 28, "sendto": 44, "recvfrom": 45},
           "aarch64": {"setsockopt": 208, "getsockopt": 209, "madvise": 233, "sendto": 206, "recvfrom": 207}}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000


def need_filters():
    """Asked before there is a child, which could only fail, by one that ends with it: the library looks at each filter."""
    if platform.machine() not in NUMBERS:
        skip(f"no system-call numbers for {platform.machine()}")
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0)
        os._exit(0 if ctypes.get_errno() == errno.EFAULT else 1)
    if os.waitpid(child, 0)[1] != 0:
        skip("this kernel has no system-call filters")


def install(filter_):
    if (LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
            LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0) != 0):
        raise OSError(ctypes.get_errno(), "the filter")


def forbid(*names, length=None):
    """length: only where that is the third argument."""
    numbers = NUMBERS[platform.machine()]
    code = struct.pack("=HBBI", 0x20, 0, 0, 0)  # the number of the call
    for name in names:
        code += struct.pack("=HBBI", 0x15, 0, 1 if length is None else 3, numbers[name])
        if length is not None:
            code += struct.pack("=HBBI", 0x20, 0, 0, 32) + struct.pack("=HBBI", 0x15, 0, 1, length)
        code += struct.pack("=HBBI", 0x06, 0, 0, KILL_PROCESS)
    code += struct.pack("=HBBI", 0x06, 0, 0, ALLOW)
    text = ctypes.create_string_buffer(code, len(code))
    install(struct.pack("@HP", len(code) // 8, ctypes.addressof(text)))


def bite(name, call, length=None):
    """The filter does what it is for."""
    def child():
        forbid(name, length=length)
        call()

    expect(f"{name} kills", os.WTERMSIG(in_child(child)) != 0, True)


def connecting(*names):
    server = V4.server()
    client, peer = V4.meet(server, V4.first)

    def child():
        forbid(*names)
        # By libc, because Python may look at options of its own accord.
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", peer[1]) + socket.inet_aton(peer[0]) + bytes(8)
        expect("connect", LIBC.connect(server.fileno(), address, len(address)), 0)
        expect("send", LIBC.send(server.fileno(), b"answer", 6, 0), 6)
        expect("connect to nobody", LIBC.connect(server.fileno(), struct.pack("=H14x", 0), 16), 0)

    expect("the child's end", in_child(child), 0)
    expect("the client has an answer", source(client) != "none", True)


def options():
    bite("getsockopt", lambda: V4.server().getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
    connecting("getsockopt", "setsockopt")
    connecting("getsockopt")
    connecting("setsockopt")


def madvise():
    bite("madvise", lambda: LIBC.madvise(None, 0, 0))
    server = V4.server()
    client, peer = V4.meet(server, V4.first)
    server.sendto(b"answer", peer)
    V4.expect_answer(client, V4.first)

    def grandchild():
        server.close()
        another = V4.server()
        V4.ask(client, another, V4.second)
        another.sendto(b"answer", hear(another))
        # As bare or right: it is enough that it lives.
        expect("an answer", source(client) in (V4.second, V4.route), True)

    def child():
        forbid("madvise")
        expect("the grandchild's end", in_child(grandchild), 0)

    expect("the child's end", in_child(child), 0)


def any_ip():
    """Is a source local by a route? The filter looks at the lengths of what is sent and received to find that out."""
    any_ip_route()
    for name, libc_name, length in (("sendto", "send", 48), ("recvfrom", "recv", 1052)):
        bite(name, lambda: LIBC[libc_name](-1, bytes(length), length, 0), length)  # pylint: disable=cell-var-from-loop
        server = V6.server()
        client, peer = V6.meet(server, "2001:db8:7::1")

        def child():
            forbid(name, length=length)  # pylint: disable=cell-var-from-loop
            server.sendto(b"answer", peer)  # pylint: disable=cell-var-from-loop

        expect("the child's end", in_child(child), 0)
        expect("the client has an answer", source(client) != "none", True)


need_filters()
run({"options": options, "madvise": madvise, "any_ip": any_ip})
