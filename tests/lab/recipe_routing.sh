#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `multihomectl recipe routing`: what has the second uplink's address leaves through it, with strict rp_filter.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need nft iptables
need_ipv6
need_shim
lab_topology_b
options=(--gateway 198.51.100.1 --gateway 2001:db8:2::1)
# A third link, which is no uplink, with a network behind it. Its clients ask the address of the second uplink, too.
ip link add eth2 netns "$LAB_SERVER" type veth peer name up2 netns "$LAB_CLIENT"
lab_link 2 10.77.0 2001:db8:77
on_server ip route add 10.88.0.0/24 via 10.77.0.1
ip -n "$LAB_CLIENT" address add 10.88.0.1/32 dev lo
ip -n "$LAB_CLIENT" route add 198.51.100.0/24 via 10.77.0.2 dev up2 metric 100
ip -n "$LAB_CLIENT" -6 route add 2001:db8:2::/64 via 2001:db8:77::2 dev up2 metric 2000
lab_await_addresses
expect_local_clients() {
    for source in 10.77.0.1 10.88.0.1; do
        expect_answer "198.51.100.2 via up2" 198.51.100.2 --via --interface up2 --source "$source"
    done
    expect_answer "2001:db8:2::2 via up2" 2001:db8:2::2 --via --interface up2 --source 2001:db8:77::1
}
with_shim start_server shim "${LAB_ECHO[@]}" --family dual
expect_local_clients
snapshot . >"$LAB_DIR/before"
expect_silence 198.51.100.2
recipe routing "${options[@]}" --verify || fail "--verify exits with $?"
recipe routing "${options[@]}" --apply
# Strict rp_filter has dropped the client's ARP, too; what it sends while that is being tried again is lost.
ip -n "$LAB_CLIENT" neigh flush dev up1
expect_answer "198.51.100.2 via up1" 198.51.100.2 --via
expect_answer "2001:db8:2::2 via up1" 2001:db8:2::2 --via
# What lies on the first uplink's link comes in through the second one where it asks this address.
expect_answer "198.51.100.2 via up1" 198.51.100.2 --via --interface up1 --source 192.0.2.1
expect_local_clients
# A host that has the rules needs no more of them.
recipe routing | grep -q 'has nothing that needs it' || fail "routing: $(recipe routing)"
for action in '' --apply; do
    # shellcheck disable=SC2086 # no word, or one
    [ -z "$(recipe routing --quiet $action)" ] || fail "routing --quiet $action speaks"
done
recipe routing --undo
snapshot . >"$LAB_DIR/after"
diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "--undo did not leave the host as it was"
expect_silence 198.51.100.2

say "a rule with a prefix, and a table with a name:"
# shellcheck disable=SC2016 # for the inner shell
with_own_tables() { with_own_run sh -c 'mount --bind "$0" /etc/iproute2 && exec "$@"' "$LAB_DIR/tables" "$@"; }
mkdir -p "$LAB_DIR/tables"
echo '42 isp2' >"$LAB_DIR/tables/rt_tables"
on_server ip rule add from 198.51.100.0/24 table 42 pref 100
on_server ip route add default via 198.51.100.1 dev eth1 table 42
with_own_tables "$MULTIHOMECTL" recipe routing >"$LAB_DIR/said"
grep -q 'eth1: its addresses have their rules already' "$LAB_DIR/said" || fail "routing: $(cat "$LAB_DIR/said")"
# A rule that takes only some of what its addresses send is not enough.
for narrow in 'to 192.0.2.0/24' 'iif eth0' 'ipproto udp dport 53'; do
    on_server ip rule del pref 100
    # shellcheck disable=SC2086 # several words
    on_server ip rule add from 198.51.100.0/24 $narrow table 42 pref 100
    with_own_tables "$MULTIHOMECTL" recipe routing --verify --quiet || fail "$narrow: --verify exits with $?"
    with_own_tables "$MULTIHOMECTL" recipe routing >"$LAB_DIR/said"
    grep -q 'rule add from 198.51.100.2 .*table 43$' "$LAB_DIR/said" || fail "$narrow: $(cat "$LAB_DIR/said")"
