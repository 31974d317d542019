# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='openvpn without --multihome'
needs=(openvpn:openvpn openssl:openssl)
api='recvfrom, sendto'
serves=one # a tunnel to one peer
version() { openvpn --version | sed -n '1s/^OpenVPN \([^ ]*\).*/\1/p'; }
tunnel() { # one end; both have the same certificate
    local fingerprint
    fingerprint=$(openssl x509 -in "$dir/cert.pem" -noout -sha256 -fingerprint)
    printf '%s\n' openvpn --dev null --proto "udp${family#v}" --dh none --cert "$dir/cert.pem" --key "$dir/key.pem" \
        --peer-fingerprint "${fingerprint#*=}" "$@"
}
serve() {
    local command
    self_signed
    mapfile -t command < <(tunnel --tls-server --port "$LAB_PORT")
    run "${command[@]}"
}
question() {
    local command
    mapfile -t command < <(tunnel --tls-client --remote "$1" "$LAB_PORT" --nobind)
    until_it_says 'Initialization Sequence Completed' "${command[@]}"
}
