# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='ncat -u -l -k -e'
needs=(ncat:ncat)
api='recvfrom with MSG_PEEK, connect, recv, send'
# It asks for an IPv6 peer's address with the room that the IPv4 peer before it took, and goes on with what is left in
# its buffer of an earlier one.
serves=family
version() { ncat --version 2>&1 | sed -n 's/^Ncat: Version \([^ ]*\).*/\1/p'; }
serve() { run ncat "-${family#v}" -u -l -k -e /bin/cat "$LAB_PORT"; }
question() { converse ncat -u "$1" "$LAB_PORT"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
