# SPDX-License-Identifier: MIT
"""Starting the programs that are measured, and those that ask them, in a network of our own."""
import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET, PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1

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

    def __init__(self, command, environment={}, processors=ANYWHERE, stdout=subprocess.PIPE, stdin=subprocess.PIPE):
        def prepare():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, processors)
        super().__init__(command, stdin=stdin, stdout=stdout, text=True, preexec_fn=prepare,
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
    """What a client has printed, see client.cpp: the sums of all its threads."""

    def __init__(self, output):
        lines = [map(float, line.split()) for line in output.splitlines()]
        (self.asked, self.answers, self.right, seconds, self.processor_seconds, server_time) = map(sum, zip(*lines))
        self.seconds, self.server_time = seconds / len(lines), server_time / len(lines)
        self.rate = self.answers / self.seconds if self.seconds else 0
        self.right_percent = 100 * self.right / (self.answers or 1)


class Bench(argparse.Namespace):
    """What was asked for on the command line, where the programs were `built`, and the `figures` that are found out."""

    def wanted(self, names):
        return [name for name in names if self.only.search(name)]

    def take_turns(self, rows, subjects, repetitions, run):
        """What `run(self, row, subject)` brings, by row and subject, in the order of the repetitions. What else the
        machine does meets all subjects. In a hurry, three repetitions."""
        outcomes = {row: {subject: [] for subject in subjects} for row in rows}
        for repetition in range(3 if self.quick else repetitions):
            # ABC, BCA, CAB: who comes first after another row is not always the same.
            first = repetition % len(subjects)
            for row in rows:
                for subject in (*subjects[first:], *subjects[:first]):
                    outcomes[row][subject].append(run(self, row, subject))
        return outcomes

    def can(self, part, *trial):
        """Whether this command is installed and permitted; `part` is left out where not."""
        works = shutil.which(trial[0]) and subprocess.run(trial, capture_output=True, check=False).returncode == 0
        if not works:
            self.figures.skip(part, f"`{' '.join(trial)}` does not work here")
        return works

    def program(self, name):
        return f"{self.built}/multihome-bench-{name}"

    def inside(self, wanted, *options):
        """Runs the benchmarks inside one process whose names begin so."""
        return [self.program("inside"), f"--benchmark_filter=^{wanted}", "--benchmark_format=json", *options]

    def environment(self, subject):
        return {"LD_PRELOAD": self.library} if subject == "shim" else {}

    def server(self, subject, settings, environment={}, processors=ANYWHERE, under=()):
        """Its settings are at the head of server.cpp, those of a client at that of client.cpp. `under`: the beginning
        of the command line of a tool."""
        settings = json.dumps({"native": subject == "native", **settings})
        return Program([*under, self.program("server"), settings], {**self.environment(subject), **environment},
                       processors)

    def client(self, port, processors=ANYWHERE, stdout=subprocess.PIPE, stdin=subprocess.PIPE, under=(), **settings):
        settings = json.dumps({"port": int(port), **settings})
        return Program([*under, self.program("client"), settings], {}, processors, stdout, stdin)


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
