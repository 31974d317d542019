# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='srt-live-transmit (libsrt)'
needs=(srt-live-transmit:srt-tools)
api='recvmsg, sendmsg'
serves=one # one connection
version() { srt-live-transmit -version 2>&1 | sed -n 's/^SRT Library version: \([^,]*\).*/\1/p'; }
serve() { run srt-live-transmit "srt://${wildcard/::/[::]}:$LAB_PORT?mode=listener" file://con; }
question() {
    until_it_says 'SRT target connected' srt-live-transmit -v file://con "srt://$(host_port "$1")?mode=caller"
}
