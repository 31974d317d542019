#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `multihomectl recipe routing` for second uplinks of other kinds: the other end of a point-to-point link, a router that is on
# no link of the host (as hosters have it that give single addresses), one of a family that has no default route but there;
# and on a kernel without IPv6.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need nft iptables
need_shim
lab_topology_a
ip link add eth1 netns "$LAB_SERVER" type veth peer name up1 netns "$LAB_CLIENT"
rp_filter 1 eth1
lab_sysctl "$LAB_CLIENT" ipv4/conf/up1/rp_filter 0
[ ! -e /proc/sys/net/ipv6 ] || ip -n "$LAB_SERVER" link set eth1 addrgenmode none # no address that comes later
ip -n "$LAB_SERVER" link set eth1 up
ip -n "$LAB_CLIENT" link set up1 up
serve() { with_shim start_server shim "${LAB_ECHO[@]}" --family dual; }
applied() { # ADDRESS OPTION...: with the recipe, what is asked there is answered through the second uplink, and only then
    local address=$1
    shift
    snapshot . >"$LAB_DIR/before"
    serve
    expect_silence "$address"
    stop_server shim # which may have ended, as it has no way to answer
    serve
    recipe routing "$@" --verify || fail "$*: --verify exits with $?"
    apply_recipe routing "$@"
    # Strict rp_filter has dropped the client's ARP, too; what it sends while that is being tried again is lost.
    ip -n "$LAB_CLIENT" neigh flush dev up1
    expect_answer "$address via up1" "$address" --via
    stop_server shim
    recipe routing "$@" | grep -q 'has nothing that needs it' || fail "$*: $(recipe routing "$@")"
    recipe routing --undo
    snapshot . >"$LAB_DIR/after"
    diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "--undo did not leave the host as it was"
}

# An address of the host's own would be a route to the link itself, on which the kernel would look for every client.
refused() { # GATEWAY WHY
    local status=0
    recipe routing --gateway "$1" >"$LAB_DIR/said" 2>&1 || status=$?
    [[ $status -eq 2 && $(cat "$LAB_DIR/said") == *"$2"* ]] || fail "$1: $status: $(cat "$LAB_DIR/said")"
    say "ok: $(cat "$LAB_DIR/said")"
}
refused 192.0.2.3 'is an address of this host'
[ ! -e /proc/sys/net/ipv6 ] || refused 2001:DB8:1:0::3 'is an address of this host' # however it is written
refused 192.0.4.3 'is on no link of this host'

say "a point-to-point link:"
ip -n "$LAB_SERVER" address add 192.168.9.9 peer 192.168.9.1/32 dev eth1
ip -n "$LAB_CLIENT" address add 192.168.9.1/32 dev up1
ip -n "$LAB_CLIENT" route add 192.168.9.9 dev up1 src 203.0.113.1
# As pppd sets it. There the end of the link has to be named.
on_server ip route add default dev eth1 table 100
recipe routing | grep -q 'eth1 .* the other end of the link, with --gateway' || fail "the end: $(recipe routing)"
applied 192.168.9.9 --gateway 192.168.9.1
on_server ip route flush table 100
ip -n "$LAB_SERVER" address flush dev eth1

say "a router that is on no link:"
ip -n "$LAB_SERVER" address add 192.168.9.9/32 dev eth1
ip -n "$LAB_CLIENT" address add 172.31.1.1/32 dev up1
on_server ip route add default via 172.31.1.1 dev eth1 onlink table 100
applied 192.168.9.9
mkdir -p "$LAB_DIR/etc/systemd/network" "$LAB_DIR/run/systemd/netif/links"
echo 'NETWORK_FILE=/etc/systemd/network/20-eth1.network' >"$LAB_DIR/run/systemd/netif/links/$(on_server cat /sys/class/net/eth1/ifindex)"
# shellcheck disable=SC2016 # for the inner shell
with_own_run sh -c 'mount --bind "$0" /etc && exec "$@"' "$LAB_DIR/etc" "${as_first[@]}" "$MULTIHOMECTL" recipe routing --persist
grep -A1 '^Gateway=172.31.1.1$' "$LAB_DIR/etc/systemd/network/20-eth1.network.d/60-multihome.conf" |
    grep -qx 'GatewayOnLink=yes' || fail "systemd-networkd refuses a router that is on no link"

if [ -e /proc/sys/net/ipv6 ]; then
    say "and of IPv6, which has no other default route:"
    ip -n "$LAB_SERVER" -6 address add 2001:db8:9::9/128 dev eth1 nodad
    ip -n "$LAB_SERVER" -6 address add fe80::2/64 dev eth1 nodad
    ip -n "$LAB_CLIENT" -6 address add 2001:db8:99::1/128 dev up1 nodad
    ip -n "$LAB_CLIENT" -6 route add 2001:db8:9::9 dev up1 src 2001:db8:ffff::1
    on_server ip -6 route add default via 2001:db8:99::1 dev eth1 onlink table 100
    on_server ip -6 route del default
    lab_await_addresses
    applied 2001:db8:9::9
    say "a link-local router:"
    on_server ip -6 route flush table 100
    ip -n "$LAB_CLIENT" -6 address add fe80::1/64 dev up1 nodad
    lab_await_addresses
    refused fe80::1 'fe80::1%eth1'
    applied 2001:db8:9::9 --gateway fe80::1%eth1
fi

# As wg-quick sets it. All answers leave through the tunnel then, also those of the address of the uplink that it goes through.
say "a VPN in front of the default route:"
ip -n "$LAB_SERVER" address flush dev eth1
on_server ip route flush table 100
ip -n "$LAB_SERVER" address add 10.66.0.2/32 dev eth1
on_server ip route add 10.66.0.0/24 dev eth1
on_server ip route add default dev eth1 table 51820
on_server ip rule add pref 32765 not fwmark 51820 table 51820
on_server ip rule add pref 32764 table main suppress_prefixlength 0
ip -n "$LAB_CLIENT" address add 10.66.0.1/24 dev up1
ip -n "$LAB_CLIENT" route add 192.0.2.0/24 dev up1 src 10.66.0.1 metric 2000
expect_through_tunnel() { expect_answer "192.0.2.2 via up1" 192.0.2.2 --via --interface up1 --source 10.66.0.1; }
serve
expect_through_tunnel
expect_silence 192.0.2.2
recipe routing --verify || fail "--verify exits with $?"
apply_recipe routing
ip -n "$LAB_CLIENT" neigh flush dev up0
expect_answer "192.0.2.2 via up0" 192.0.2.2 --via
expect_through_tunnel
recipe routing --undo

# What `ip` says of the rules of a family that the kernel does not have, as where it was started with ipv6.disable=1.
say "a kernel without IPv6:"
mkdir "$LAB_DIR/tools"
cat >"$LAB_DIR/tools/ip" <<TOOL
#!/bin/sh
case " \$* " in
*' -6 rule '*)
    printf 'RTNETLINK answers: Address family not supported by protocol\nDump terminated\n' >&2
    exit 255
    ;;
*' -6 '*) exit 0 ;;
esac
exec $(command -v ip) "\$@"
TOOL
chmod 755 "$LAB_DIR/tools/ip"
with_own_run env PATH="$LAB_DIR/tools:$PATH" "$MULTIHOMECTL" recipe routing >"$LAB_DIR/said" 2>&1 ||
    fail "a kernel without IPv6: $(cat "$LAB_DIR/said")"
grep -q '^ip -4 rule add from 192.0.2.2 ' "$LAB_DIR/said" || fail "a kernel without IPv6: $(cat "$LAB_DIR/said")"
