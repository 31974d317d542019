# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=mosh-server
needs=(mosh-server:mosh script:bsdutils socat:socat)
api='recvmsg, sendto'
serves=one # one client
version() { mosh-server --version | sed -n '1s/.*(mosh \(.*\)).*/\1/p'; }
# It tells the key, and goes into the background. It waits for the client before it starts the command.
serve() {
    # shellcheck disable=SC2016 # for the inner shell
    run sh -c 'mosh-server new -i "$1" -p "$2" -- sh -c "echo from-the-wall; sleep 0.5"; exec sleep 60' sh \
        "$wildcard" "$LAB_PORT"
}
question() {
    local key
    key=$(sed -n "s/^MOSH CONNECT $LAB_PORT //p" "$(log_of "$WALL_RUN")")
    # shellcheck disable=SC2016 # for the inner shell
    MOSH_KEY=$key TERM=xterm through_relay "$1" sh -c '
        script -qc "stty rows 24 cols 80; exec mosh-client 127.0.0.1 $1" /dev/null </dev/null |
            grep -aom 1 from-the-wall
    ' sh RELAY
}
