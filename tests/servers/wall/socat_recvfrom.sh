# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='socat UDP-RECVFROM,fork'
needs=(socat:socat)
api='recvmsg with MSG_PEEK, then recvfrom, sendto in a child'
serves=family
version() { socat -V | sed -n 's/^socat version \([^ ]*\).*/\1/p'; }
serve() { run socat "UDP${family#v}-RECVFROM:$LAB_PORT,fork" PIPE; }
question() { converse socat - "UDP:$(host_port "$1")"; }
