#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""takes_programs.py CONTROL-GROUP [HELPER...]: does this kernel take BPF programs for control groups from this user, and may
they call these helpers (by number)? Asked with programs of two and three instructions, which have nothing of the engine's.
Exits with 1, and says why, where it does not."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "connect"))
sys.dont_write_bytecode = True
import bpf  # pylint: disable=wrong-import-position

if bpf.NUMBER is None:
    sys.exit("no number of bpf(2) for this machine")
try:
    bpf.link(os.open(sys.argv[1], os.O_RDONLY), bpf.load(bpf.ALLOW))
except OSError as error:
    sys.exit(f"nor a program of two instructions: {error.strerror}")
for number in map(int, sys.argv[2:]):
    if not bpf.has_helper(number):
        sys.exit(f"no such helper: {number}")
