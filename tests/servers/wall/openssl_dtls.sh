# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='openssl s_server -dtls'
needs=(openssl:openssl)
api='recvfrom, sendto'
version() { openssl version | cut -d ' ' -f 2; }
serves=one # one client at a time
serve() {
    self_signed
    run "$programs/echo_back" openssl s_server -quiet -dtls "-${family#v}" -accept "$LAB_PORT" \
        -cert "$dir/cert.pem" -key "$dir/key.pem"
}
question() { converse openssl s_client -quiet -dtls -connect "$(host_port "$1")"; }
