# SPDX-License-Identifier: MIT
# Echo on one socket, which serves both families when the wildcard is an IPv6 one. (Socket.udp_server is another matter:
# it uses packet information itself.)
require 'socket'

port, wildcard = ARGV
server = UDPSocket.new(wildcard.include?(':') ? Socket::AF_INET6 : Socket::AF_INET)
server.setsockopt(Socket::IPPROTO_IPV6, Socket::IPV6_V6ONLY, 0) if wildcard.include?(':')
server.bind(wildcard, Integer(port))
loop do
  data, peer = server.recvfrom(65536)
  server.send(data, 0, peer[3], peer[1])
end
