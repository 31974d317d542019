# SPDX-License-Identifier: MIT
"""What the tests here share. A test says what it saw, what is right, and what it expects bare, where that differs."""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

SHIM = sys.argv[1] == "shim"
TOPICS = sys.argv[2:]
LIBC = ctypes.CDLL(None, use_errno=True)
# Seconds to wait for a datagram that is on its way: beside compilers it may take long until this process runs again.
PATIENCE = 30
failures = 0


def expect(what, got, right, bare=None):
    """`bare` is what a program without the shim sees; where it is not given, the same."""
    global failures
    wanted = right if SHIM or bare is None else bare
    good = got == wanted
    print(f"{'ok' if good else 'FAIL'}: {what}: {got}" + ("" if good else f", should be {wanted}"), flush=True)
    failures += not good


def end():
    sys.exit(1 if failures else 0)


def skip(why):
    print(f"SKIP: {why}", flush=True)
    sys.exit(77)


# IP_MTU, IPV6_MTU and IPV6_PATHMTU
PATH_OPTIONS = {
    socket.AF_INET: {"the MTU": (socket.IPPROTO_IP, 14)},
    socket.AF_INET6: {"the MTU": (socket.IPPROTO_IPV6, 24), "the path's MTU": (socket.IPPROTO_IPV6, 61)},
}


class Family:
    """The addresses of a test: the peer's, and two more that it asks. The routing table answers from the peer's own."""

    def __init__(self, wildcard, peer, first, second, mapped=False, device=None, route=None):
        self.wildcard, self.peer, self.first, self.second = wildcard, peer, first, second
        self.route = route or peer
        self.device = device
        self.domain = socket.AF_INET6 if ":" in wildcard else socket.AF_INET
        self.client_domain = socket.AF_INET6 if ":" in peer else socket.AF_INET
        self.mapped = mapped

    def seen(self, address):
        """As the server sees it."""
        return f"::ffff:{address}" if self.mapped else address

    def name(self, address, port, device=None):
        if self.client_domain == socket.AF_INET:
            return (address, port)
        return (address, port, 0, socket.if_nametoindex(device) if device else 0)

    def server(self, port=0):
        server = socket.socket(self.domain, socket.SOCK_DGRAM)
        if self.domain == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if self.mapped else 1)
        server.bind((self.wildcard, port))
        server.settimeout(PATIENCE)
        return server

    def client(self):
        client = socket.socket(self.client_domain, socket.SOCK_DGRAM)
        client.bind(self.name(self.peer, 0, self.device))
        client.settimeout(PATIENCE)
        return client

    def ask(self, client, server, address, data=b"question"):
        """A request, to `address` and the port of `server` (a socket or a number)."""
        port = server if isinstance(server, int) else server.getsockname()[1]
        client.sendto(data, self.name(address, port, self.device))

    def meet(self, server, address):
        """A client that asks `address`, and the peer that the server then hears."""
        client = self.client()
        self.ask(client, server, address)
        return client, hear(server)

    def expect_local(self, server, asked, when=""):
        expect(f"{when}local address", local(server), self.seen(asked), self.seen(self.route))

    def expect_answer(self, client, asked, when=""):
        expect(f"{when}answered from", source(client), asked, self.route)

    def expect_path(self, sock):
        """The kernel tells a connected socket of the way to its peer."""
        for what, option in PATH_OPTIONS[self.domain].items():
            try:
                told = len(sock.getsockopt(*option, 64)) > 0
            except OSError as error:
                told = os.strerror(error.errno)
            expect(f"{what} is told", told, True)

    def converse(self, server, client, asked):
        """Both directions, twice, connected. Bare, the answers come from elsewhere and the server is deaf."""
        for _ in range(2):
            server.send(b"answer")
            self.expect_answer(client, asked)
            self.ask(client, server, asked, b"more")
            expect("hears", hears(server, PATIENCE if SHIM else 0.3), b"more", "none")


V4 = Family("0.0.0.0", "127.0.0.1", "127.0.0.2", "127.0.0.3")
DUAL = Family("::", "127.0.0.1", "127.0.0.2", "127.0.0.3", mapped=True)
V6 = Family("::", "2001:db8::1", "2001:db8::2", "2001:db8::3")
SECONDARY = Family("0.0.0.0", "192.0.2.1", "192.0.2.2", "192.0.2.3")
MAPPED = Family("::ffff:0.0.0.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", mapped=True)
# The peer is at the other end of a veth pair.
LINK_LOCAL = Family("::", "fe80::1", "fe80::3", "fe80::4", device="end1", route="fe80::2")
FAMILIES = {"v4": V4, "dual": DUAL, "v6": V6, "v4_secondary": SECONDARY, "mapped": MAPPED, "v6_link_local": LINK_LOCAL}


def plain(address):
    """Without the scope, which getsockname() and recvfrom() print after link-local addresses."""
    return address.split("%")[0]


def local(sock):
    return plain(sock.getsockname()[0])


def source(client):
    """Where the next datagram comes from, or "none"."""
    try:
        return plain(client.recvfrom(2048)[1][0])
    except (TimeoutError, ConnectionRefusedError):
        return "none"


def hears(sock, seconds=PATIENCE):
    """The next datagram, or "none"."""
    sock.settimeout(seconds)
    try:
        return sock.recv(2048)
    except (TimeoutError, ConnectionRefusedError):
        return "none"
    finally:
        sock.settimeout(PATIENCE)


