# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # the variables are for whoever sources this
#
# unbound as the lab has it: on the wildcard addresses, with one name of its own (www.demo.test). Sourced after lab.sh.

addresses=(192.0.2.2 192.0.2.3 198.51.100.2)
families=1
if [ -e /proc/sys/net/ipv6 ]; then
    addresses+=(2001:db8:1::2 2001:db8:1::3 2001:db8:2::2)
    families=2
fi

unbound_configuration() { # DIRECTORY: as unbound sees it
    cat <<CONF
server:
    interface: 0.0.0.0
    port: $LAB_PORT
    access-control: 0.0.0.0/0 allow
    access-control: ::0/0 allow
    module-config: "iterator"
    local-zone: "demo.test." static
    local-data: "www.demo.test. IN A 192.0.2.80"
    directory: "$1"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
CONF
    [ "$families" -eq 1 ] || printf '    interface: ::0\n'
    printf 'remote-control:\n    control-enable: no\n'
}
