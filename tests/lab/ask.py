#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Ask a UDP server and print the address that its answer came from.

The socket is never connected: a connected one would not receive an answer from an unexpected source, and that
answer is what the lab is about. Each request carries a token, and only a datagram that repeats it is an answer.

One line for each request: the source address, `none` if no answer came. A source port other than the one that was
asked is shown as ADDRESS#PORT, since no client would take such an answer either. Exit status 1 if one is missing.
With several addresses (separated by commas) all are asked from one port, and each line begins with the one asked.
"""
import argparse
import os
import select
import socket
import struct
import sys
import time

IP_PKTINFO = 8
TOKEN_BYTES = 16


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="address to ask, fe80::1%%eth0 for link-local; several, joined by commas")
    parser.add_argument("port", type=int)
    parser.add_argument("--family", choices=("4", "6"), help="with 6 and an IPv4 address: ask from an IPv6 socket")
    parser.add_argument("--source", help="own address")
    parser.add_argument("--source-port", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for each answer")
    parser.add_argument("--count", type=int, default=1, help="requests to each address")
    parser.add_argument("--answers", type=int, default=1, help="answers to wait for after each request")
    parser.add_argument("--pipeline", type=int, default=1, metavar="N", help="requests that are under way at once")
    parser.add_argument("--broadcast", action="store_true")
    parser.add_argument("--interface", help="send through this interface only (also multicast and broadcast)")
    parser.add_argument("--dns", metavar="NAME", help="ask a name server for NAME's address, instead of an echo")
    parser.add_argument("--request", metavar="HEX", type=bytes.fromhex, help="send this, the first two bytes replaced "
                        "by a token (an identifier that the protocol repeats, as in DNS or memcached)")
    parser.add_argument("--size", type=int, default=TOKEN_BYTES, help="bytes in a request")
    parser.add_argument("--via", action="store_true", help="also print the interface that the answer came in on")
    parser.add_argument("--payload", action="store_true", help="also print what the answer holds after the token")
    return parser.parse_args()


def resolve(address, port, family):
    flags = socket.AI_NUMERICHOST | (socket.AI_V4MAPPED if family == socket.AF_INET6 else 0)
    found = socket.getaddrinfo(address, port, family, socket.SOCK_DGRAM, 0, flags)
    return found[0][0], found[0][4]


def open_socket(options, family):
    asker = socket.socket(family, socket.SOCK_DGRAM)
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    asker.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    if family == socket.AF_INET6:
        asker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        asker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    if options.broadcast:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if options.interface:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options.interface.encode())
    if options.source:
        asker.bind(resolve(options.source, options.source_port, family)[1])
    else:
        asker.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", options.source_port))
    return asker


def plain(address):
    """The address as the person who asked wrote it: no scope, and IPv4 without the v4-mapped prefix."""
    address = address.partition("%")[0]
    return address[7:] if address.lower().startswith("::ffff:") and "." in address else address


def incoming_interface(ancillary):
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            return socket.if_indextoname(struct.unpack_from("=i", data)[0])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return socket.if_indextoname(struct.unpack_from("=I", data, 16)[0])
    return "?"


def dns_query(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def make_request(options):
    """The token, with which the answer begins as well, and the whole request."""
    if options.request:
        token = os.urandom(2)
        return token, token + options.request[2:]
    token = os.urandom(TOKEN_BYTES)
    return token, token.ljust(options.size, b".")


def describe(options, data, ancillary, source):
    line = plain(source[0])
    if source[1] != options.port:
        line += f"#{source[1]}"
    if options.via:
        line += " via " + incoming_interface(ancillary)
    if options.payload:
        line += " " + data[options.size:].decode(errors="replace").strip()
    return line


def exchange(asker, options, targets):
    """Send one request to each of `targets`, and print where each one's answers came from."""
    waiting = {}
    order = []
    for shown, target in targets:
        token, request = make_request(options)
        while token in waiting:
            token, request = make_request(options)
        order.append((token, shown))
        waiting[token] = options.answers
        asker.sendto(request, target)
    deadline = time.monotonic() + options.timeout
    prefix = "," in options.address
    lines = {token: [] for token in waiting}
    while any(waiting.values()):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([asker], [], [], left)[0]:
            break
        data, ancillary, _, source = asker.recvmsg(65536, 512)
        token = data[:len(order[0][0])]
        if waiting.get(token, 0) == 0:
            continue
        waiting[token] -= 1
        lines[token].append(describe(options, data, ancillary, source))
        if len(order) == 1 and not prefix:
            # Printed as it comes: a test may wait for the first answer before it changes something.
            print(lines[token][-1], flush=True)
    for token, shown in order:
        if len(order) > 1 or prefix:
            lines[token] += ["none"] * waiting[token]
        else:
            lines[token] = ["none"] * waiting[token]
        for line in lines[token]:
            print(f"{shown} {line}" if prefix else line)
    return not any(waiting.values())


def main():
    options = arguments()
    options.size = max(options.size, TOKEN_BYTES)
    if options.dns:
        options.request = dns_query(options.dns)
    family = {None: 0, "4": socket.AF_INET, "6": socket.AF_INET6}[options.family]
    addresses = options.address.split(",")
    resolved = [(plain(one), resolve(one, options.port, family)) for one in addresses]
    asker = open_socket(options, resolved[0][1][0])
    targets = [(shown, found[1]) for shown, found in resolved] * options.count
    complete = True
    for start in range(0, len(targets), options.pipeline):
        complete &= exchange(asker, options, targets[start:start + options.pipeline])
    return 0 if complete else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        print(f"ask.py: {error}", file=sys.stderr)
        sys.exit(2)
