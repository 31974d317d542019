#!/bin/sh
# SPDX-License-Identifier: MIT
# no_services.sh SOURCE: what scripts/no_services.sh makes of /usr/sbin/policy-rc.d, in a file of the test's own: several
# that install at once, also in another namespace of processes, one that was killed, one whose number another process has, and
# a file of somebody else's. And that it waits where another one installs.
set -u
source=$1
scratch=$(mktemp -d) || exit 1
held=
# shellcheck disable=SC2317 # called by the trap
end() {
    [ -z "$held" ] || kill -KILL "$held" 2>/dev/null
    rm -rf "$scratch"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
# shellcheck source=scripts/no_services.sh
. "$source/scripts/no_services.sh"
policy=$scratch/policy-rc.d

expect() { # WHAT STATUS: what Debian reads from the file; "none" without one
    if [ -e "$policy" ]; then
        "$policy"
        got=$?
    else
        got=none
    fi
    [ "$got" = "$2" ] || {
        echo "FAIL: $1: $got, should be $2: $(cat "$policy" 2>/dev/null)"
        exit 1
    }
    echo "ok: $1: $got"
}
# Another one that installs, and waits.
hold() { # [COMMAND...]: by which it is started
    # shellcheck disable=SC2016 # for the inner shell
    "$@" sh -c '. "$0"; policy=$1; forbid_services; echo >"$2"; read -r _ <"$3"; allow_services' \
        "$source/scripts/no_services.sh" "$policy" "$scratch/holds" "$scratch/go" &
    held=$!
    while [ ! -e "$scratch/holds" ]; do sleep 0.05; done
    rm "$scratch/holds"
}
mkfifo "$scratch/go"

allow_services
expect 'nothing was forbidden' none
forbid_services
expect 'one installs' 101
hold
allow_services
expect 'another one goes on' 101
echo >"$scratch/go"
wait "$held"
expect 'nobody is left' none
hold
forbid_services
echo >"$scratch/go"
wait "$held"
expect 'this one goes on' 101
allow_services
expect 'nobody is left again' none
hold
kill -KILL "$held"
wait "$held" 2>/dev/null
held=
expect 'one was killed' 101
allow_services
expect 'what it left is removed' none
printf '#!/bin/sh\n%s 1:1:%s\nexit 101\n' "$policy_mark" "$(process_namespace)" >"$policy"
allow_services
expect 'another process has the number of a killed one' none
printf '#!/bin/sh\nexit 104\n' >"$policy"
chmod 755 "$policy"
forbid_services
expect "somebody else's" 104
allow_services
expect "somebody else's again" 104
rm "$policy"

# In another namespace of processes, ours cannot be seen. The host's sees all.
other='unshare --pid --fork --kill-child --mount-proc'
if $other true 2>/dev/null; then
    forbid_services
    # shellcheck disable=SC2016 # for the inner shell
    $other sh -c '. "$0"; policy=$1; allow_services' "$source/scripts/no_services.sh" "$policy"
    expect 'one of another namespace goes on' 101
    allow_services
    expect 'nobody is left in any namespace' none
    # shellcheck disable=SC2086 # words
    hold env $other
    allow_services
    expect 'one goes on in another namespace' 101
    kill -KILL "$held"
    wait "$held" 2>/dev/null
    held=
    while find /proc/[0-9]*/ns/pid -lname "pid:\[$(sed -n '2s/.*://p' "$policy")\]" 2>/dev/null | grep -q .; do sleep 0.05; done
    allow_services
    if [ "$(process_namespace)" = 4026531836 ]; then
        expect 'one was killed in another namespace' none
    else
        expect 'whether one was killed in another namespace cannot be told' 101
    fi
else
    echo 'SKIP: another namespace of processes: none can be made'
fi

# A lock of the test's own, beside a state without any package in it, which needs nothing to install nothing.
if command -v apt-get >/dev/null && [ -x /usr/bin/python3 ]; then
    : >"$scratch/status"
    echo "Dir::State::status \"$scratch/status\"; Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\";" >"$scratch/apt"
    # shellcheck disable=SC2016 # for the inner shell
    /usr/bin/python3 -c '
import fcntl, os, sys
lock = open(sys.argv[1] + "/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open(sys.argv[1] + "/holds", "w").close()
open(sys.argv[1] + "/go").read()' "$scratch" &
    held=$!
    while [ ! -e "$scratch/holds" ]; do sleep 0.05; done
    # shellcheck disable=SC2119 # no package
    (APT_CONFIG=$scratch/apt && export APT_CONFIG && apt_install) >"$scratch/said" 2>&1 &
    installs=$!
    # It says that it waits, or that it cannot.
    while [ ! -s "$scratch/said" ]; do sleep 0.05; done
    echo >"$scratch/go"
    wait "$held"
    held=
    wait "$installs" || {
        echo "FAIL: where another one installs: $(cat "$scratch/said")"
        exit 1
    }
    echo 'ok: where another one installs, it is waited for'
else
    echo 'SKIP: two that install at once: apt-get or python3 is not installed'
fi
