# SPDX-License-Identifier: MIT
"""A control group of the test's own, with a program that binds each socket made in it to a device."""
import contextlib
import glob
import os
import signal
import socket
import sys
import time

import bpf
from common import skip


def load_binding_to(device):
    """struct bpf_sock begins with bound_dev_if."""
    return bpf.load(bpf.instruction(0xb7, 2, 0, 0, socket.if_nametoindex(device)) +  # r2 = the device
                    bpf.instruction(0x63, 1, 2, 0, 0) +                              # *(u32 *)(r1 + 0) = r2
                    bpf.ALLOW)


class ControlGroup:
    def __init__(self):
        if os.geteuid() != 0:
            skip("a program on a control group needs root")
        if bpf.NUMBER is None:
            skip("no number of bpf(2) for this machine")
        with open("/proc/mounts", encoding="ascii") as mounts:
            places = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
        with open("/proc/self/cgroup", encoding="ascii") as groups:
            own = [line.rstrip("\n")[3:] for line in groups if line.startswith("0::")]
        if not places or not own:
            skip("no control groups of version 2")
        self.outside = places[0] + own[0].rstrip("/")
        # A process's number says who it is in its own namespace of processes alone, and several may share the tree.
        self.prefix = f"{self.outside}/multihome-test-{os.stat('/proc/self/ns/pid').st_ino}-"
        self.inside = f"{self.prefix}{os.getpid()}"
        self.sweep()

    def sweep(self):
        """What a killed test left: its control group, whose program goes with it, and who is still in there."""
        for left in glob.glob(f"{self.prefix}*"):
            if not os.path.exists(f"/proc/{left.rpartition('-')[2]}"):
                # Another test may be at it as well.
                with contextlib.suppress(OSError), open(f"{left}/cgroup.procs", encoding="ascii") as processes:
                    for process in map(int, processes):
                        if process != 0:  # that is one of another namespace, and to kill, our own process group
                            os.kill(process, signal.SIGKILL)
                self.remove(left)

    @contextlib.contextmanager
    def binding_to(self, device):
        """The group is there meanwhile. It goes also where the test's time has run out."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            os.mkdir(self.inside)
        except OSError as error:
            skip(f"cannot make a control group: {error}")
        try:
            self.attach(device)
            yield
        finally:
            self.remove(self.inside)

    @staticmethod
    def remove(group):
        for _ in range(100):
            try:
                os.rmdir(group)
                return
            except FileNotFoundError:
                return  # another test has swept as well
            except OSError:
                time.sleep(0.05)  # a child that is about to end is still in it
        print(f"FAIL: {group} cannot be removed", flush=True)

    def attach(self, device):
        group = os.open(self.inside, os.O_RDONLY)
        try:
            bpf.attach(group, load_binding_to(device))
        except OSError as error:
            skip(f"no such program on a control group: {error}")
        finally:
            os.close(group)

    @staticmethod
    def put_into(place):
        with open(f"{place}/cgroup.procs", "w", encoding="ascii") as processes:
            processes.write("0")

    def enter(self):
        self.put_into(self.inside)

    def leave(self):
        """Sockets that are made in the group stay bound. A test's own clients need not be."""
        self.put_into(self.outside)
