# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=nsd
needs=(nsd:nsd dig:bind9-dnsutils)
api='recvfrom, sendto'
version() { nsd -v 2>&1 | sed -n 's/^NSD version //p'; }
serve() {
    cat >"$dir/wall.zone" <<'ZONE'
$ORIGIN wall.test.
@ 60 IN SOA ns root 1 3600 600 86400 60
@ 60 IN NS ns
ns 60 IN A 192.0.2.2
www 60 IN A 192.0.2.80
ZONE
    {
        printf 'server:\n'
        printf '  ip-address: %s\n' "${wildcards[@]}"
        printf '  %s\n' "port: $LAB_PORT" 'username: ""' 'chroot: ""' "zonesdir: \"$dir\"" 'server-count: 2' \
            "pidfile: \"$dir/nsd.pid\"" "database: \"\"" "zonelistfile: \"$dir/zone.list\"" \
            "xfrdfile: \"$dir/xfrd.state\"" "xfrdir: \"$dir\""
        printf 'remote-control:\n  control-enable: no\nzone:\n  name: wall.test\n  zonefile: wall.zone\n'
    } >"$dir/nsd.conf"
    run -s ${#wildcards[@]} "$(unconfined nsd)" -d -c "$dir/nsd.conf"
}
question() { by_dig "$1" www.wall.test; }
