# SPDX-License-Identifier: MIT
# Echo on one socket.
package require udp

lassign $argv port wildcard
set server [expr {$wildcard eq "::" ? [udp_open $port ipv6] : [udp_open $port]}]
fconfigure $server -buffering none -translation binary
fileevent $server readable {
    set data [read $server]
    fconfigure $server -remote [fconfigure $server -peer]
    puts -nonewline $server $data
}
vwait forever
