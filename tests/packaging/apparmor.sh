#!/bin/sh
# SPDX-License-Identifier: MIT
# apparmor.sh RULES: what a profile that has no more than Debian's base abstraction, which stock profiles include, lets a
# server do with the library: map it where the package puts it, and not elsewhere; with the rule that is installed for
# that, elsewhere too. apparmor_parser compiles the profile and is asked for its automaton: no kernel has to enforce it.
set -eu
rules=$1
skip() {
    echo "SKIP: $*"
    exit 77
}
fail() {
    echo "FAIL: $*"
    exit 1
}
PATH=$PATH:/usr/sbin:/sbin
command -v apparmor_parser >/dev/null || skip 'apparmor_parser is not installed'
[ -e /etc/apparmor.d/abstractions/base ] || skip 'there is no /etc/apparmor.d/abstractions/base'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
here=$(cd "$(dirname "$0")" && pwd)

# may_map RULE PATH: does a profile with RULE beside the abstraction let PATH be mapped as a library?
may_map() {
    cat >"$scratch/profile" <<PROFILE
include <tunables/global>
profile multihome_test /usr/sbin/server {
  include <abstractions/base>
  $1
}
PROFILE
    if ! apparmor_parser --skip-kernel-load --skip-cache --dump=dfa-states "$scratch/profile" >"$scratch/states" 2>&1; then
        # Where it takes the profile without the rule, the rule is wrong.
        [ -n "$1" ] || skip "apparmor_parser does not take the profile: $(tail -n 1 "$scratch/states")"
        fail "apparmor_parser does not take the installed rule: $(tail -n 1 "$scratch/states")"
    fi
    /usr/bin/python3 "$here/apparmor_states.py" "$scratch/states" "$2"
}
expect() { # YES-OR-NO RULE PATH
    got=$(may_map "$2" "$3") || {
        status=$?
        echo "$got"
        exit "$status"
    }
    [ "$got" = "$1" ] || fail "may a server map $3? $got"
    echo "ok: may a server map $3? $got${2:+ (with the rule installed)}"
}

elsewhere=/opt/multihome/lib/x86_64-linux-gnu/multihome/libmultihome.so
rule=$(sed "s|@multihome_library@|$elsewhere|; /^#/d" "$rules")
for triplet in x86_64-linux-gnu i386-linux-gnu aarch64-linux-gnu arm-linux-gnueabihf; do
    expect yes '' "/usr/lib/$triplet/multihome/libmultihome.so"
done
expect no '' "$elsewhere"
expect yes "$rule" "$elsewhere"
