# SPDX-License-Identifier: MIT
# Echo on one socket.
use strict;
use warnings;
use IO::Socket::IP;

my ($port, $wildcard) = @ARGV;
my $server = IO::Socket::IP->new(Proto => 'udp', LocalHost => $wildcard, LocalPort => $port) or die "bind: $@";
while (defined(my $peer = $server->recv(my $data, 65536))) {
    $server->send($data, 0, $peer);
}
