# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='libcoap coap-server'
needs=(coap-server-notls:libcoap3-bin coap-client-notls:libcoap3-bin)
api='recvmsg, sendmsg with IP_PKTINFO'
bare=right
version() { dpkg-query -W -f '${Version}' libcoap3-bin | sed 's/-.*/\n/'; }
serve() { run coap-server-notls -p "$LAB_PORT"; }
question() {
    local output
    output=$(on_client timeout "$patience" coap-client-notls -m get "coap://$(host_port "$1")/" 2>&1) || true
    say "$output"
    [[ $output == *'This is a test server'* ]]
}