done
on_server ip rule del pref 100
# That one leads what has no source yet, and what has the first uplink's, to the second one: so both need rules.
on_server ip rule add not from 198.51.100.0/25 table 42 pref 100
with_own_tables "$MULTIHOMECTL" recipe routing >"$LAB_DIR/said"
for rule in '192.0.2.2 pref 43 table 43' '198.51.100.2 pref 44 table 44'; do
    grep -q "rule add from $rule\$" "$LAB_DIR/said" || fail "not from: $(cat "$LAB_DIR/said")"
done
on_server ip rule del pref 100
with_own_tables "$MULTIHOMECTL" recipe routing >"$LAB_DIR/said"
grep -q 'rule add from 198.51.100.2 .*table 43$' "$LAB_DIR/said" || fail "routing: $(cat "$LAB_DIR/said")"
on_server ip route flush table 42

# Which of the two a client's answers take, the kernel chooses: each address needs its rule, and none is the source of all.
say "a default route through both uplinks:"
on_server ip route replace default nexthop via 192.0.2.1 dev eth0 nexthop via 198.51.100.1 dev eth1
recipe routing --verify || fail "--verify exits with $?"
recipe routing >"$LAB_DIR/said"
for address in 192.0.2.2 192.0.2.3 198.51.100.2; do
    grep -q "^ip -4 rule add from $address pref" "$LAB_DIR/said" || fail "no rule for $address: $(cat "$LAB_DIR/said")"
done
for kind in one-interface two-interfaces; do
    status=0
    recipe "$kind" --apply >"$LAB_DIR/said" 2>&1 || status=$?
    [[ $status -eq 2 && $(cat "$LAB_DIR/said") == *'several interfaces at once'* ]] || fail "$kind: $status: $(cat "$LAB_DIR/said")"
done
# Two routers of one link are one way.
on_server ip route replace default nexthop via 192.0.2.1 dev eth0 nexthop via 192.0.2.253 dev eth0
recipe routing >"$LAB_DIR/said"
! grep 'rule add from 192' "$LAB_DIR/said" || fail "two routers of one link: $(cat "$LAB_DIR/said")"
recipe one-interface >"$LAB_DIR/said" 2>&1 || fail "two routers of one link: $(cat "$LAB_DIR/said")"
on_server ip route replace default via 192.0.2.1 dev eth0
# Whom the operator's own rule names goes where that leads.
on_server ip route add default via 198.51.100.1 dev eth1 table 51
on_server ip rule add from 192.0.2.3 table 51 pref 100
recipe routing >"$LAB_DIR/said"
! grep 'rule add from 192' "$LAB_DIR/said" || fail "a rule for 192.0.2.3: $(cat "$LAB_DIR/said")"
on_server ip rule del pref 100
on_server ip route flush table 51

say "a rule in front that leads the clients of the third link to the second uplink:"
on_server ip route add default via 198.51.100.1 dev eth1 table 50
on_server ip rule add from 198.51.100.2 to 10.88.0.0/24 table 50 pref 10
status=0
recipe routing "${options[@]}" --verify >"$LAB_DIR/said" || status=$?
[[ $status -eq 1 && $(cat "$LAB_DIR/said") =~ eth1\ +198.51.100.2\ +WRONG ]] || fail "$status: $(cat "$LAB_DIR/said")"
on_server ip rule del pref 10
on_server ip route flush table 50

say "for the next boot:"
# shellcheck disable=SC2016 # for the inner shell
in_own_etc() { with_own_run sh -c 'mount --bind "$0" /etc && exec "$@"' "$LAB_DIR/etc" "${as_first[@]}" "$@"; }
persist() { in_own_etc "$MULTIHOMECTL" recipe "$@"; }
mkdir -p "$LAB_DIR/etc/systemd/network" "$LAB_DIR/etc/systemd/system" "$LAB_DIR/etc/sysctl.d" "$LAB_DIR/run/systemd/netif/links"
echo 'something else' >"$LAB_DIR/etc/sysctl.d/50-mine.conf"
find "$LAB_DIR/etc" | sort >"$LAB_DIR/files"
status=0
persist two-interfaces "${options[@]}" --persist >"$LAB_DIR/said" 2>&1 || status=$?
[ "$status" -eq 1 ] || fail "without systemd-networkd: $status: $(cat "$LAB_DIR/said")"
grep -q 'ip -4 rule add fwmark 42 pref 42 table 42' "$LAB_DIR/said" || fail "no words for other than networkd"
index=$(on_server cat /sys/class/net/eth1/ifindex)
echo 'NETWORK_FILE=/etc/systemd/network/20-eth1.network' >"$LAB_DIR/run/systemd/netif/links/$index"
persist two-interfaces "${options[@]}" --persist || fail "--persist exits with $?"
# Twice, as where nothing flushes the rules before they are loaded anew.
for again in 1 2; do
    on_server nft -f "$LAB_DIR/etc/nftables.d/multihome.nft" || fail "nft does not take what was written: $again"
    on_server nft list ruleset >"$LAB_DIR/rules$again"
