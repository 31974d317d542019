# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=dnsmasq
needs=(dnsmasq:dnsmasq-base dig:bind9-dnsutils)
api='recvmsg, sendmsg with IP_PKTINFO'
bare=right
version() { dnsmasq --version | sed -n 's/^Dnsmasq version \([^ ]*\).*/\1/p'; }
serve() {
    run -s ${#wildcards[@]} "$(unconfined dnsmasq)" --keep-in-foreground --conf-file=/dev/null --port="$LAB_PORT" \
        --user=root --no-resolv --no-hosts --pid-file= --log-facility=- --address=/www.wall.test/192.0.2.80
}
question() { by_dig "$1" www.wall.test; }
