# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='netcat-openbsd, nc -u -l'
needs=(/bin/nc.openbsd:netcat-openbsd)
api='recvfrom with MSG_PEEK, connect, read, write'
serves=one # its socket stays with the first client
version() { dpkg-query -W -f '${Version}' netcat-openbsd | sed 's/-.*/\n/'; }
serve() { run "$programs/echo_back" /bin/nc.openbsd "-${family#v}" -u -l "$wildcard" "$LAB_PORT"; }
question() { converse /bin/nc.openbsd -u "$1" "$LAB_PORT"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
