# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=tftpd-hpa
needs=(in.tftpd:tftpd-hpa /usr/bin/tftp:tftp-hpa)
api='recvmsg with IP_PKTINFO; a second socket, bound and connected'
bare=right
serves=family
version() { in.tftpd --version | sed -n 's/^tftp-hpa \([^ ,]*\).*/\1/p'; }
serve() {
    head -c 5000 /dev/zero | tr '\0' x >"$dir/file"
    chmod 644 "$dir/file"
    run in.tftpd -L --user nobody --secure --address "$(host_port "$wildcard")" "-${family#v}" "$dir"
    # It asks for packet information too late for the very first request, and gets that one wrong on its own.
    case $family in
    v4) on_client tftp 192.0.2.2 "$LAB_PORT" -m binary -c get file /dev/null ;;
    v6) on_client tftp 2001:db8:1::2 "$LAB_PORT" -m binary -c get file /dev/null ;;
    esac
}
# Several blocks: the client acknowledges each of them to the address that it has asked.
question() {
    local got=$LAB_DIR/got.$BASHPID
    on_client timeout "$patience" tftp "$1" "$LAB_PORT" -m binary -c get file "$got" || true
    cmp "$got" "$dir/file" && say 'file received'
}
