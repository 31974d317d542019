# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=freeradius
needs=(freeradius:freeradius radclient:freeradius-utils socat:socat)
api='recvfrom with MSG_PEEK, recvmsg, sendmsg with IP_PKTINFO'
bare=right
version() { freeradius -v | sed -n '1s/.*Version \([^,]*\).*/\1/p'; }
serve() {
    local family
    {
        printf 'prefix = /usr\nlocalstatedir = %s\nlogdir = %s\nrun_dir = %s\n' "$dir" "$dir" "$dir"
        printf 'libdir = /usr/lib/freeradius\nlog {\n destination = stdout\n}\n'
        printf 'security {\n allow_vulnerable_openssl = yes\n}\n'
        printf 'thread pool {\n start_servers = 2\n max_servers = 2\n min_spare_servers = 1\n'
        printf ' max_spare_servers = 2\n}\n'
        printf 'modules {\n pap {\n }\n files {\n  filename = %s/users\n }\n}\nserver wall {\n' "$dir"
        for family in ipv4 ${v6:+ipv6}; do
            printf ' listen {\n  type = auth\n  %saddr = *\n  port = %s\n }\n' "$family" "$LAB_PORT"
        done
        printf ' authorize {\n  files\n  pap\n }\n authenticate {\n  Auth-Type PAP {\n   pap\n  }\n }\n}\n'
        for family in ipv4 ${v6:+ipv6}; do
            printf 'client %s {\n %saddr = *\n secret = wall\n}\n' "$family" "$family"
        done
    } >"$dir/radiusd.conf"
    printf 'bob Cleartext-Password := "hello"\n' >"$dir/users"
    run -s ${#wildcards[@]} freeradius -f -d "$dir" -n radiusd
}
question() {
    printf 'User-Name=bob,User-Password=hello\n' |
        through_relay "$1" radclient -r 1 -t "$patience" 127.0.0.1:RELAY auth wall
}
