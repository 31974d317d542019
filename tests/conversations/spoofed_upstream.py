# SPDX-License-Identifier: MIT
"""A name server that answers every question with 192.0.2.80 and prints `NAME SOURCE` for each; and, in the same name,
whoever spoofs it: for each line `COUNT KIND` on standard input it sends so many datagrams to port VICTIM_PORT of each
address, and then prints `spoofed NUMBER`. Of the kind `junk`, all are answers to nothing, which the victim throws away;
of the kind `mixed`, half of them are questions, which it answers.

    spoofed_upstream.py OWN_ADDRESS OWN_PORT VICTIM_PORT ADDRESS...
"""
import pathlib
import select
import socket
import struct
import sys

sys.dont_write_bytecode = True  # the source tree may be another user's
sys.path.append(str(pathlib.Path(__file__).parent.parent / "servers/programs"))
from upstream import answer

AT_ONCE = 40  # so many fit into the victim's socket before it is read
QUESTION = b"\3www\7spoofed\4test\0" + struct.pack("!2H", 1, 1)
PATIENCE = 30


def serve(server, query, peer):
    """Answers a question of the victim. Returns whether it was one, and not an answer to a spoofed question."""
    if query[2] & 0x80:
        return False
    answer(server, query, peer)
    return True


def await_reader(probe, victim, number):
    """The victim has read everything that came before the question that it answers now."""
    identifier = struct.pack("!H", number)
    probe.sendto(identifier + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + QUESTION, victim)
    while select.select([probe], [], [], PATIENCE)[0]:
        if probe.recv(65536)[:2] == identifier:
            return
    sys.exit("the victim has stopped answering")


def spoof(server, probe, victim, count, kind):
    junk = struct.pack("!6H", 1, 0x8580, 1, 0, 0, 0) + QUESTION
    question = junk if kind == "junk" else struct.pack("!6H", 2, 0x0100, 1, 0, 0, 0) + QUESTION
    for sent in range(0, count, AT_ONCE):
        for _ in range(AT_ONCE // 2):
            server.sendto(question, victim)
            server.sendto(junk, victim)
        await_reader(probe, victim, sent)


def main():
    own_address, own_port, victim_port, *addresses = sys.argv[1:]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((own_address, int(own_port)))
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind((own_address, 0))
    print("ready", flush=True)
    floods = 0
    while True:
        readable = select.select([server, sys.stdin], [], [])[0]
        if server in readable:
            serve(server, *server.recvfrom(65536))
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return
            count, kind = line.split()
            for address in addresses:
                spoof(server, probe, (address, int(victim_port)), int(count), kind)
            floods += 1
            print(f"spoofed {floods}", flush=True)


main()
