// SPDX-License-Identifier: MIT
// Echo: two threads on one socket, which serves both families when the wildcard is an IPv6 one. One waits in the call,
// the other lets the runtime wait.
using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;

static class Echo
{
    static Socket server;

    static EndPoint Nobody(IPAddress wildcard) => new IPEndPoint(wildcard, 0);

    static void Main(string[] arguments)
    {
        IPAddress wildcard = IPAddress.Parse(arguments[1]);
        server = new Socket(wildcard.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        if (wildcard.AddressFamily == AddressFamily.InterNetworkV6)
            server.DualMode = true;
        server.Bind(new IPEndPoint(wildcard, int.Parse(arguments[0])));
        new Thread(() => Later(wildcard)).Start();
        byte[] data = new byte[65536];
        while (true)
        {
            EndPoint peer = Nobody(wildcard);
            int length = server.ReceiveFrom(data, ref peer);
            server.SendTo(data, length, SocketFlags.None, peer);
        }
    }

    static void Later(IPAddress wildcard)
    {
        byte[] data = new byte[65536];
        while (true)
        {
            EndPoint peer = Nobody(wildcard);
            IAsyncResult waiting = server.BeginReceiveFrom(data, 0, data.Length, 0, ref peer, null, null);
            int length = server.EndReceiveFrom(waiting, ref peer);
            server.SendTo(data, length, SocketFlags.None, peer);
        }
    }
}