def hear(server):
    """The peer that the next datagram on a server is from."""
    return server.recvfrom(2048)[1]


def disconnect(sock):
    """connect(AF_UNSPEC), which Python has no name for."""
    nobody = struct.pack("=H14x", socket.AF_UNSPEC)
    if LIBC.connect(sock.fileno(), nobody, len(nobody)) != 0:
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


def free_port(family):
    """A server on a port that it has asked for by number: the kernel gives such a port back after AF_UNSPEC."""
    for _ in range(20):
        probe = family.server()
        port = probe.getsockname()[1]
        probe.close()
        try:
            return family.server(port)
        except OSError:
            continue
    raise OSError("no free port")


def ip(*arguments, may_fail=False):
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(["ip", *arguments], env=environment, stderr=subprocess.PIPE, text=True, timeout=10)
    if done.returncode != 0 and not may_fail:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr}")
    return done.returncode == 0


def addresses():
    """The namespace that the driver made: IPv4 addresses on an interface, of which two are secondary ones (lo would
    take the whole network for its own), and IPv6 addresses on lo."""
    ip("link", "set", "lo", "up")
    if not ip("link", "add", "many", "type", "veth", "peer", "name", "many-peer", may_fail=True):
        skip("cannot make a veth pair")
    for last in "123":
        ip("address", "add", f"192.0.2.{last}/24", "dev", "many")
    for end_ in ("many", "many-peer"):
        ip("link", "set", end_, "up")
    if not os.path.exists("/proc/sys/net/ipv6"):
        return
    for last in "123":
        ip("address", "add", f"2001:db8::{last}/128", "dev", "lo", "nodad")
    await_addresses([f"2001:db8::{last}" for last in "123"])


def await_addresses(wanted):
    """The kernel makes the route by which it takes in what is sent to an IPv6 address a moment after the address (in a
    queue of work, net/ipv6/addrconf.c). What is sent to it before that is lost."""
    rtf_local = 0x80000000
    wanted = {socket.inet_pton(socket.AF_INET6, address).hex() for address in wanted}
    for _ in range(500):
        with open("/proc/net/ipv6_route", encoding="ascii") as table:
            routes = [line.split() for line in table]
        if wanted <= {route[0] for route in routes if int(route[8], 16) & rtf_local}:
            return
        time.sleep(0.01)
    raise OSError("the addresses are not ready")


def await_links(devices):
    """The same of a link that has come up: what is sent before it is at work is lost."""
    siocgifflags, iff_running = 0x8913, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _ in range(500):
            answers = [fcntl.ioctl(control, siocgifflags, struct.pack("16s24x", name.encode())) for name in devices]
            if all(struct.unpack_from("=H", answer, 16)[0] & iff_running for answer in answers):
                return
            time.sleep(0.01)
    raise OSError("the links do not come up")


def veth_pair():
    if not ip("link", "add", "end0", "type", "veth", "peer", "name", "end1", may_fail=True):
        skip("cannot make a veth pair")
    for end_ in ("end0", "end1"):
        ip("link", "set", end_, "addrgenmode", "none")
    # Deprecated ones, so that the kernel prefers fe80::2.
    for last in "34":
        ip("address", "add", f"fe80::{last}/64", "dev", "end0", "nodad", "preferred_lft", "0")
    ip("address", "add", "fe80::2/64", "dev", "end0", "nodad")
    ip("address", "add", "fe80::1/64", "dev", "end1", "nodad")
    for end_ in ("end0", "end1"):
        ip("link", "set", end_, "up")
    await_addresses(["fe80::1", "fe80::2", "fe80::3", "fe80::4"])
    await_links(["end0", "end1"])


FAR, FAR_V6 = "203.0.113.1", "2001:db8:f::1"


def far_address(action, address=FAR):
    """`action`: add or delete. While it is gone, nothing can be sent to it."""
    ip("address", action, address, "dev", "lo", *(["nodad"] if address == FAR_V6 else []))


def far_client(address=FAR):
    """A client at an address that can be taken away."""
    far_address("add", address)
    if address == FAR_V6:
        await_addresses([FAR_V6])
    client = socket.socket(socket.AF_INET if address == FAR else socket.AF_INET6, socket.SOCK_DGRAM)
    client.bind((address, 0))
    client.settimeout(PATIENCE)
    return client


def any_ip_route():
    """Makes each address of 2001:db8:7::/64 local by a route ("AnyIP")."""
    addresses()
    if not ip("-6", "route", "add", "local", "2001:db8:7::/64", "dev", "lo", may_fail=True):
        skip("no such route here")


def family(name):
    """The family of that name, with what it needs made in the namespace."""
    if "6" in name or name in ("dual", "mapped"):
        if not os.path.exists("/proc/sys/net/ipv6"):
            skip("this kernel has no IPv6")
    if name in ("v6", "v4_secondary", "mapped", "v6_link_local"):
        addresses()
    if name == "v6_link_local":
        veth_pair()
    return FAMILIES[name]


def in_child(work):
    """Runs work() in a forked child, which says itself what it expects. Returns its wait status."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        before = failures
        try:
            work()
        except BaseException as error:  # pylint: disable=broad-except
            print(f"FAIL: in the child: {error!r}", flush=True)
            os._exit(1)
        os._exit(1 if failures > before else 0)
    return os.waitpid(child, 0)[1]


def run(tests):
    """The test that the command line asks for, with the rest of it as arguments."""
    tests[TOPICS[0]](*TOPICS[1:])
    end()
