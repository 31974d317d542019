// SPDX-License-Identifier: MIT
// Echo on one non-blocking channel for both families.
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;

class EchoDatagramChannel {
    public static void main(String[] arguments) throws Exception {
        try (Selector selector = Selector.open(); DatagramChannel server = DatagramChannel.open()) {
            server.bind(new InetSocketAddress(Integer.parseInt(arguments[0])));
            server.configureBlocking(false);
            server.register(selector, SelectionKey.OP_READ);
            ByteBuffer buffer = ByteBuffer.allocateDirect(65536);
            while (true) {
                selector.select();
                selector.selectedKeys().clear();
                SocketAddress peer;
                while ((peer = server.receive(buffer.clear())) != null) {
                    server.send(buffer.flip(), peer);
                }
            }
        }
    }
}
