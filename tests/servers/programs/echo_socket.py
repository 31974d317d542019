# SPDX-License-Identifier: MIT
"""Echo on one socket, which serves both families when the wildcard is an IPv6 one."""
import socket
import sys

server = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[2], int(sys.argv[1])))
while True:
    data, peer = server.recvfrom(65536)
    server.sendto(data, peer)
