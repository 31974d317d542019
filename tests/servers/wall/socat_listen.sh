# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='socat UDP-LISTEN,fork'
needs=(socat:socat)
api='recvfrom with MSG_PEEK, connect in a child, read, write'
serves=family
version() { socat -V | sed -n 's/^socat version \([^ ]*\).*/\1/p'; }
serve() { run socat "UDP${family#v}-LISTEN:$LAB_PORT,fork" PIPE; }
question() { converse socat - "UDP:$(host_port "$1")"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
