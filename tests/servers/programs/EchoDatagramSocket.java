// SPDX-License-Identifier: MIT
// Echo on one socket for both families.
import java.net.DatagramPacket;
import java.net.DatagramSocket;

class EchoDatagramSocket {
    public static void main(String[] arguments) throws Exception {
        try (DatagramSocket server = new DatagramSocket(Integer.parseInt(arguments[0]))) {
            while (true) {
                DatagramPacket packet = new DatagramPacket(new byte[65536], 65536);
                server.receive(packet);
                server.send(packet);
            }
        }
    }
}
