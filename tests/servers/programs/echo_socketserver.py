# SPDX-License-Identifier: MIT
"""Echo with a thread for each request, on one socket of one family."""
import socket
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data, self.client_address)


class Server(socketserver.ThreadingUDPServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET


Server((sys.argv[2], int(sys.argv[1])), Echo).serve_forever()
