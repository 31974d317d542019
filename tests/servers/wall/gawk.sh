# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='gawk /inet/udp'
needs=(gawk:gawk socat:socat)
api='recvfrom with MSG_PEEK, connect, read, write'
serves=one # its socket stays with the first client
version() { gawk --version | sed -n '1s/^GNU Awk \([^ ,]*\).*/\1/p'; }
serve() {
    run gawk -v "service=/inet${family#v}/udp/$LAB_PORT/0/0" \
        'BEGIN { while ((service |& getline) > 0) print |& service }'
}
question() { converse socat - "UDP:$(host_port "$1")"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
