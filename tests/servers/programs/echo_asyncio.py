# SPDX-License-Identifier: MIT
"""Echo from an event loop, on one socket for both families."""
import asyncio
import sys


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        # Later, as a server that has to look something up first.
        asyncio.get_running_loop().call_later(0.01, self.transport.sendto, data, addr)


async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(sys.argv[2], int(sys.argv[1])))
    await asyncio.Event().wait()


asyncio.run(main())
