# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='openssl s_server -dtls -listen'
needs=(openssl:openssl)
api='recvfrom, sendto, connect, read, write'
version() { openssl version | cut -d ' ' -f 2; }
serves=one # one client at a time
serve() {
    self_signed
    run "$programs/echo_back" openssl s_server -quiet -dtls "-${family#v}" -accept "$LAB_PORT" \
        -cert "$dir/cert.pem" -key "$dir/key.pem" -listen
}
question() { converse openssl s_client -quiet -dtls -connect "$(host_port "$1")"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
