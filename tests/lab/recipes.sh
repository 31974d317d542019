# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of the kernel recipes share. To be sourced after lab.sh. The recipes work without the shim: they are
# what it replaces, and what these tests keep honest. `multihomectl recipe` makes them.

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

nft_or_skip() { load_or_skip nft -f -; } # rules from standard input
iptables_or_skip() { load_or_skip iptables "$@"; }

# Flows that are already tracked keep the treatment that they began with.
forget_flows() { on_server conntrack -F >/dev/null 2>&1 || fail "conntrack -F failed"; }

# Runs a command on the server with a /run of the test's own, where the journal of a recipe is.
with_own_run() { # CMD...
    mkdir -p "$LAB_DIR/run"
    # shellcheck disable=SC2016 # for the inner shell
    on_server sh -c 'mount --bind "$0" /run && exec "$@"' "$LAB_DIR/run" "$@"
}

recipe() { with_own_run "$MULTIHOMECTL" recipe "$@"; }

# As load_or_skip, for what the command says.
apply_recipe() { # RECIPE OPTION...
    local output
    output=$(recipe "$@" --apply 2>&1) && return 0
    case $output in
    *"No such file or directory"* | *"not supported"* | *"No chain/target/match"* | *"missing kernel module"*)
        skip "this kernel cannot do it: $(head -n 2 <<<"$output" | paste -sd ' ')" ;;
    esac
    fail "recipe $*: $output"
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
