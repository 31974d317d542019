# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='iperf3 -u'
needs=(iperf3:iperf3)
api='recvfrom, connect, read, write'
serves=one # it turns a second client away
version() { iperf3 --version | sed -n '1s/^iperf \([^ ]*\).*/\1/p'; }
serve() { run_tcp iperf3 -s -p "$LAB_PORT"; }
# Again as long as the server has not done with the last client.
transfer() { # ADDRESS [OPTION]
    local said status tries
    for ((tries = 0; tries < 100; tries++)); do
        status=0
        said=$(on_client timeout "$patience" iperf3 -u -c "$1" -p "$LAB_PORT" -n 32K -l 1000 -b 10M "${@:2}" 2>&1) || status=$?
        [[ $said == *'busy running a test'* ]] || break
        sleep 0.05
    done
    say "$said"
    return "$status"
}
# First the client sends, then the server.
question() {
    transfer "$1" || return
    transfer "$1" -R || return
    say 'both ways'
}
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
