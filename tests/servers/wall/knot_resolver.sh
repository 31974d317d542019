# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='knot-resolver (libuv)'
needs=(kresd:knot-resolver dig:bind9-dnsutils)
api='recvmsg, sendmmsg through syscall(2)'
version() { kresd --version | sed 's/.* //'; }
serve() {
    {
        printf "net.listen('%s', $LAB_PORT, { kind = 'dns', freebind = false })\n" "${wildcards[@]}"
        printf '%s\n' "cache.open(10 * MB, 'lmdb://$dir')" "modules = { 'hints > iterate' }" \
            "hints.config()" "hints['www.wall.test'] = '192.0.2.80'" "trust_anchors.remove('.')"
    } >"$dir/kresd.conf"
    run -s ${#wildcards[@]} "$(unconfined kresd)" -n -c "$dir/kresd.conf" "$dir"
}
question() { by_dig "$1" www.wall.test; }
