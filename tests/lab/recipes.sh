# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of the kernel recipes share. To be sourced after lab.sh. The recipes work without the shim: they are
# what it replaces, and what these tests keep honest. `multihomectl recipe` makes them.

# A kernel that lacks a part of netfilter is a reason to skip. It is asked for rules of this file's own, with all the parts that
# the tests and the recipes use, in a network namespace that goes at once. What it does not take after that is a failure.
need_netfilter() { # nft|iptables...
    local tool output
    for tool in "$@"; do
        need "$tool"
        # shellcheck disable=SC2016 # for the inner shell
        output=$(unshare -n bash -euc '. "$0"; try_"$1"' "$LAB_HERE/recipes.sh" "$tool" 2>&1) ||
            skip "this kernel cannot do all rules of $tool: $(head -n 2 <<<"$output" | paste -sd ' ')"
    done
}

try_nft() {
    local ip address
    for ip in ip ip6; do
        [ "$ip" = ip ] && address=192.0.2.1 || address=2001:db8::1
        [ "$ip" = ip ] || [ -e /proc/sys/net/ipv6 ] || continue
        nft -f - <<RULES
table $ip try {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        $ip daddr $address udp dport 7 return
        udp dport 8 redirect to :10
        iifname "lo" udp dport { 9 } fib daddr type local $ip saddr $address counter dnat to $address
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        udp sport 9 counter snat to $address
    }
    chain input {
        type filter hook input priority mangle; policy accept;
        iifname "lo" meta l4proto udp ct direction original ct mark set 1
    }
    chain output {
        type route hook output priority mangle; policy accept;
        meta l4proto udp ct direction reply ct mark 1 meta mark set ct mark
    }
}
RULES
    done
}

try_iptables() {
    local tables address
    for tables in iptables ip6tables; do
        [ "$tables" = iptables ] && address=192.0.2.1 || address=2001:db8::1
        [ "$tables" = iptables ] || [ -e /proc/sys/net/ipv6 ] || continue
        "$tables" -w -t nat -A PREROUTING -d "$address" -j RETURN -m comment --comment try
        "$tables" -w -t nat -A PREROUTING -i lo -p udp -m multiport --dports 9 -s "$address" \
            -m addrtype --dst-type LOCAL -j DNAT --to-destination "$address"
        "$tables" -w -t nat -A POSTROUTING -p udp --sport 9 -j SNAT --to-source "$address"
        "$tables" -w -t mangle -A INPUT -p udp -m conntrack --ctdir ORIGINAL -j CONNMARK --set-mark 1
        "$tables" -w -t mangle -A OUTPUT -p udp -m conntrack --ctdir REPLY -m connmark --mark 1 -j CONNMARK --restore-mark
        "$tables" -w -t mangle -A INPUT -p udp --dport 9 -j MARK --set-mark 9
    done
}

# Flows that are already tracked keep the treatment that they began with.
forget_flows() { on_server conntrack -F >/dev/null 2>&1 || fail "conntrack -F failed"; }

# Runs a command on the server with a /run of the test's own, where the journal of a recipe is.
with_own_run() { # CMD...
    mkdir -p "$LAB_DIR/run"
    # shellcheck disable=SC2016 # for the inner shell
    on_server sh -c 'mount --bind "$0" /run && exec "$@"' "$LAB_DIR/run" "$@"
}

# As the first of a namespace of processes: what is written for the next boot is for the network that this one is in.
# shellcheck disable=SC2034 # for the tests
as_first=(unshare --pid --fork --kill-child --mount-proc)

recipe() { with_own_run "$MULTIHOMECTL" recipe "$@"; }

apply_recipe() { # RECIPE OPTION...
    local output
    output=$(recipe "$@" --apply 2>&1) || fail "recipe $*: $output"
}

# All that a recipe may touch, as the host's own tools print it. Without what changes by itself: the dates and packet
# counts of iptables-save, and the cached times of routes.
snapshot() { # FOLDER OF SYSCTLS...
    # shellcheck disable=SC2016 # for the inner shell
    on_server sh -c '
        nft list ruleset
        for save in iptables-save ip6tables-save; do $save | sed "/^#/d; s/ \[[0-9]*:[0-9]*\]$//"; done
        for family in -4 -6; do ip $family rule; ip $family route show table all | sed "s/ expires [0-9]*sec//"; done
        cd /proc/sys/net && find "$@" -type f -perm -0400 ! -name "nf_conntrack_count" \
            ! -name "*stable_secret" ! -name "tcp_fastopen_key" -exec grep -H "" {} + 2>/dev/null | sort
        ls -R /run/multihome 2>/dev/null || true' sh "$@"
}
