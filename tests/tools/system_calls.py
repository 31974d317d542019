#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The system calls that the library makes besides its program's: what multihomectl and the drop-in's comment list is what
the library says of itself, and what strace sees it make.

Usage: system_calls.py SOURCE ECHO LIBRARY
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PORT = 5399


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


def seen(command, environment):
    """The names of the calls of a server that is asked once."""
    with tempfile.NamedTemporaryFile("r") as log:
        server = subprocess.Popen(["strace", "-f", "-qq", "-o", log.name, "-E", "A=1", *command], start_new_session=True,
                                  stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        try:
            ask()
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        return set(re.findall(r"^\d+ +(\w+)\(", log.read(), re.M))


def ask():
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(0.2)
    for _ in range(300):
        try:
            asker.sendto(b"ask", ("127.0.0.1", PORT))
            asker.recv(100)
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("FAIL: the server does not answer")


def enter_own_network():
    """Runs this script anew where no other program has the port. False where no such network can be made."""
    if os.environ.pop("SYSTEM_CALLS_IN", "") == "namespace":
        return True
    own = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*own, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return False
    os.execvpe(own[0], [*own, sys.executable, *sys.argv], {**os.environ, "SYSTEM_CALLS_IN": "namespace"})


def main():
    has_network = enter_own_network()
    source, echo, library = sys.argv[1:]
    wanted = of_the_library(source)
    failures = [] if wanted else ["the library's own list is not found"]
    for name, listed in (("unit_obstacles.cpp", of_the_tool(source)), ("multihome.conf.in", of_the_drop_in(source))):
        for call in sorted(wanted ^ listed):
            failures.append(f"{name} {'lacks' if call in wanted else 'names, and the library does not,'} {call}")
    if not shutil.which("strace") or not has_network:
        print("SKIP: what the library calls: no strace, or no network namespace can be made")
    else:
        bare = seen([echo, str(PORT)], {})
        for settings in ({}, {"MULTIHOME_LOG": "debug"}, {"MULTIHOME_LOG": "debug", "MULTIHOME_LOG_FILE": "/dev/null"}):
            with_library = seen(["env", f"LD_PRELOAD={library}", echo, str(PORT)], settings)
            for call in sorted(with_library - bare - wanted):
                failures.append(f"{settings}: the library calls {call}, which no list names")
    for failure in failures:
        print("FAIL:", failure)
    sys.exit(1 if failures else 0)


main()
