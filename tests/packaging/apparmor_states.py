#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""apparmor_states.py STATES PATH: may PATH be read and mapped executable? "yes" or "no".

STATES is what apparmor_parser --dump=dfa-states prints: several automata, each beginning with its accepting states.
A state's lines are transitions by one character, "    u 0x75 -> {3}", and one by all others, "    [^\\x0/] -> {41}".
A permission word has the owner's rights in bits 0 to 6 and everybody else's in bits 14 to 20 (apparmor_re.h of the
parser: MAY_READ 4, EXEC_MMAP 0x40).
"""
import re
import sys

READ_AND_MAP = 0x44
OTHERS = 14


def automata(lines):
    """Yields (accepting states' rights, {state: ({byte: next}, other bytes' next, bytes without)})."""
    accepting, states, current = {}, {}, None
    for line in lines:
        if line.startswith("{1} <=="):
            if states:
                yield accepting, states
            accepting, states, current = {}, {}, None
        elif found := re.match(r"\{(\d+)\} \(0x ([0-9a-f]+)/", line):
            accepting[int(found[1])] = int(found[2], 16)
        elif found := re.match(r"\{(\d+)\} perms:", line):
            current = states.setdefault(int(found[1]), ({}, [None, b""]))
        elif found := re.match(r"    \S+ 0x([0-9a-f]+) -> \{(\d+)\}", line):
            current[0][int(found[1], 16)] = int(found[2])
        elif found := re.match(r"    \[\^(.*)\] -> \{(\d+)\}", line):
            without = found[1].replace("\\x0", "\0", 1).encode()
            current[1][:] = [int(found[2]), without]
    if states:
        yield accepting, states


def rights(automaton, path):
    accepting, states = automaton
    state = 1
    for byte in path.encode():
        by_byte, (others, without) = states.get(state, ({}, (None, b"")))
        state = by_byte.get(byte, others if byte not in without else None)
        if state is None:
            return 0
    return accepting.get(state, 0)


def main():
    with open(sys.argv[1], encoding="utf-8", errors="surrogateescape") as file:
        all_rights = [rights(automaton, sys.argv[2]) for automaton in automata(file)]
    allowed = any(word >> shift & READ_AND_MAP == READ_AND_MAP for word in all_rights for shift in (0, OTHERS))
    print("yes" if allowed else "no")


main()
