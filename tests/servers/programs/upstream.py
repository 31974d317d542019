# SPDX-License-Identifier: MIT
"""A name server that answers every question with 192.0.2.80, and prints who asked for which name."""
import socket
import struct
import sys


def name_in(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels).lower(), at + 5


def answer(server, query, peer):
    name, end = name_in(query)
    print(name, peer[0], flush=True)
    header = query[:2] + struct.pack("!5H", 0x8580, 1, 1, 0, 0)
    record = struct.pack("!HHHIH4B", 0xC00C, 1, 1, 60, 4, 192, 0, 2, 80)
    server.sendto(header + query[12:end] + record, peer)


def main():
    address, port = sys.argv[1:]
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, int(port)))
    while True:
        answer(server, *server.recvfrom(65536))


if __name__ == "__main__":
    main()
