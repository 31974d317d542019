# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=knot
needs=(knotd:knot dig:bind9-dnsutils)
api='recvmmsg, sendmmsg with IP_PKTINFO'
bare=right
version() { knotd --version | sed 's/.* //'; }
serve() {
    cat >"$dir/wall.zone" <<'ZONE'
$ORIGIN wall.test.
@ 60 SOA ns root 1 3600 600 86400 60
@ 60 NS ns
ns 60 A 192.0.2.2
www 60 A 192.0.2.80
ZONE
    {
        printf 'server:\n  rundir: %s\n  udp-workers: 2\n  tcp-workers: 1\n  background-workers: 1\n' "$dir"
        printf '  listen: "%s"\n' "${wildcards[@]/%/@$LAB_PORT}"
        printf 'database:\n  storage: %s\n' "$dir"
        printf 'zone:\n- domain: wall.test\n  storage: %s\n  file: wall.zone\n  zonefile-load: whole\n' "$dir"
    } >"$dir/knot.conf"
    run -s ${#wildcards[@]} "$(unconfined knotd)" -c "$dir/knot.conf"
}
question() { by_dig "$1" www.wall.test; }
