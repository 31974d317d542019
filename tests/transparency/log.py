#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""log.py SERVER TOPIC: the log never kills, never writes where it should not, and says where it goes."""
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios

server, topic = sys.argv[1:3]
library = os.environ["MULTIHOME_LIBRARY"]
runtime = os.environ.get("MULTIHOME_RUNTIME", "")
work = pathlib.Path()
PLAIN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z multihome\[\d+\] (debug|info|warning|error): .+"


def run(*arguments, expect=0, **options):
    """Runs the server under the shim, at the level `debug`; returns what it wrote to standard error, if that is a pipe."""
    environment = {"PATH": os.environ["PATH"], "MULTIHOME_LOG": "debug"}
    environment.update(options.pop("variables", {}))
    environment["LD_PRELOAD"] = f"{runtime}:{library}" if runtime else library
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([server, *arguments], env=environment, timeout=60, check=False, stdout=sys.stdout,
                          restore_signals=True, **options)
    if done.returncode != expect:
        sys.exit(f"FAILED: {arguments} ended with {done.returncode}: {done.stderr}")
    return done.stderr.decode().splitlines() if done.stderr is not None else []


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def skip_unless_root():
    if os.geteuid() != 0:
        print("SKIP: not root")
        sys.exit(77)


def pipe_without_reader(what):
    read_end, write_end = os.pipe()
    os.close(read_end)
    run(what, stderr=write_end)


def lines_in_order():
    lines = run("plain")
    check(lines and all(re.fullmatch(PLAIN, line) for line in lines), f"not as they should be: {lines}")


def no_reader():
    pipe_without_reader("plain")
    one, other = socket.socketpair()
    other.close()
    run("plain", stderr=one)


def fill(write_end):
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write_end, True)


def full_reader():
    """The reader of standard error has stopped reading. Who has nothing to say there goes on without multihome."""
    for read_end, write_end in (os.pipe(), (one.detach() for one in socket.socketpair())):
        fill(write_end)
        run("plain", stderr=write_end)
        os.close(write_end)
        os.close(read_end)


def blocked_signals():
    pipe_without_reader("blocked_signals")


def no_memory():
    check(run("in_handler"), "nothing was logged")
    run("in_handler", variables={"MULTIHOME_LOG_FILE": str(work / "log")})
    check((work / "log").read_text(), "nothing was logged to the file")


def file_size():
    run("file_size", variables={"MULTIHOME_LOG_FILE": str(work / "log")})
    with open(work / "stderr", "wb") as file:
        run("file_size", stderr=file)


