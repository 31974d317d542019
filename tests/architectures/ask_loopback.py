#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ask_loopback.py ADDRESS PORT: asks there, from 127.0.0.1, and prints the address that the answer comes from."""
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
    asker.bind(("127.0.0.1", 0))
    asker.settimeout(30)
    asker.sendto(b"who?", (sys.argv[1], int(sys.argv[2])))
    try:
        print(asker.recvfrom(512)[1][0])
    except TimeoutError:
        print("none")
