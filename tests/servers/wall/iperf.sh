# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='iperf -u (2)'
needs=(iperf:iperf)
api='recvfrom, connect, recvmsg, write'
serves=one # it loses what another client sends while it changes sockets
version() { iperf --version 2>&1 | sed -n 's/^iperf version \([^ ]*\).*/\1/p'; }
serve() {
    case $family in
    v4) run iperf -s -u -p "$LAB_PORT" ;;
    v6) run iperf -s -u -V -p "$LAB_PORT" ;;
    esac
}
question() {
    local output
    output=$(on_client timeout "$patience" iperf -u -c "$1" -p "$LAB_PORT" -n 32K -b 10M 2>&1) || true
    say "$output"
    [[ $output == *'Server Report'* && $output != *'did not receive ack'* ]]
}
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