def terminal():
    """In the background of a terminal that stops those who write from there."""
    leader, screen = pty.fork()
    if leader == 0:
        attributes = termios.tcgetattr(2)
        attributes[3] |= termios.TOSTOP
        termios.tcsetattr(2, termios.TCSANOW, attributes)
        environment = {"MULTIHOME_LOG": "debug", "LD_PRELOAD": f"{runtime}:{library}" if runtime else library}
        background = os.fork()
        if background == 0:
            os.setpgid(0, 0)
            os.execve(server, [server, "plain"], environment)
        _, status = os.waitpid(background, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.kill(background, signal.SIGKILL)
        os._exit(0 if status == 0 else 1)
    shown = b""
    try:
        while more := os.read(screen, 10000):
            shown += more
    except OSError:  # all have closed the terminal
        pass
    _, status = os.waitpid(leader, 0)
    check(status == 0, "the server was stopped")
    check(b"multihome" in shown, f"nothing on the terminal: {shown}")


def network():
    for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
        listener = socket.socket(socket.AF_INET, kind)
        listener.bind(("127.0.0.1", 0))
        other = socket.socket(socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        other.connect(listener.getsockname())
        reader = listener.accept()[0] if kind == socket.SOCK_STREAM else listener
        run("plain", stderr=other)
        reader.setblocking(False)
        try:
            check(False, f"a client was told {reader.recv(1000)}")
        except BlockingIOError:
            pass
    # The journal is reached by a socket as well.
    one, other = socket.socketpair()
    run("plain", stderr=one)
    check(b"multihome" in other.recv(10000), "nothing came through a UNIX socket")
    # But not one that a client talks to.
    one, other = socket.socketpair()
    run("plain", stdin=one, stderr=one)
    one.close()
    check(other.recv(1000) == b"", "a client was told something through a UNIX socket")


def refused(name, why, **options):
    """The log file `name` is refused: one line says so, and all of them are on standard error."""
    lines = run("plain", variables={"MULTIHOME_LOG_FILE": str(name)}, **options)
    told = [line for line in lines if "cannot write to the log file" in line]
    check(len(told) == 1 and why in told[0] and str(name) in told[0], f"one line with '{why}' in {lines}")
    check(len(lines) > 2 and "standard error" in told[0], f"the lines themselves are missing in {lines}")


def no_link():
    skip_unless_root()
    (work / "target").write_text("untouched")
    (work / "link").symlink_to("target")
    refused(work / "link", "symbolic link")
    (work / "directory").mkdir()
    (work / "way").symlink_to("directory")
    refused(work / "way" / "log", "symbolic link")
    check((work / "target").read_text() == "untouched", "a link was followed")
    check(not list((work / "directory").iterdir()), "a link on the way was followed")


def followed_link():
    """Who is not root may have a link: it leads nowhere that this user may not write to."""
    global server, library
    skip_unless_root()
    user = {"user": 65534, "group": 65534, "extra_groups": []}
    work.chmod(0o755)
    server, library = shutil.copy(server, work / "server"), shutil.copy(library, work / "library.so")
    (work / "directory").mkdir()
    (work / "directory").chmod(0o777)
    (work / "link").symlink_to("directory/log")
    run("plain", variables={"MULTIHOME_LOG_FILE": str(work / "link")}, **user)
    check("multihome[" in (work / "directory" / "log").read_text(), "nothing where the link leads")
    refused(work / "log", "Permission denied", **user)


def no_file():
    os.mkfifo(work / "fifo")
    refused(work / "fifo", "regular file")
    # Also one that somebody reads.
    reader = os.open(work / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    refused(work / "fifo", "regular file")
    check(os.read(reader, 100) == b"", "a FIFO was written to")
    refused(work, "regular file")
    refused("/dev/null", "regular file")
    refused(work / "missing" / "log", "No such file or directory")


def long_name():
    lines = run("plain", variables={"MULTIHOME_LOG_FILE": "/" + "x" * 5000})
    check("longer than a file name can be" in lines[0], f"not told: {lines}")
    check(len(lines) > 2, f"the lines themselves are missing in {lines}")


def change_of_root():
    skip_unless_root()
    (work / "root").mkdir()
    lines = run("chroot", str(work / "root"), variables={"MULTIHOME_LOG_FILE": str(work / "log")})
    check("multihome[" in (work / "log").read_text(), "nothing in the file before")
    told = [line for line in lines if "cannot write to the log file" in line]
    check(len(told) == 1 and len(lines) > 1, f"one line that says it in {lines}")


def relative_name():
    (work / "other").mkdir()
    run("chdir", str(work / "other"), cwd=work, variables={"MULTIHOME_LOG_FILE": "log"})
    check(not list((work / "other").iterdir()), "another file where the server went")
    check(len((work / "log").read_text().splitlines()) > 2, "lines are missing")


def nameless_directory():
    """Nobody knows where this file would be."""
    (work / "gone").mkdir()
    (work / "other").mkdir()
    lines = run("chdir", str(work / "other"), cwd=work / "gone", preexec_fn=lambda: os.rmdir(work / "gone"),
                variables={"MULTIHOME_LOG_FILE": "log"})
    check(not list((work / "other").iterdir()), "a file where the server went")
    told = [line for line in lines if "MULTIHOME_LOG_FILE=log is relative" in line]
    check(len(told) == 1 and len(lines) > 2, f"one line that says it, and the lines themselves, in {lines}")
    (work / "gone").mkdir()
    lines = run("chdir", str(work / "other"), cwd=work / "gone", preexec_fn=lambda: os.rmdir(work / "gone"),
                variables={"MULTIHOME_LOG_FILE": "log", "MULTIHOME_LOG": "off"})
    check(not lines, f"no line with MULTIHOME_LOG=off, in {lines}")


def replaced():
    (work / "before").touch()
    with open(work / "before", "wb") as before:
        run("replaced", str(work / "data"), stderr=before)
    check((work / "before").read_text(), "nothing before")
    check((work / "data").read_text() == "", "what took the place of standard error was written to")


def journal():
    read_end, write_end = os.pipe()
    status = os.fstat(write_end)
    run("plain", stderr=write_end, variables={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    os.close(write_end)
    with os.fdopen(read_end) as reader:
        lines = reader.read().splitlines()
    check(lines and all(re.fullmatch(r"<[3467]>multihome: .+", line) for line in lines), f"not for a journal: {lines}")
    # Another file than that of the journal.
    lines = run("plain", variables={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
    check(lines and all(re.fullmatch(PLAIN, line) for line in lines), f"not as they should be: {lines}")


def syslog():
    """In a mount namespace of its own, whose /dev/log is ours."""
    if len(sys.argv) < 4:
        made = subprocess.run(["unshare", "--mount", "--map-root-user", "true"], check=False, stderr=subprocess.DEVNULL)
        if made.returncode != 0:
            print("SKIP: may not make a mount namespace")
            sys.exit(77)
        sys.exit(subprocess.run(["unshare", "--mount", "--map-root-user", sys.executable, __file__, server, topic,
                                 "inside"], check=False).returncode)
    null = os.open("/dev/null", os.O_RDWR)
    if subprocess.run(["mount", "-t", "tmpfs", "none", "/dev"], check=False).returncode != 0:
        print("SKIP: may not mount")
        sys.exit(77)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    log.setblocking(False)
    environment = {"MULTIHOME_LOG": "debug", "LD_PRELOAD": f"{runtime}:{library}" if runtime else library}
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", 9))
    reader, full = os.pipe()
    fill(full)
    with open(work / "before", "wb") as before:
        for why, arguments, options in (
                ("standard error is closed, or another file", ["replaced", str(work / "data")], {"stderr": before}),
                ("standard error is closed, or another file", ["plain"], {"preexec_fn": lambda: os.close(2)}),
                ("standard error is a client's connection", ["plain"], {"stderr": client}),
                ("nobody reads standard error", ["plain"], {"stderr": full}),
                ("a system-call filter bars standard error", ["filtered"], {"stderr": before})):
            done = subprocess.run([server, *arguments], env=environment, stdin=null, stdout=null, check=False, timeout=60,
                                  **options)
            check(done.returncode == 0, f"{why}: ended with {done.returncode}")
            lines = []
            try:
                while True:
                    lines.append(log.recv(2000).decode())
            except BlockingIOError:
                pass
            check(len(lines) > 1 and all(re.fullmatch(r"<(27|28|30|31)>multihome\[\d+\]: .+", line) for line in lines),
                  f"{why}: not for syslog: {lines}")
            check(why in lines[0], f"not told: {lines}")
            check(arguments != ["filtered"] or any("<28>" in line and "filter does not allow" in line for line in lines),
                  f"no warning of the filter: {lines}")
    os.close(reader)


def set_user_id():
    """A program that gains privileges takes no file's name from whoever starts it. Preloaded by /etc/ld.so.preload."""
    skip_unless_root()
    if os.statvfs(work).f_flag & os.ST_NOSUID:
        print(f"SKIP: {work} is mounted nosuid")
        sys.exit(77)
    if len(sys.argv) < 4:
        made = subprocess.run(["unshare", "--mount", sys.executable, __file__, server, topic, "inside"], check=False)
        sys.exit(made.returncode)
    work.chmod(0o755)
    shutil.copy(library, work / "library.so")
    shutil.copy(server, work / "server")
    (work / "server").chmod(0o4755)
    if subprocess.run(["mount", "-t", "tmpfs", "none", "/etc"], check=False).returncode != 0:
        print("SKIP: may not mount")
        sys.exit(77)
    pathlib.Path("/etc/ld.so.preload").write_text(f"{work}/library.so\n")
    to_file = {"MULTIHOME_LOG": "debug", "MULTIHOME_LOG_FILE": str(work / "log")}
    # Of a bad value there would be a line.
    bad = {f"MULTIHOME_{name}": "bad" for name in ("LOG", "PORTS", "PEERS", "TIMEOUTS", "SAME_INTERFACE")}
    for variables in {}, to_file, {"MULTIHOME_DISABLE": "1"}, {"MULTIHOME_PORTS": "1"}, bad:
        done = subprocess.run([work / "server", "plain"], env=variables, user=65534, group=65534, extra_groups=[],
                              stderr=subprocess.PIPE, check=False, timeout=60)
        check(done.returncode == 0, f"not answered right with {variables}: {done.stderr}")
        check(done.stderr == b"", f"said with {variables}: {done.stderr}")
    check(not (work / "log").exists(), "wrote to a file that a user chose")


def main():
    global work
    signal.alarm(120)
    topics = {function.__name__: function for function in (
        lines_in_order, no_reader, full_reader, blocked_signals, no_memory, file_size, terminal, network, no_link,
        followed_link, no_file, long_name, change_of_root, relative_name, nameless_directory, replaced, journal, syslog, set_user_id)}
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(os.path.realpath(directory))
        topics[topic]()


main()
