# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='xinetd, dgram wait'
needs=(xinetd:xinetd)
api='recvfrom, sendto in a child that gets the socket as its standard input'
serves=family
version() { dpkg-query -W -f '${Version}' xinetd | sed 's/^[0-9]*://; s/-.*/\n/'; }
serve() {
    cat >"$dir/xinetd.conf" <<CONF
service wall
{
    type = UNLISTED
    socket_type = dgram
    protocol = udp
    flags = IP$family
    port = $LAB_PORT
    wait = yes
    user = root
    server = $LAB_PYTHON
    server_args = $(realpath "$programs/echo_inherited.py")
}
CONF
    run xinetd -dontfork -f "$dir/xinetd.conf" -pidfile "$dir/pid"
}
question() { by_ask "$1"; }
