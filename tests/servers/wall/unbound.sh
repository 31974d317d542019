# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=unbound
needs=(unbound:unbound dig:bind9-dnsutils)
api='recvfrom, sendto'
version() { unbound -V | sed -n 's/^Version //p'; }
serve() {
    {
        printf 'server:\n'
        printf '  interface: %s\n' "${wildcards[@]}"
        printf '  access-control: %s allow\n' 0.0.0.0/0 ::/0
        printf '  %s\n' "port: $LAB_PORT" 'module-config: "iterator"' "directory: \"$dir\"" 'chroot: ""' \
            'username: ""' 'pidfile: ""' 'use-syslog: no' 'do-daemonize: no' 'num-threads: 2' \
            'local-zone: "wall.test." static' 'local-data: "www.wall.test. IN A 192.0.2.80"'
        printf 'remote-control:\n  control-enable: no\n'
    } >"$dir/unbound.conf"
    run -s ${#wildcards[@]} "$(unconfined unbound)" -c "$dir/unbound.conf"
}
question() { by_dig "$1" www.wall.test; }
