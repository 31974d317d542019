#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Wrong arguments: each subcommand answers with an exit status that it states, and with words instead of a crash. And
streams that are full, or closed.

enable and disable are only asked what they would do. Usage: arguments.py TOOL
"""
import os
import random
import signal
import subprocess
import sys
import tempfile

TOOL = sys.argv[1]
STATUS = {0, 1, 2, 125, 126, 127}
# Each with an option that keeps it from changing anything, or from running for ever.
SUBCOMMANDS = {
    "check": ["--", "--unit", "--pid", "--user", "--library", "-q", "-j"],
    "disable": ["--now", "-q", "-j"],
    "doctor": ["--netns", "--all-netns", "-a", "-q", "-j"],
    "enable": ["--now", "--library", "-q", "-j"],
    "list": ["-q", "-j"],
    "peers": ["--peer", "--limit", "-q", "-j"],
    "recipe": ["one-interface", "two-interfaces", "routing", "--format", "nft", "iptables", "--interface", "--gateway",
               "--port", "-q", "-j"],
    "run": ["--ports", "--peers", "--timeouts", "-v", "--"],
    "stats": ["--prometheus", "-q", "-j"],
}
ALWAYS = {"disable": ["--dry-run"], "enable": ["--dry-run"], "run": ["--dry-run"], "stats": ["--count", "1"]}
VALUES = ["", "0", "1", "-1", "65535", "65536", ":0", ":53", ":99999", "4194304", "99999999999999999999", "/", "..", "../..",
          "/dev/null", "/proc/self/mem", "/etc/passwd", "a b", "a\nb", "x" * 5000, "%s%n", "$(id)", "\u00e9", "a.service",
          "a@.service", "-", "--", "192.0.2.1", "192.0.2.1:0", "[::1]:99999", "[::1", "fe80::1%x", "nobody", "no-such-user",
          "4294967295", "\x1b[31m"]
# The call must be refused: the wrong words stand in it.
REFUSED = [[], ["nonsense"], ["doctor", "nonsense"], ["doctor", "--netns"], ["doctor", "--netns", "../x"],
           ["doctor", "--netns", "a", "--all-netns"], ["check"], ["check", "--pid", "0"], ["check", "--pid", "x"],
           ["check", "--unit", "a", "b"], ["enable"], ["enable", "../x"], ["enable", "a@.service"], ["disable"],
           ["disable", "a/b"], ["stats", ":0"], ["stats", ":x"], ["stats", "--watch", "0"], ["stats", "--watch", "x"],
           ["stats", "--prometheus", "-j"], ["peers", "--peer", "x"], ["peers", "--peer", "192.0.2.1:0"],
           ["peers", "--limit", "-1"], ["ask"], ["ask", "127.0.0.1", "--port", "x"], ["ask", "127.0.0.1", "--port", "0"],
           ["attach"], ["attach", "--pid", "0"], ["attach", "--all", "--peers", "1"], ["attach", "--all", "--ports", "53,"],
           ["attach", "--all", "a"], ["detach"], ["detach", "--all", "a"], ["list", "x"], ["recipe"], ["recipe", "x"],
           ["doctor", "--netns", ""], ["stats", ""], ["peers", ""], ["peers", "--peer", ""], ["check", "--unit", ""],
           ["check", "--user", "", "true"], ["check", "--library", "", "true"], ["attach", ""], ["detach", "--cgroup", ""],
           ["run", "--ports", "", "--dry-run", "--", "true"], ["ask", "127.0.0.1", "--payload", ""],
           ["doctor", "--quiet="],
           ["recipe", "routing", "--format", "x"], ["run"], ["run", "--"], ["run", "--peers", "1", "--", "true"]]
faults = 0


def run(arguments, status):
    global faults
    done = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    problem = None
    if done.returncode not in status:
        problem = f"exit status {done.returncode}"
    elif done.returncode != 0 and not said and "-q" not in arguments:
        problem = "not a word"
    elif b"\x1b" in said:
        problem = "an escape sequence"
    if problem:
        faults += 1
        print(f"FAIL: {arguments}: {problem}: {said[-300:]!r}", flush=True)


# Refused, and why is said.
SAID = [(["check", "--user=", "root", "true"], "--user: the value is empty"),
        (["run", "--ports=", "--dry-run", "--", "true"], "--ports: the value is empty"),
        (["run", "--peers", "64", "--timeouts=", "1,1", "--", "true"], "--timeouts: the value is empty"),
        (["ask", "--port=", "53", "127.0.0.1"], "--port: the value is empty"),
        (["ask", "--text", "a", "--tries=", "1", "127.0.0.1"], "--tries: the value is empty"),
        (["stats", "--watch=", "1", "-n", "1"], "--watch: the value is empty"), (["stats", "--count=", "1"], "--count: the value is empty"),
        (["peers", "--limit=", "1"], "--limit: the value is empty"),
        (["recipe", "--format=", "nft", "routing"], "--format: the value is empty"),
        (["stats", "--watch", "a.service"], "write --watch SECONDS TARGET"),
        (["stats", "-w", "3601", "-n", "1"], "write --watch SECONDS TARGET"),
        (["ask", "127.0.0.1", "--timeout", "nan", "--port", "9", "--text", "a"], "no number of seconds"),
        (["ask", "0.0.0.0", "--port", "9", "--text", "a"], "0.0.0.0 is no address of one server"),
        (["ask", "127.0.0.1", "224.0.0.1", "--port", "9", "--text", "a"], "224.0.0.1 is no address of one server"),
        (["ask", "255.255.255.255", "--port", "9", "--text", "a"], "255.255.255.255 is no address of one server"),
        (["ask", "ff02::1%lo", "--port", "9", "--text", "a"], "is no address of one server"),
        (["ask", "::", "--port", "9", "--text", "a"], "is no address of one server"),
        (["recipe", "routing", "--verify", "--json"], "excludes"),
        *((["peers", "--peer", peer], "is no peer")
          for peer in ["[::1", "[2001:db8::1]5060", "[::1]:", "192.0.2.1:", "[::1]:5060x", "[]"]),
        (["ask", "127.0.0.1", "--hex", "00"], "name the server's --port"),
        (["stats", "--watch", "nan"], "no number of seconds"), (["stats", "-w=1"], "no number of seconds")]
for call, text in SAID:
    done = subprocess.run([TOOL, *call], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if done.returncode != 2 or text not in done.stderr.decode():
        faults += 1
        print(f"FAIL: {call}: exit status {done.returncode}, no {text!r} in {done.stderr!r}", flush=True)
# What only looks so: a command's words, and the value of an option.
for call, good in [(["run", "--dry-run", "--", "true", "--x="], {0, 125}), (["run", "--dry-run", "true", "--x="], {0, 125}),
                   (["check", "--", "--x="], {127}), (["ask", "--text", "--x=", "192.0.2.1", "--port", "x"], {2})]:
    done = subprocess.run([TOOL, *call], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if done.returncode not in good or b"--x: the value" in done.stderr:
        faults += 1
        print(f"FAIL: {call}: exit status {done.returncode}: {done.stderr!r}", flush=True)
for call in REFUSED:
    run(call, {2})
choice = random.Random(12)  # the same on every run
for subcommand, options in SUBCOMMANDS.items():
    for _ in range(12):
        words = [choice.choice(options + VALUES + VALUES) for _ in range(choice.randrange(4))]
        if subcommand == "check":  # what stands behind -- is a program's name
            words = [word for word in words if word != "--"]
        run([subcommand, *ALWAYS.get(subcommand, []), *(word for word in words if "\0" not in word)], STATUS)
# What cannot be written is no success.
for call in [["doctor"], ["doctor", "-j"], ["stats", "--prometheus"], ["recipe", "routing", "-j"], ["check", "true"],
             ["check", "--user", "4242", "true"] if os.geteuid() == 0 else ["list"], ["--version"], ["check", "--help"]]:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TOOL, *call], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=60,
                              check=False)
    if done.returncode != 2 or b"No space left" not in done.stderr:
        faults += 1
        print(f"FAIL: {call} with a full stdout: exit status {done.returncode}: {done.stderr!r}", flush=True)
# Files that are opened where stdin and stdout are closed are not taken for them.
with tempfile.TemporaryDirectory() as directory:
    systemctl = os.path.join(directory, "systemctl")
    with open(systemctl, "w", encoding="utf-8") as script:
        script.write("#!/bin/sh\necho LoadState=masked\n")
    os.chmod(systemctl, 0o755)
    done = subprocess.run(["/bin/sh", "-c", 'exec "$0" enable --dry-run a <&- >&-', TOOL], stderr=subprocess.PIPE,
                          env=dict(os.environ, PATH=f"{directory}:/usr/bin:/bin"), timeout=60, check=False)
    # Who ignores SIGCHLD starts programs that ignore it.
    deaf = subprocess.run([TOOL, "enable", "--dry-run", "a"], capture_output=True, timeout=60, check=False,
                          env=dict(os.environ, PATH=f"{directory}:/usr/bin:/bin"),
                          preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    if deaf.returncode != 2 or b"(masked)" not in deaf.stderr:
        faults += 1
        print(f"FAIL: with SIGCHLD ignored: exit status {deaf.returncode}: {deaf.stderr!r}", flush=True)
    with open(systemctl, "w", encoding="utf-8") as script:
        script.write("#!/bin/sh\necho LoadState=loaded\necho 'ExecStart={ path=/bin/true ; }'\n")
    # What a name such as systemd makes it has to be typed with.
    dashed = subprocess.run([TOOL, "enable", "--dry-run", "--now", "multihome\\x2dtest"], capture_output=True, timeout=60,
                            env=dict(os.environ, PATH=f"{directory}:/usr/bin:/bin"), check=False)
    if b"\n# systemctl restart 'multihome\\x2dtest.service'\n" not in dashed.stdout:
        faults += 1
        print(f"FAIL: a unit with a backslash: {dashed.stdout!r}, {dashed.stderr!r}", flush=True)
    os.chmod(directory, 0o755)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        denied = subprocess.run([TOOL, "enable", "multihome-test-a"], capture_output=True, timeout=60, check=False,
                                env=dict(os.environ, PATH=f"{directory}:/usr/bin:/bin"), **user)
        if denied.returncode != 2 or b"zz-multihome.conf: Permission denied: run this as root" not in denied.stderr:
            faults += 1
            print(f"FAIL: enable as an ordinary user: exit status {denied.returncode}: {denied.stderr!r}", flush=True)
    except PermissionError:
        print("SKIP: enable as an ordinary user, who may not run", TOOL)
# A process that has ended and is waited for: no advice that does not help.
child = subprocess.Popen(["true"])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
ended = subprocess.run([TOOL, "check", "--pid", str(child.pid)], capture_output=True, timeout=60, check=False)
child.wait()
if ended.returncode != 2 or b"it has no program: it is the kernel's, or has ended" not in ended.stderr:
    faults += 1
    print(f"FAIL: check --pid of one that has ended: exit status {ended.returncode}: {ended.stderr!r}", flush=True)
# Without /proc nobody knows which processes there are.
if os.geteuid() == 0:
    for call in [["stats"], ["peers"], ["doctor"]]:
        blind = subprocess.run(["unshare", "--mount", "--net", "sh", "-c", 'mount -t tmpfs tmpfs /proc && exec "$@"', "sh", TOOL,
                                *call], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if b"mount:" in blind.stderr or b"unshare:" in blind.stderr:
            print("SKIP: a place without /proc:", blind.stderr.decode())
        elif blind.returncode != 2 or b"is /proc mounted?" not in blind.stderr:
            faults += 1
            print(f"FAIL: {call} without /proc: exit status {blind.returncode}: {blind.stdout + blind.stderr!r}", flush=True)
if done.returncode != 2 or b"(masked)" not in done.stderr:
    faults += 1
    print(f"FAIL: with stdin and stdout closed: exit status {done.returncode}: {done.stderr!r}", flush=True)
print(f"{len(SAID) + len(REFUSED) + 12 * len(SUBCOMMANDS)} calls, {faults} faults")
sys.exit(1 if faults else 0)
