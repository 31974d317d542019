#!/bin/sh
# SPDX-License-Identifier: MIT
# no_services.sh SOURCE: what scripts/no_services.sh makes of /usr/sbin/policy-rc.d, in a file of the test's own: several
# that install at once, one that was killed, one whose number another process has, and a file of somebody else's.
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
hold() {
    # shellcheck disable=SC2016 # for the inner shell
    sh -c '. "$0"; policy=$1; forbid_services; echo >"$2"; read -r _ <"$3"; allow_services' \
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
printf '#!/bin/sh\n%s 1:1\nexit 101\n' "$policy_mark" >"$policy"
allow_services
expect 'another process has the number of a killed one' none
printf '#!/bin/sh\nexit 104\n' >"$policy"
chmod 755 "$policy"
forbid_services
expect "somebody else's" 104
allow_services
expect "somebody else's again" 104
