# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='net-snmp snmpd'
needs=(snmpd:snmpd snmpget:snmp socat:socat)
api='v4: recvmsg, sendmsg with IP_PKTINFO; v6: recvfrom, sendto'
bare=right
bare_v6=wrong
version() { snmpd -v | sed -n 's/^NET-SNMP version: *//p'; }
serve() {
    printf 'rocommunity public\nrocommunity6 public\nsysname wall\n' >"$dir/snmpd.conf"
    run -s ${#wildcards[@]} env MIBS='' SNMP_PERSISTENT_DIR="$dir" SNMPCONFPATH="$dir" \
        snmpd -f -Lo -I -smux -C -c "$dir/snmpd.conf" "udp:$LAB_PORT" ${v6:+"udp6:$LAB_PORT"}
}
question() {
    local name
    name=$(through_relay "$1" env MIBS='' SNMP_PERSISTENT_DIR="$dir" SNMPCONFPATH="$dir" \
        snmpget -v 2c -c public -t "$patience" -Oqv udp:127.0.0.1:RELAY 1.3.6.1.2.1.1.5.0 2>&1) || true
    say "sysName $name"
    [ "$name" = '"wall"' ]
}
