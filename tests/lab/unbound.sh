# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # the variables are for whoever sources this
#
# unbound as the lab has it: on the wildcard addresses, with one name of its own (www.demo.test). Sourced after lab.sh, and
# before the sourcing script sets `addresses` of its own.

addresses=(192.0.2.2 192.0.2.3 198.51.100.2)
families=1
if [ -e /proc/sys/net/ipv6 ]; then
    addresses+=(2001:db8:1::2 2001:db8:1::3 2001:db8:2::2)
    families=2
fi

# What each configuration has. The section `server` comes last, so that more settings can follow.
unbound_settings() { # DIRECTORY PORT: the directory as unbound sees it
    cat <<CONF
remote-control:
    control-enable: no
server:
    port: $2
    access-control: 0.0.0.0/0 allow
    access-control: ::0/0 allow
    module-config: "iterator"
    directory: "$1"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
CONF
}

unbound_configuration() { # DIRECTORY
    unbound_settings "$1" "$LAB_PORT"
    printf '    %s\n' 'interface: 0.0.0.0' 'local-zone: "demo.test." static' \
        'local-data: "www.demo.test. IN A 192.0.2.80"'
    [ "$families" -eq 1 ] || printf '    interface: ::0\n'
}
