#!/bin/sh
# SPDX-License-Identifier: MIT
# --engine: which one is chosen, and clear words where it cannot be had. What the kernel engine does is tested in
# tests/engine/launcher.sh.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1

refuse 125 "none of auto, preload and kernel" "$launcher" --engine both touch "$mark"
expect 0 '^preloaded=1$' "$launcher" --engine preload ./probe
expect 0 '^preloaded=1$' "$launcher" --engine=auto ./probe
refuse 125 'statically linked' "$launcher" --engine preload ./probe_static
expect_line "multihome: ./probe_static was not started; as root, '--engine kernel' may serve it"
expect 0 '^preloaded=0$' env MULTIHOME_DISABLE=1 "$launcher" --engine kernel ./probe_static
refuse 125 'does not know --same-interface' "$launcher" --engine kernel --same-interface ./probe_static
refuse 125 'does not know --same-interface' env MULTIHOME_SAME_INTERFACE=1 "$launcher" --engine kernel ./probe_static
refuse 125 'asks another process to start the server' "$launcher" --engine kernel systemctl start nothing
refuse 127 'not found' "$launcher" --engine kernel ./none

# Without the rights: what is missing, whatever was asked for.
as_nobody=
[ "$(id -u)" -ne 0 ] || as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
if [ -z "$as_nobody" ] || command -v setpriv >/dev/null; then
    for engine in kernel auto; do
        # shellcheck disable=SC2086 # a command line, or nothing
        refuse 125 'CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.*run it as root; ./probe_static was not started' \
            $as_nobody "$launcher" --engine $engine ./probe_static
        # shellcheck disable=SC2086
        refuse 125 'CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON' $as_nobody "$launcher" --engine $engine env A=1 ./probe_static
    done
    # shellcheck disable=SC2086
    expect 0 '^preloaded=1$' $as_nobody "$launcher" --engine auto ./probe
fi
# Without the tool there is no engine.
rm "$tool"
refuse 125 'needs multihomectl' env PATH=/usr/bin:/bin "$launcher" --engine kernel ./probe_static
finish
