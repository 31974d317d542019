# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='iperf3 -u'
needs=(iperf3:iperf3)
api='recvfrom, connect, read, write'
serves=one # it turns a second client away
version() { iperf3 --version | sed -n '1s/^iperf \([^ ]*\).*/\1/p'; }
serve() { run_tcp iperf3 -s -p "$LAB_PORT"; }
# First the client sends, then the server.
question() {
    local way
    for way in '' -R; do
        # shellcheck disable=SC2086 # none or one option
        on_client timeout "$patience" iperf3 -u -c "$1" -p "$LAB_PORT" -n 32K -l 1000 -b 10M $way || return
    done
    say 'both ways'
}
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
