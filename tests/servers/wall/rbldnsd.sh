# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # for and from wall.sh, and a zone file with dollars
title=rbldnsd
needs=(rbldnsd:rbldnsd dig:bind9-dnsutils)
api='recvfrom, sendto'
serves=family
version() { rbldnsd -h | sed -n '1s/.* version \([^ ]*\).*/\1/p'; }
serve() {
    printf '$SOA 60 ns.wall.test root.wall.test 0 600 300 86400 60\n:192.0.2.80:listed\nwww\n' >"$dir/list"
    chmod 644 "$dir/list"
    run rbldnsd -n -f -b "$wildcard/$LAB_PORT" -w "$dir" wall.test:dnset:list
}
question() { by_dig "$1" www.wall.test; }
