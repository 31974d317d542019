# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='chronyd -F 1'
needs=('/lib/*/libseccomp.so.2:libseccomp2' '/lib/*/libgnutls.so.30:libgnutls30')
unpacked=(chronyd:chrony) # it conflicts with other servers of time
api='recvmmsg, sendmsg with IP_PKTINFO, under a filter of system calls'
bare=right
version() { chronyd --version | sed -n 's/.*version \([^ ]*\).*/\1/p'; }
# It leaves the clock alone (-x), gives up root, and kills itself at a call that its filter does not know.
serve() {
    printf '%s\n' 'allow all' 'local stratum 10' 'cmdport 0' "port $LAB_PORT" "pidfile $dir/pid" >"$dir/chrony.conf"
    run -s ${#wildcards[@]} "$(unconfined chronyd)" -d -x -F 1 -u nobody -f "$dir/chrony.conf"
}
# A client says how wrong its clock is, and leaves it at that (-Q).
question() {
    on_client timeout "$patience" "$(unconfined chronyd)" -Q -t "$patience" -u root \
        "server $1 port $LAB_PORT iburst maxsamples 1" "pidfile $dir/pid.$BASHPID"
}
