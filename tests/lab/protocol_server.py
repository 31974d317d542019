#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A UDP server on the wildcard that answers one protocol as its RFC says, and only what is right by it.

For the protocols whose real servers take long to set up. Usage: protocol_server.py PROTOCOL PORT [backwards]
With "backwards" it names the source itself, and answers what has come meanwhile in the opposite order, as a server with
many threads may. It says how many that were at most.
"""
import hashlib
import hmac
import re
import select
import socket
import struct
import sys

IP_PKTINFO = 8
SECRET = b"testing123"


def ntp(request):
    """RFC 5905, 7.3: mode 3 is a client; its transmit timestamp comes back as the origin timestamp."""
    if len(request) != 48 or request[0] != 0x23 or request[40:48] == bytes(8):
        return None
    return bytes([0x24, 1]) + bytes(22) + request[40:48] + bytes(16)


def radius(request):
    """RFC 5997: Status-Server with a right Message-Authenticator (RFC 3579, 3.2), or silence."""
    code, identifier, length = struct.unpack_from("!BBH", request)
    if code != 12 or length != len(request):
        return None
    attributes, seen = request[20:], False
    while attributes:
        kind, size = attributes[0], attributes[1]
        if kind == 80:
            where = length - len(attributes) + 2
            blank = request[:where] + bytes(16) + request[where + 16:]
            if not hmac.compare_digest(hmac.new(SECRET, blank, "md5").digest(), request[where:where + 16]):
                return None
            seen = True
        attributes = attributes[size:]
    if not seen:
        return None
    head = struct.pack("!BBH", 2, identifier, 20)
    return head + hashlib.md5(head + request[4:20] + SECRET).digest()


def sip(request):
    """RFC 3261, 8.2.6: Via, From, To, Call-ID and CSeq come back; RFC 3581: to the source port."""
    head, end, _ = request.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    if not re.fullmatch(r"OPTIONS sip:\S+ SIP/2\.0", lines[0]) or not end or fields["cseq"] != "1 OPTIONS":
        return None
    if ";rport" not in fields["via"] or "branch=z9hG4bK" not in fields["via"] or "tag=" not in fields["from"]:
        return None
    answer = ["SIP/2.0 200 OK"] + [f"{name}: {fields[name.lower()]}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join(answer + ["Content-Length: 0", "", ""]).encode()


def quic(request):
    """RFC 9000, 6 and 17.2.1: version negotiation, for a datagram of 1200 bytes with a version it does not have."""
    if len(request) < 1200 or not request[0] & 0x80 or request[1:5] in (bytes(4), b"\0\0\0\1"):
        return None
    if any(byte & 0x0f != 0x0a for byte in request[1:5]):
        return None
    size = request[5]
    destination, rest = request[6:6 + size], request[6 + size:]
    source = rest[1:1 + rest[0]]
    return (b"\xaa" + bytes(4) + bytes([len(source)]) + source + bytes([len(destination)]) + destination +
            b"\0\0\0\1\x6b\x33\x43\xcf")


def answer_backwards(server, answer):
    server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    most = 0
    while True:
        waiting = [server.recvmsg(65536, 512)]
        while select.select([server], [], [], 0.02)[0]:
            waiting.append(server.recvmsg(65536, 512))
        if len(waiting) > most:
            most = len(waiting)
            print(most, flush=True)
        for request, information, _, client in reversed(waiting):
            reply = answer(request)
            if reply:
                server.sendmsg([reply], information, 0, client)


def main():
    answer = {"ntp": ntp, "radius": radius, "sip": sip, "quic": quic}[sys.argv[1]]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", int(sys.argv[2])))
    if sys.argv[3:] == ["backwards"]:
        answer_backwards(server, answer)
    while True:
        request, client = server.recvfrom(65536)
        reply = answer(request)
        if reply:
            server.sendto(reply, client)


if __name__ == "__main__":
    main()
