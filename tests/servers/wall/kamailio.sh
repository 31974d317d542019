# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=kamailio
needs=(kamailio:kamailio sipsak:sipsak socat:socat)
api='recvfrom, sendto'
version() { kamailio -v | sed -n '1s/^version: kamailio \([^ ]*\).*/\1/p'; }
serve() {
    local modules
    modules=$(dirname "$(dpkg -L kamailio | grep '/sl\.so$')")
    {
        printf 'children=2\nauto_aliases=no\nlog_stderror=yes\nmpath="%s"\nloadmodule "sl.so"\n' "$modules"
        printf 'listen=udp:%s\n' "0.0.0.0:$LAB_PORT" ${v6:+"[::]:$LAB_PORT"}
        printf 'request_route { sl_send_reply("200", "OK"); }\n'
    } >"$dir/kamailio.cfg"
    run -s ${#wildcards[@]} kamailio -DD -E -f "$dir/kamailio.cfg" -w "$dir" -Y "$dir"
}
question() { through_relay "$1" sipsak -H 127.0.0.1 -s sip:wall@127.0.0.1:RELAY; }
