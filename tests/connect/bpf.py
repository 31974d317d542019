# SPDX-License-Identifier: MIT
"""bpf(2), and a program for a control group: as much of it as tests need that do not trust the kernel engine for it."""
import ctypes
import os
import platform
import struct

# include/uapi/linux/bpf.h
PROG_LOAD, PROG_ATTACH, LINK_CREATE = 5, 8, 28
PROG_TYPE_CGROUP_SOCK, CGROUP_INET_SOCK_CREATE = 9, 2
NUMBER = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes, 128)
    done = LIBC.syscall(NUMBER, command, room, len(room))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"bpf(): {os.strerror(ctypes.get_errno())}")
    return done


def instruction(code, destination, source, offset, immediate):
    return struct.pack("<BBhi", code, source << 4 | destination, offset, immediate)


# It returns 1: the socket may be made.
ALLOW = instruction(0xb7, 0, 0, 0, 1) + instruction(0x95, 0, 0, 0, 0)


def load(instructions):
    """A program that is asked when a socket is made. Returns its descriptor."""
    code = ctypes.create_string_buffer(instructions)
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("<IIQQ44xI", PROG_TYPE_CGROUP_SOCK, len(instructions) // 8, ctypes.addressof(code),
                                      ctypes.addressof(licence), CGROUP_INET_SOCK_CREATE))


def has_helper(number):
    """May such a program call it? It is called with wrong arguments, and the kernel says which complaint comes first."""
    code = ctypes.create_string_buffer(instruction(0x85, 0, 0, 0, number) + ALLOW)
    licence = ctypes.create_string_buffer(b"GPL")
    said = ctypes.create_string_buffer(4096)
    try:
        bpf(PROG_LOAD, struct.pack("<IIQQIIQ28xI", PROG_TYPE_CGROUP_SOCK, 3, ctypes.addressof(code), ctypes.addressof(licence),
                                   1, len(said), ctypes.addressof(said), CGROUP_INET_SOCK_CREATE))
    except OSError:
        return not any(words in said.value for words in (b"unknown func", b"invalid func", b"cannot use helper"))
    return True


def attach(group, program):
    """For good: it goes with the control group."""
    bpf(PROG_ATTACH, struct.pack("<IIII", group, program, CGROUP_INET_SOCK_CREATE, 0))


def link(group, program):
    """As the kernel engine attaches its own, since Linux 5.7. It goes with the descriptor that is returned."""
    return bpf(LINK_CREATE, struct.pack("<IIII", program, group, CGROUP_INET_SOCK_CREATE, 0))
