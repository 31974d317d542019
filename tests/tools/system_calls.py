#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The system calls that the library makes besides its program's: what multihomectl and the drop-in's comment list is what
the library says of itself, and what strace sees it make.

Usage: system_calls.py SOURCE WAYS LIBRARY
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def of_the_library(source):
    """What system_call_filter.cpp needs. The names with a 2 are the 32-bit kernels' calls of the same function."""
    text = open(f"{source}/shim/sockets/system_call_filter.cpp", encoding="utf-8").read()
    needs = re.search(r"constexpr Need needs\[\] = \{\n(.*?)\n\};", text, re.S).group(1)
    needs = re.sub(r"^#.*\n", "", needs, flags=re.M)  # a condition names a call that it does not need
    # What the table says by way of its helpers.
    for helper, call in re.findall(r"^constexpr SystemCall (\w+)\(.*?\{\n    return \{(\w+)", text, re.M | re.S):
        needs = needs.replace(f"{helper}(", f"{call} (")
    # Some have another name on 32-bit processors: number_of_mmap, number_of_fstat.
    return set(re.findall(r"(?:SYS_|number_of_)(\w+)", needs))


def of_the_tool(source):
    text = open(f"{source}/tools/unit_obstacles.cpp", encoding="utf-8").read()
    return set(re.findall(r'"(\w+)"', re.search(r"system_calls = \{(.*?)\};", text, re.S).group(1)))


def of_the_drop_in(source):
    text = open(f"{source}/scripts/multihome.conf.in", encoding="utf-8").read()
    return {call for line in re.findall(r"^#SystemCallFilter=(.*)$", text, re.M) for call in line.split()}


def strace_works():
    return (shutil.which("strace") is not None and
            subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0)


def seen(command, environment):
    """The names of the calls that a program and its children make."""
    with tempfile.NamedTemporaryFile("r") as log:
        done = subprocess.run(["strace", "-f", "-qq", "-o", log.name, *command], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment},
                              check=False, timeout=120)
        if done.returncode != 0:
            sys.exit(f"FAIL: {command} with {environment} ends with {done.returncode}: {done.stdout}")
        return set(re.findall(r"^\d+ +(\w+)\(", log.read(), re.M))


# The kernel takes in what is sent to an IPv6 address a moment after the address is there.
NETWORK = """ip link set lo up && ip address add fd00::2/128 dev lo nodad && ip -6 route add local 2001:db8:7::/64 dev lo || exit
for time in $(seq 500); do [ -z "$(ip -6 route show table local fd00::2)" ] || exec "$@"; sleep 0.01; done
echo FAIL: fd00::2 is not ready; exit 1"""


def enter_own_network():
    """Runs this script anew where no other program has the port. False where no such network can be made."""
    if os.environ.pop("SYSTEM_CALLS_IN", "") == "namespace":
        return True
    own = ["unshare", "--map-root-user", "--net"]
    if (not shutil.which("ip") or not os.path.exists("/proc/sys/net/ipv6") or
            subprocess.run([*own, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0):
        return False
    os.execvpe(own[0], [*own, "sh", "-c", NETWORK, "sh", sys.executable, *sys.argv],
               {**os.environ, "SYSTEM_CALLS_IN": "namespace"})


def main():
    has_network = enter_own_network()
    source, ways, library = sys.argv[1:]
    wanted = of_the_library(source)
    failures = [] if wanted else ["the library's own list is not found"]
    for name, listed in (("unit_obstacles.cpp", of_the_tool(source)), ("multihome.conf.in", of_the_drop_in(source))):
        for call in sorted(wanted ^ listed):
            failures.append(f"{name} {'lacks' if call in wanted else 'names, and the library does not,'} {call}")
    if not has_network or not strace_works():
        print("SKIP: what the library calls: no network namespace with IPv6 can be made, or strace does not work here")
    else:
        bare = seen([ways], {})
        for settings in ({}, {"MULTIHOME_LOG": "debug"}, {"MULTIHOME_LOG": "debug", "MULTIHOME_LOG_FILE": "/dev/null"}):
            with_library = seen(["-E", f"LD_PRELOAD={library}", ways], settings)
            if "recvmsg" not in with_library - bare:
                failures.append(f"{settings}: the library is not seen to receive: it was not loaded")
            for call in sorted(with_library - bare - wanted):
                failures.append(f"{settings}: the library calls {call}, which no list names")
    for failure in failures:
        print("FAIL:", failure)
    sys.exit(1 if failures else 0)


main()
