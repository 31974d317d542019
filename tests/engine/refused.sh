#!/bin/bash
# SPDX-License-Identifier: MIT
# Wrong calls, missing rights, and what must not be taken for the whole host: a clear word, exit status 2, nothing done.
# shellcheck disable=SC2119 # engine_attach takes options, which few tests need
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=engine.sh
. "$(dirname "$0")/engine.sh"
lab_start
engine_start
need setpriv

refused() { # TEXT COMMAND...
    local text=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    [ "$status" -eq 2 ] || fail "status $status instead of 2: $*: $said"
    [[ $said == *"$text"* ]] || fail "does not say '$text': $*: $said"
    say "ok: $said"
}
cp "$ENGINE_TOOL" "$LAB_DIR/multihomectl" # the build tree may be closed to others
tool=$LAB_DIR/multihomectl
as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
refused 'CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON' "${as_user[@]}" "$tool" attach --cgroup "$ENGINE_GROUP"
refused 'CAP_BPF and CAP_NET_ADMIN' "${as_user[@]}" "$tool" detach --all
refused 'CAP_BPF and CAP_NET_ADMIN' "${as_user[@]}" "$tool" list
# Where it cannot look, it does not say that nothing is attached.
engine_attach
mkdir "$ENGINE_GROUP/below"
with_rights() { # CAPABILITIES COMMAND...
    "${as_user[@]}" --inh-caps "$1" --ambient-caps "$1" "${@:2}"
}
refused 'attach needs CAP_PERFMON, which' with_rights +bpf,+net_admin "$tool" attach --cgroup "$ENGINE_GROUP/below"
refused "Permission denied: run this as the host's root" with_rights +bpf,+net_admin,+perfmon \
    "$tool" attach --cgroup "$ENGINE_GROUP/below"
refused "cannot look into /sys/fs/bpf/multihome: Permission denied: run this as the host's root" \
    with_rights +bpf,+net_admin "$tool" list
refused 'Permission denied' with_rights +bpf,+net_admin "$tool" detach --all
if unshare --user --map-root-user true; then
    refused "only the host's root" unshare --user --map-root-user "$tool" attach --cgroup "$ENGINE_GROUP/below"
else
    say 'SKIP: a user namespace: none can be made'
fi
# As older kernels do it in a user namespace, and as a filter does.
if command -v strace >/dev/null; then
    refused 'cannot look at what is attached' \
        strace -o "$LAB_DIR/calls" -e trace=bpf -e inject=bpf:error=EPERM "$tool" list
else
    say 'SKIP: a kernel that does not let the pins be opened: strace is not installed'
fi
engine_detach
refused 'is required' "$tool" attach
refused 'no control group' "$tool" attach --cgroup /no/such/group
refused "no control group '$ENGINE_GROUP/none'" "$tool" attach --cgroup "$ENGINE_GROUP/none"
refused 'no process' "$tool" attach --pid 4194303
refused 'no control group is called nobody.service' "$tool" attach nobody
refused 'needs a UNIT' "$tool" attach --cgroup "$ENGINE_GROUP" --persist
# More names than it takes, so that the whole host is not attached to in any case.
mkdir "$ENGINE_GROUP/a b"
mapfile -t nine < <(for _ in {1..9}; do printf '%s\n' --except "$ENGINE_GROUP/a b"; done)
refused "a unit cannot name" "$tool" attach --all "${nine[@]}" --persist --systemd-directory "$LAB_DIR/units"
refused '--except goes with --all' "$tool" attach --cgroup "$ENGINE_GROUP" --except nobody
refused 'list of ports' "$tool" attach --cgroup "$ENGINE_GROUP" --ports 53,x
refused 'two numbers' "$tool" attach --cgroup "$ENGINE_GROUP" --timeouts 30
sleep 60 &
sleeper=$!
trap 'kill "$sleeper" 2>/dev/null || true; engine_end' EXIT
echo "$sleeper" >"${ENGINE_GROUP%/*}/cgroup.procs"
refused 'the whole host' "$tool" attach --pid "$sleeper"
kill "$sleeper"
[ ! -e "/sys/fs/bpf/multihome/$(stat -c %i "$ENGINE_GROUP")" ] || fail "something was attached all the same"