done
find "$LAB_DIR/etc" | sort >"$LAB_DIR/written"
# In another network than that of process 1.
# shellcheck disable=SC2016 # for the inner shell
elsewhere() { in_own_etc sh -c 'unshare --net "$@"; exit $?' sh "$MULTIHOMECTL" recipe "$@"; }
status=0
elsewhere routing --persist >"$LAB_DIR/said" 2>&1 || status=$?
[[ $status -eq 2 && $(cat "$LAB_DIR/said") == *'another network than that of process 1'* ]] || fail "elsewhere: $status: $(cat "$LAB_DIR/said")"
elsewhere two-interfaces --undo || fail "--undo elsewhere exits with $?"
find "$LAB_DIR/etc" | sort | diff "$LAB_DIR/written" - || fail "--undo elsewhere removes what is for the next boot"
diff "$LAB_DIR/rules1" "$LAB_DIR/rules2" || fail "loaded twice, the rules are there twice"
on_server nft flush ruleset
grep -q 'net/ipv4/conf/eth1/rp_filter = 2' "$LAB_DIR/etc/sysctl.d/60-multihome.conf" || fail "no sysctl"
grep -q 'FirewallMark=42' "$LAB_DIR/etc/systemd/network/20-eth1.network.d/60-multihome.conf" || fail "no networkd file"
# What cannot be removed is not called removed.
status=0
# shellcheck disable=SC2016 # for the inner shell
with_own_run sh -c 'mount --bind "$0" /etc && mount -o remount,bind,ro /etc && exec "$@"' "$LAB_DIR/etc" \
    "${as_first[@]}" "$MULTIHOMECTL" recipe two-interfaces --undo >"$LAB_DIR/said" 2>&1 || status=$?
[[ $status -eq 2 && $(cat "$LAB_DIR/said") == *'could not be taken back: /etc/'*': Read-only file system'* ]] ||
    fail "a read-only /etc: $status: $(cat "$LAB_DIR/said")"
