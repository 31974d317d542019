#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Processes that lie to multihomectl: a state full of garbage, a name that commands the terminal, memory that changes
while it is read, processes that vanish. Each time: an answer or a clear error, no crash, and no control character.

Usage: hostile.py TOOL LIBRARY
"""
import ctypes
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOOL, LIBRARY = sys.argv[1:3]
MAGIC = b"multihome-state\0"
HEADER = struct.Struct("=16sIIQ")
PR_SET_NAME = 15
children = []
faults = []


def complain(text):
    print("FAIL:", text, flush=True)
    faults.append(text)


def run(*arguments, status=(0, 1, 2)):
    """Run the tool; return its exit status and what it said."""
    for _ in range(5):
        done = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        # Another test ends whoever is in its namespace, and doctor looks into each.
        if done.returncode != -signal.SIGTERM or "--all-netns" not in arguments:
            break
    said = done.stdout + done.stderr
    if done.returncode not in status:
        complain(f"{arguments}: exit status {done.returncode}: {said[-300:]!r}")
    if any(byte < 32 and byte != 10 for byte in said):
        complain(f"{arguments}: a control character in {said[-300:]!r}")
    if b"terminate" in said or b"Sanitizer" in said:
        complain(f"{arguments}: {said[-300:]!r}")
    return done.returncode, done.stdout, done.stderr


def child(work):
    """Run work() in a process of its own, and return when it has said that it is ready."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
            work(lambda: os.write(write, b"x"))
        finally:
            os._exit(1)
    children.append(pid)
    os.close(write)
    if os.read(read, 1) != b"x":
        complain("a child did not start")
    os.close(read)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    children.remove(pid)


def real_header():
    """The header of a state that is none of ours to invent, and the size of its mapping."""
    server = subprocess.Popen(
        ["/usr/bin/python3", "-c", "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
         "s.bind(('0.0.0.0', 0))\nprint('ready', flush=True)\ntime.sleep(60)"],
        env=dict(os.environ, LD_PRELOAD=LIBRARY), stdout=subprocess.PIPE)
    server.stdout.readline()
    try:
        with open(f"/proc/{server.pid}/maps", encoding="utf-8") as maps:
            for line in maps:
                if "/dev/zero (deleted)" not in line:
                    continue
                begin, end_of = (int(part, 16) for part in line.split()[0].split("-"))
                with open(f"/proc/{server.pid}/mem", "rb", 0) as memory:
                    memory.seek(begin)
                    header = HEADER.unpack(memory.read(HEADER.size))
                if header[0] == MAGIC:
                    status, out, _ = run("stats", "-j", str(server.pid))
                    if status != 0 or json.loads(out)["processes"][0]["counters"]["sockets"] != 1:
                        complain("the real state is not read")
                    return header, end_of - begin
    finally:
        server.kill()
        server.wait()
    sys.exit("FAIL: the library made no state")


def pretend(content, size, name=b"liar"):
    """A process with `content` where a state would be, and an executable mapping of a libmultihome.so."""
    def work(ready):
        # The state first: who asks about the process when it is ready finds both.
        state = mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        state[:len(content)] = content
        with open(os.path.join(directory, "libmultihome.so"), "rb") as file:
            code = mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 0))
        ready()
        time.sleep(120)
        del code, server
    return child(work)


def ask_all(pid, what=""):
    calls = [["stats"], ["peers"]]
    if not what.startswith(("size", "bucket")):  # all of those end at the same check
        calls += [["stats", "-j"], ["stats", "--prometheus"], ["peers", "-j"], ["peers", "--peer", "192.0.2.1:5060"],
                  ["check", "--pid"]]
    for arguments in calls:
        run(*arguments, str(pid), status=(0, 1, 2, 125))


def garbage(header, size):
    magic, version, bits, whole = header
    noise = random.Random(12)
    filler = noise.randbytes(min(size, 1 << 20) - HEADER.size)
    yield "noise", HEADER.pack(magic, version, bits, whole) + filler, size
    yield "ones", HEADER.pack(magic, version, bits, whole) + b"\xff" * len(filler), size
    yield "another version", HEADER.pack(magic, version + 7, bits, whole), size
    for wrong in (0, 22, 31, 63, 64, 0xffffffff):
        yield f"bucket bits {wrong}", HEADER.pack(magic, version, wrong, whole), size
    for wrong in (0, 1, whole - 1, whole + 4096, 1 << 40, (1 << 64) - 1):
        yield f"size {wrong}", HEADER.pack(magic, version, bits, wrong), size
    yield "a mapping that is too small", HEADER.pack(magic, version, bits, whole) + b"\xff" * 4000, 8192
    yield "no magic", noise.randbytes(8192), 8192


def changing(header, size):
    """The mapping comes, goes and changes while it is read."""
    def work(ready):
        with open(os.path.join(directory, "libmultihome.so"), "rb") as file:
            code = mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        ready()
        noise = random.Random(7)
        while True:
            state = mmap.mmap(-1, noise.choice((4096, 65536, size)), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
            state[:HEADER.size] = HEADER.pack(header[0], header[1], noise.choice((header[2], 1, 21)), header[3])
            state[2048:4096] = noise.randbytes(2048)
            state.close()
        del code
    return child(work)


def main():
    header, size = real_header()
    for what, content, mapped in garbage(header, size):
        pid = pretend(content, mapped)
        ask_all(pid, what)
        end(pid)
        print("ok:", what, flush=True)

    pid = pretend(b"", 4096, b"\x1b[31m\xff\xc2\x9b\n\"\\x")
    ask_all(pid)
    for arguments in (["doctor", "-a"], ["doctor", "-j"], ["stats"]):
        status, out, _ = run(*arguments)
        if "-j" in arguments:
            json.loads(out)
    end(pid)
    print("ok: a name that commands the terminal", flush=True)

    pid = changing(header, size)
    for _ in range(15):
        run("stats", str(pid))
        run("peers", str(pid))
    end(pid)
    print("ok: memory that changes", flush=True)

    def breed(ready):
        ready()
        while True:
            if os.fork() == 0:
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(("0.0.0.0", 0))
                os._exit(0)
            os.wait()
    pid = child(breed)
    for arguments in (["doctor"], ["doctor", "--all-netns"], ["stats"], ["peers"]) * 3:
        run(*arguments)
    end(pid)
    print("ok: processes that vanish", flush=True)

    for pid in ("1", "2", "4194304"):
        run("stats", pid)
        run("check", "--pid", pid, status=(0, 2, 125))
    print("ok: a kernel thread, and no process at all", flush=True)
    return 1 if faults else 0


with tempfile.TemporaryDirectory() as directory:
    with open(os.path.join(directory, "libmultihome.so"), "wb") as lie:
        lie.write(b"\0" * 4096)
    try:
        result = main()
    finally:
        for left in children:
            os.kill(left, signal.SIGKILL)
sys.exit(result)
