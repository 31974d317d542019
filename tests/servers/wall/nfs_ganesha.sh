# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='NFS-Ganesha'
needs=(ganesha.nfsd:nfs-ganesha)
api='recvmsg, sendmsg with IP_PKTINFO; v6: with an empty IPV6_PKTINFO'
bare=right
bare_v6=wrong
version() { ganesha.nfsd -v | sed -n 's/^NFS-Ganesha Release = V//p'; }
serve() {
    cat >"$dir/ganesha.conf" <<CONF
NFS_CORE_PARAM { Protocols = 4; NFS_Port = $LAB_PORT; Enable_UDP = true; Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = "$dir"; }
CONF
    run -s 1 ganesha.nfsd -F -f "$dir/ganesha.conf" -L STDOUT -p "$dir/pid"
}
# The procedure that does nothing of version 4 (RFC 5531); the first two bytes are the client's.
question() { by_ask "$1" --request 000000010000000000000002000186a3000000040000000000000000000000000000000000000000; }
