# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='gnutls-serv --udp --echo'
needs=(gnutls-serv:gnutls-bin openssl:openssl)
api='recvfrom with MSG_PEEK, recvfrom, sendto'
serves=one # it mixes up two clients at once
version() { gnutls-serv --version | sed -n '1s/.* //p'; }
serve() {
    self_signed
    run -s ${#wildcards[@]} gnutls-serv --udp --echo --port "$LAB_PORT" --x509certfile "$dir/cert.pem" \
        --x509keyfile "$dir/key.pem"
}
question() { converse gnutls-cli --udp --insecure --port "$LAB_PORT" "$1"; }
