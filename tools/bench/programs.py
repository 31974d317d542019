# SPDX-License-Identifier: MIT
"""Starting the programs that are measured, and those that ask them, in a network of our own."""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from figures import Figures

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1

# The three servers that are compared: without multihome, using IP_PKTINFO itself, with the shim preloaded.
SUBJECTS = ("bare", "native", "shim")
MOST_CLIENTS = 1 << 23  # all of 127.0.0.0/8 are this machine's
LONG = 600_000  # milliseconds: until it is ended

# Where servers and their clients run, so that it is not decided by chance. The upper half of the processors for the
# server (the lower ones tend to have the interrupts), the lower half for its clients. The last one for both ends of a
# request/reply loop, where only one of them runs at a time: on two processors, most of the time would go into waking up
# the other one.
ANYWHERE = sorted(os.sched_getaffinity(0))
FOR_SERVER = ANYWHERE[len(ANYWHERE) // 2:]
FOR_CLIENT = ANYWHERE[:len(ANYWHERE) // 2] or ANYWHERE
SHARED = ANYWHERE[-1:]


class Program(subprocess.Popen):
    """A program that runs beside the bench, its standard input and output connected to us. It is killed at the end of
    a `with`, and when the bench is."""

    def __init__(self, command, environment={}, processors=ANYWHERE, stdout=subprocess.PIPE):
        def prepare():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, processors)
        super().__init__(command, stdin=subprocess.PIPE, stdout=stdout, text=True, preexec_fn=prepare,
                         env={**os.environ, **environment})

    def __exit__(self, *exception):
        self.kill()
        super().__exit__(*exception)

    def line(self):
        """Waits for a line of its output."""
        line = self.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.args[0]} ended before it said anything")
        return line.strip()

    def finish(self):
        """Waits for its end. All its output."""
        output = self.communicate()[0]
        if self.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, self.args))} failed")
        return output


class Outcome:
    """What a client has printed, see programs.hpp."""

    def __init__(self, output):
        lines = [map(float, line.split()) for line in output.splitlines()]
        (self.asked, self.answers, self.right, seconds, self.processor_seconds, server_time) = map(sum, zip(*lines))
        self.seconds, self.server_time = seconds / len(lines), server_time / len(lines)
        self.rate = self.answers / self.seconds if self.seconds else 0
        self.right_percent = 100 * self.right / (self.answers or 1)


def take_turns(rows, subjects, repetitions, run):
    """What `run(row, subject)` brings, by row and subject, in the order of the repetitions. So what else the machine does
    meets all subjects."""
    outcomes = {row: {subject: [] for subject in subjects} for row in rows}
    for repetition in range(repetitions):
        # ABC, BCA, CAB: who comes first after another row is not always the same.
        first = repetition % len(subjects)
        for row in rows:
            for subject in (*subjects[first:], *subjects[:first]):
                outcomes[row][subject].append(run(row, subject))
    return outcomes


@dataclass
class Bench:
    """What was asked for, and what has been found out."""
    figures: Figures
    built: Path  # where the programs are
    library: str  # libmultihome.so
    quick: bool  # fewer and shorter repetitions
    full: bool  # also what takes minutes
    only: re.Pattern  # only rows whose names it matches
    profiles: str  # where callgrind's files are kept

    @property
    def subjects(self):
        """Of what is counted. In a hurry, without what the rest is not compared with."""
        return SUBJECTS[1:] if self.quick else SUBJECTS

    def is_wanted(self, name):
        return self.only.search(name) is not None

    def wanted(self, rows):
        return [row for row in rows if self.is_wanted(row.name)]

    def can(self, part, *trial):
        """Whether this command is installed and permitted; `part` is left out where not."""
        works = shutil.which(trial[0]) and subprocess.run(trial, capture_output=True, check=False).returncode == 0
        if not works:
            self.figures.skip(part, f"`{' '.join(trial)}` does not work here")
        return works

    def command(self, role, **settings):
        """Its settings are those of programs.hpp."""
        return [str(self.built / "multihome-bench-programs"), role, json.dumps(settings)]

    def environment(self, subject):
        return {"LD_PRELOAD": self.library} if subject == "shim" else {}

    def server(self, subject, settings, environment={}, processors=ANYWHERE, under=()):
        """`under`: the beginning of the command line of a tool."""
        return Program([*under, *self.command("server", native=subject == "native", **settings)],
                       {**self.environment(subject), **environment}, processors)

    def client(self, port, processors=ANYWHERE, stdout=subprocess.PIPE, under=(), **settings):
        return Program([*under, *self.command("client", port=int(port), **settings)], {}, processors, stdout)


# Clients ask addresses that the routing table would not answer from, so that a wrong answer shows: from 127.0.0.2 and
# 2001:db8::2 on, and they do so from 127.16.0.0 and 2001:db8:1::1 on.
NETWORK = """
    ip link set lo up
    ip -6 route add local 2001:db8:1::/64 dev lo
    for number in 2 3 4; do ip address add 2001:db8::$number/128 dev lo nodad; done
    # The kernel makes the routes to them by and by, and throws away what is sent to them before.
    until [ "$(ip -6 route show table local | grep -c '^local 2001:db8::[234] ')" -eq 3 ]; do sleep 0.01; done
    """


def enter_own_network():
    """Moves this process to a namespace with a loopback interface, so that nothing else is on it, and so that there are
    several IPv6 addresses to ask. Root is not needed where the kernel lets users make namespaces."""
    user = os.getuid()
    if LIBC.unshare(CLONE_NEWNET | (CLONE_NEWUSER if user else 0)) != 0:
        raise OSError(os.strerror(ctypes.get_errno()))
    if user:  # root in there, so that ip(8) keeps its capabilities
        Path("/proc/self/uid_map").write_text(f"0 {user} 1\n")
    if subprocess.call(["sh", "-ec", NETWORK]) != 0:
        raise OSError("ip (iproute2) cannot set it up")
