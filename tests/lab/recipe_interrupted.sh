#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `multihomectl recipe` killed before and after each change that it makes, while it applies the recipe and while it
# takes it back: --undo leaves the host as it was, byte for byte.
# Usage: recipe_interrupted.sh nft|iptables
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
# shellcheck source-path=SCRIPTDIR source=recipes.sh
. "$(dirname "${BASH_SOURCE[0]}")/recipes.sh"

need_netfilter nft iptables
lab_topology_b
options=(two-interfaces --gateway 198.51.100.1 --interface eth1 --format "$1" --quiet)

# In place of each tool that the command calls: counts the calls that change something, and kills the command at one.
mkdir "$LAB_DIR/tools"
for tool in ip nft iptables sysctl; do
    cat >"$LAB_DIR/tools/$tool" <<TOOL
#!/bin/sh
case " \$* " in
*' -f '* | *' add '* | *' del '* | *' delete '* | *' -A '* | *' -D '* | *' -X '* | *' -qw '*)
    echo >>"$LAB_DIR/changes"
    at=\$(wc -l <"$LAB_DIR/changes")
    [ "\$at \$KILL" != "\$KILL_AT before" ] || { kill -KILL \$PPID; exit 1; }
    $(command -v "$tool") "\$@"
    status=\$?
    [ "\$at \$KILL" != "\$KILL_AT after" ] || kill -KILL \$PPID
    exit \$status
    ;;
esac
exec $(command -v "$tool") "\$@"
TOOL
    chmod 755 "$LAB_DIR/tools/$tool"
done

interrupted() { # KILL KILL_AT OPTION...
    local when=$1 at=$2 status=0
    shift 2
    : >"$LAB_DIR/changes"
    with_own_run env PATH="$LAB_DIR/tools:$PATH" KILL="$when" KILL_AT="$at" "$MULTIHOMECTL" recipe "${options[@]}" "$@" \
        >"$LAB_DIR/said" 2>&1 || status=$?
    [ "$status" -eq 137 ] || [ "$status" -eq 0 ] || fail "$* with $when $at: $status: $(cat "$LAB_DIR/said")"
    [ "$status" -eq 137 ] # killed
}

compare() { # WHAT
    recipe two-interfaces --undo >"$LAB_DIR/said" 2>&1 || fail "$*: --undo: $(cat "$LAB_DIR/said")"
    snapshot ipv4/conf/eth1 >"$LAB_DIR/after"
    diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "$*: --undo did not leave the host as it was"
}

snapshot ipv4/conf/eth1 >"$LAB_DIR/before"
apply_recipe "${options[@]}"
compare applied
# Where the journal cannot be written any more, what was done before is taken back. With iptables it needs more than
# 4 KiB, so that its end does not fit; with nftables nothing does.
# shellcheck disable=SC2016 # for the inner shell
on_server sh -c 'mount -t tmpfs -o size=4k tmpfs /run && { [ "$0" != nft ] || head -c 4096 /dev/zero >/run/full; } &&
    exec "$@"' "$1" "$MULTIHOMECTL" recipe "${options[@]}" --apply >"$LAB_DIR/said" 2>&1 || true
grep -q 'cannot be written; what was done before it is taken back' "$LAB_DIR/said" || fail "/run is full: $(cat "$LAB_DIR/said")"
snapshot ipv4/conf/eth1 >"$LAB_DIR/after"
diff "$LAB_DIR/before" "$LAB_DIR/after" || fail "/run is full: something is left"
# A damaged journal is refused with the number of the line.
recipe "${options[@]}" --apply
journal=$(echo "$LAB_DIR"/run/multihome/recipe-*.journal)
cp "$journal" "$LAB_DIR/journal"
sed -i '2s/^/x/' "$journal"
recipe two-interfaces --undo >"$LAB_DIR/said" 2>&1 && fail "a damaged journal is read"
grep -q 'line 2 is damaged' "$LAB_DIR/said" || fail "damaged: $(cat "$LAB_DIR/said")"
cp "$LAB_DIR/journal" "$journal"
compare damaged
# Killed after one change and before the next is the same to the host; nftables is tried both ways, iptables, with more
# changes to make, one way.
for when in before $([ "$1" = nft ] && echo after); do
    for ((at = 1; ; at++)); do
        interrupted "$when" "$at" --apply || break
        compare "killed $when change $at of --apply"
    done
    compare "not killed"
    [ "$at" -gt 5 ] || fail "only $at changes"
    say "--apply killed $when each of $((at - 1)) changes"
    for ((at = 1; ; at++)); do
        recipe "${options[@]}" --apply
        interrupted "$when" "$at" --undo || break
        compare "killed $when change $at of --undo"
    done
    compare "undone, not killed"
    [ "$at" -gt 5 ] || fail "--undo made only $at changes"
    say "--undo killed $when each of $((at - 1)) changes"
done