grep -q 'removed\|nothing to take back' "$LAB_DIR/said" && fail "a read-only /etc: $(cat "$LAB_DIR/said")"
persist two-interfaces --undo >"$LAB_DIR/said"
# Who is interrupted must not leave what loads rules that are gone.
[[ $(head -n 1 "$LAB_DIR/said") == */nftables.service.d/* ]] || fail "the rules go first: $(cat "$LAB_DIR/said")"
find "$LAB_DIR/etc" | sort | diff "$LAB_DIR/files" - || fail "--undo left files of --persist"

# nftables.service excludes firewalld.service, so there that one loads them.
say "where firewalld filters:"
persist two-interfaces "${options[@]}" --persist >/dev/null
on_server nft add table inet firewalld
persist two-interfaces "${options[@]}" --port "$LAB_PORT" --persist >"$LAB_DIR/said"
grep -q 'systemctl enable firewalld$' "$LAB_DIR/said" || fail "firewalld: $(cat "$LAB_DIR/said")"
grep -q '^ExecStartPost=-+/usr/sbin/nft -f /etc/nftables.d/multihome.nft$' \
    "$LAB_DIR/etc/systemd/system/firewalld.service.d/60-multihome.conf" || fail "firewalld does not load the rules"
[ ! -e "$LAB_DIR/etc/systemd/system/nftables.service.d" ] || fail "nftables.service is to load the rules, too"
on_server nft delete table inet firewalld
persist two-interfaces --undo
find "$LAB_DIR/etc" | sort | diff "$LAB_DIR/files" - || fail "--undo left files of --persist"

# A second one replaces it: one recipe is applied at a time.
say "another recipe for the next boot:"
persist two-interfaces "${options[@]}" --persist >/dev/null || fail "--persist exits with $?"
persist routing "${options[@]}" --persist >"$LAB_DIR/said" || fail "routing --persist exits with $?"
grep -q 'nftables.d/multihome.nft: removed' "$LAB_DIR/said" || fail "not told: $(cat "$LAB_DIR/said")"
[ "$(find "$LAB_DIR/etc" -name '*multihome*' -type f)" = "$LAB_DIR/etc/systemd/network/20-eth1.network.d/60-multihome.conf" ] ||
    fail "files of two recipes: $(find "$LAB_DIR/etc" -name '*multihome*' -type f)"
for prefix in 10.77.0.0/24 10.88.0.0/24; do
    grep -A4 '^From=198.51.100.2$' "$LAB_DIR/etc/systemd/network/20-eth1.network.d/60-multihome.conf" |
        grep -qx "To=$prefix" || fail "no rule for $prefix"
done
persist routing --undo
find "$LAB_DIR/etc" | sort | diff "$LAB_DIR/files" - || fail "--undo left files of --persist"

say "for the next boot, which has nothing of what is applied:"
networkd=$LAB_DIR/etc/systemd/network/20-eth1.network.d/60-multihome.conf
persist_applied() { # RECIPE OPTION...: leaves the files
    persist "$@" --persist >/dev/null || fail "$*: --persist exits with $?"
    find "$LAB_DIR/etc" -name '*multihome*' -type f -exec sha256sum {} + | sort >"$LAB_DIR/before_apply"
    persist "$@" --undo >/dev/null
    persist "$@" --apply >/dev/null || fail "$*: --apply exits with $?"
    persist "$@" --verify --persist >"$LAB_DIR/said" || fail "$*, applied: --persist exits with $?: $(cat "$LAB_DIR/said")"
    find "$LAB_DIR/etc" -name '*multihome*' -type f -exec sha256sum {} + | sort | diff "$LAB_DIR/before_apply" - ||
        fail "$*: --persist writes something else where it is applied: $(tail -n +1 "$networkd")"
}
for kind in two-interfaces routing; do
    persist_applied "$kind" "${options[@]}"
    grep -q 'Table=42' "$networkd" || fail "$kind: $(cat "$networkd")"
    # What is on the host is no reason to write nothing, and to say that all is well.
    rm "$networkd"
    status=0
    persist "$kind" --persist >"$LAB_DIR/said" 2>&1 || status=$?
    [ "$status" -eq 2 ] || fail "$kind --persist without its options: $status: $(cat "$LAB_DIR/said")"
    grep -q -e '--gateway' "$LAB_DIR/said" || fail "$kind: $(cat "$LAB_DIR/said")"
    [ ! -e "$networkd" ] || fail "$kind: written all the same"
    persist "$kind" --undo >/dev/null
done
# Where a routing table names the router.
on_server ip route add default via 198.51.100.1 dev eth1 table 100
persist_applied routing
persist routing --undo >/dev/null
on_server ip route flush table 100

say "what cannot be written is not applied, either:"
snapshot . >"$LAB_DIR/before"
refused() { # TEXT OPTION...
    status=0
    persist two-interfaces "${options[@]}" --apply --persist "${@:2}" >"$LAB_DIR/said" 2>&1 || status=$?
    [[ $status -eq 2 && $(cat "$LAB_DIR/said") == *"$1"* ]] || fail "$*: $status: $(cat "$LAB_DIR/said")"
    snapshot . >"$LAB_DIR/after"
    diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "$*: applied all the same"
}
[ ! -d /etc/alternatives ] || cp -a /etc/alternatives "$LAB_DIR/etc/" # iptables may be one of them
refused 'netfilter-persistent save' --format iptables
# A firewall that accepts what is translated.
on_server nft add table inet fw4
snapshot . >"$LAB_DIR/before"
refused 'name them with --port'
status=0
persist two-interfaces "${options[@]}" --persist >"$LAB_DIR/said" 2>&1 || status=$?
[[ $status -eq 2 && $(cat "$LAB_DIR/said") == *'name them with --port'* ]] ||
    fail "--persist opens all ports of fw4: $status: $(cat "$LAB_DIR/said")"
# It includes /etc/nftables.d in a table of its own.
refused 'at each start' --port "$LAB_PORT"
[ ! -e "$LAB_DIR/etc/nftables.d" ] || fail "a file that keeps the rules of fw4 from being loaded"
on_server nft delete table inet fw4
snapshot . >"$LAB_DIR/before"
echo 'something else' >"$LAB_DIR/etc/sysctl.d/60-multihome.conf"
refused 'not from here: move it away'
