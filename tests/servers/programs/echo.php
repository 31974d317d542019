<?php
// SPDX-License-Identifier: MIT
// Echo on one socket.
$server = stream_socket_server("udp://$argv[1]", $errno, $error, STREAM_SERVER_BIND) or die($error);
while (($data = stream_socket_recvfrom($server, 65536, 0, $peer)) !== false) {
    stream_socket_sendto($server, $data, 0, $peer);
}
