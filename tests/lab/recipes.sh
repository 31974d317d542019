# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of the kernel recipes share. To be sourced after lab.sh. The recipes work without the shim: they are
# what it replaces, and what these tests keep honest.

RECIPE_MARK=0x42

# Loads rules. A kernel that lacks a part of netfilter is a reason to skip; rules that are wrong are a failure.
load_or_skip() { # CMD...
    local output
    output=$(on_server "$@" 2>&1) && return 0
    case $output in
    *"No such file or directory"* | *"not supported"* | *"No chain/target/match"* | *"can't initialize"* | \
        *"does not exist"* | *"missing kernel module"*)
        skip "this kernel cannot do \`${1##*/}\` rules of this kind: $(head -n 2 <<<"$output" | paste -sd ' ')" ;;
    esac
    fail "$*: $output"
}

nft_or_skip() { # FILE of this folder, or - for standard input
    local file=$1
    if [ "$file" != - ]; then
        file=$(dirname "${BASH_SOURCE[0]}")/$file
        [ -r "$file" ] || fail "no $file"
    fi
    load_or_skip nft -f "$file"
}
iptables_or_skip() { load_or_skip iptables "$@"; }

# Flows that are already tracked keep the treatment that they began with.
forget_flows() { on_server conntrack -F >/dev/null 2>&1 || fail "conntrack -F failed"; }

# What the recipe B needs besides its rules: packets with the mark take the second uplink.
recipe_b_routes() {
    rp_filter 0 eth1
    ip -n "$LAB_SERVER" rule add fwmark "$RECIPE_MARK" pref 42 table 42
    ip -n "$LAB_SERVER" route add default table 42 via 198.51.100.1 dev eth1
}

# Before recipe A: the second address is answered from the first one.
recipe_a_before() {
    start_server bare "${LAB_ECHO[@]}"
    say "before:"
    expect_right 192.0.2.2
    expect_bare_wrong 192.0.2.3 --source-port 40000
}

recipe_a_after() {
    say "after:"
    for _ in 1 2; do
        expect_right 192.0.2.2
        expect_right 192.0.2.3 --source-port 40000
        expect_right 192.0.2.3
    done
}

# Before recipe B: strict checking drops the request; without it, the answer is wrong and takes the first uplink.
recipe_b_before() {
    start_server bare "${LAB_ECHO[@]}"
    say "before:"
    expect_silence 198.51.100.2
    rp_filter 0 eth1
    expect_bare_wrong 198.51.100.2
    expect_answer "192.0.2.2 via up0" 198.51.100.2 --via --source-port 40000
}

recipe_b_after() {
    say "after:"
    for _ in 1 2; do
        expect_answer "192.0.2.2 via up0" 192.0.2.2 --via
        expect_answer "198.51.100.2 via up1" 198.51.100.2 --via --source-port 40000
        expect_answer "198.51.100.2 via up1" 198.51.100.2 --via
    done
}
