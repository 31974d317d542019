# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=coturn
needs=(turnserver:coturn turnutils_stunclient:coturn socat:socat)
api='recvmsg, sendto'
version() { turnserver --version 2>/dev/null | tail -n 1; }
serve() {
    run -s ${#wildcards[@]} turnserver -n "${wildcards[@]/#/-L}" -p "$LAB_PORT" --no-tcp --no-tls --no-dtls \
        --no-cli --no-rfc5780 --userdb "$dir/db" --pidfile "$dir/pid" --log-file stdout
}
question() {
    local output
    output=$(through_relay "$1" turnutils_stunclient -p RELAY 127.0.0.1 2>&1) || true
    say "$output"
    [[ $output == *'UDP reflexive addr'* ]]
}
