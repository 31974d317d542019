# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title=atftpd
needs=(/usr/bin/tftp:tftp-hpa '/lib/*/libwrap.so.0:libwrap0' '/lib/*/libpcre2-8.so.0:libpcre2-8-0')
unpacked=(atftpd:atftpd) # it conflicts with tftpd-hpa
api='recvmsg with IP_PKTINFO; a second socket, bound and connected'
bare=right
serves=family
families=v4
version() { atftpd --version | sed -n 's/^atftp-\([^ ]*\).*/\1/p'; }
serve() {
    head -c 5000 /dev/zero | tr '\0' x >"$dir/file"
    chmod 644 "$dir/file"
    run "$(unconfined atftpd)" --daemon --no-fork --user nobody.nogroup --logfile - --port "$LAB_PORT" "$dir"
}
# Several blocks: the client acknowledges each of them to the address that it has asked.
question() {
    local got=$LAB_DIR/got.$BASHPID
    on_client timeout "$patience" tftp "$1" "$LAB_PORT" -m binary -c get file "$got" || true
    cmp "$got" "$dir/file" && say 'file received'
}
