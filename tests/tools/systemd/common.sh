# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests beside the systemd that ../systemd.sh has started share: each runs in that systemd's namespaces.
set -uo pipefail
# shellcheck disable=SC2034 # for the tests
ctl=/opt/multihomectl
# shellcheck disable=SC2034
units=/etc/systemd/system
faults=0

complain() {
    printf 'FAIL: %s\n' "$*"
    [ ! -s /run/said ] || sed 's/^/    /' /run/said
    faults=$((faults + 1))
}

# expect STATUS PATTERN COMMAND...
expect() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    "$@" >/run/said 2>&1 </dev/null || status=$?
    if [ "$status" -ne "$wanted" ]; then
        complain "exit status $status instead of $wanted: $*"
    elif [ -n "$pattern" ] && ! grep -qE -e "$pattern" /run/said; then
        complain "no line like '$pattern': $*"
    else
        printf 'ok: %s\n' "$*"
    fi
}

files() { find /etc -type f -exec md5sum {} + -o -type d -print | sort; }

# A service counts as started before it has bound its socket.
await() { # PORT...
    local port tries
    for port; do
        for ((tries = 0; tries < 200; tries++)); do
            ! grep -qE ": [0-9A-F]+:$(printf %04X "$port") " /proc/net/udp /proc/net/udp6 || break
            sleep 0.05
        done
    done
}

# True where the library is mapped executable in the service.
is_in() {
    local pid
    pid=$(systemctl show --property=MainPID --value "$1")
    grep -q 'r-xp .*libmultihome\.so' "/proc/$pid/maps"
}

# start UNIT:PORT...: starts the services and waits for the port of each.
start() {
    local unit
    for unit; do systemctl start "${unit%:*}" || complain "${unit%:*} does not start"; done
    await "${@#*:}"
}

# A profile for profiled.service. The kernel's list of profiles is made up: `apparmor on`, `apparmor off`.
echo 'profile opt.profiled flags=(attach_disconnected) {}' >/etc/apparmor.d/opt.profiled
apparmor() { # on|off [PROFILE]
    if [ "$1" = off ]; then
        umount /sys/kernel/security
    else
        mount -t tmpfs tmpfs /sys/kernel/security
        mkdir /sys/kernel/security/apparmor
        printf '%s' "${2:+$2 (enforce)
}" >/sys/kernel/security/apparmor/profiles
    fi
}

# A test ends with this: it has left nothing behind in /etc.
before=$(files)
finish() {
    [ "$(files)" = "$before" ] || complain "something is left: $(diff <(echo "$before") <(files))"
    echo "$faults faults"
    [ "$faults" -eq 0 ]
}
