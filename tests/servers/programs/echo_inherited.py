# SPDX-License-Identifier: MIT
"""Echo on the socket that inetd hands over as standard input, until nobody has asked for a second."""
import select
import socket

server = socket.socket(fileno=0)
while select.select([server], [], [], 1)[0]:
    request, peer = server.recvfrom(65535)
    server.sendto(request, peer)
