#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs beside the systemd that systemd.sh has started, in its namespaces.
# shellcheck disable=SC2016 # for the scripts that it writes
set -uo pipefail
ctl=/opt/multihomectl
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


cp /opt/echo /opt/capable
setcap cap_net_bind_service=ep /opt/capable || complain "no capabilities on files here"
echo 'profile opt.profiled flags=(attach_disconnected) {}' >/etc/apparmor.d/opt.profiled
before=$(files)

for unit in plain merged hardened hidden profiled; do systemctl start "$unit" || complain "$unit does not start"; done
await 5401 5402 5403 5404 5408
expect 1 '^5401 +echo +[0-9]+ +plain.service +WRONG  at 192.0.2.3$' "$ctl" doctor
expect 1 '5401 +sudo multihomectl enable --now plain.service' "$ctl" doctor
expect 0 'Environment="LD_PRELOAD=/opt/libmultihome.so"' "$ctl" enable --dry-run plain
[ "$(files)" = "$before" ] || complain "--dry-run has written something"

expect 0 'it takes effect when the service starts again' "$ctl" enable plain
! is_in plain || complain "it was restarted without --now"
expect 0 'restarted; multihome works in it' "$ctl" enable --now plain
is_in plain || complain "the library is not in plain.service"
expect 0 'plain.service: /opt/echo: LD_PRELOAD reaches' "$ctl" check --unit plain
await 5401
expect 1 '^5401 +echo +[0-9]+ +plain.service +ok +multihome [0-9.]+$' "$ctl" doctor
expect 0 '^[0-9]+ +plain.service +5401 ' "$ctl" stats plain

expect 0 'multihome works in it' "$ctl" enable --now merged
is_in merged || complain "the library is not in merged.service"
grep -q 'LD_PRELOAD=libm.so.6:/opt/libmultihome.so' "$units/merged.service.d/zz-multihome.conf" ||
    complain "what the unit preloads is lost"
pid=$(systemctl show --property=MainPID --value merged)
tr '\0' '\n' <"/proc/$pid/environ" | grep -qx 'A=two words' || complain "another variable is lost"
expect 0 'works in it' "$ctl" enable --now merged
[ "$(grep -c libmultihome "$units/merged.service.d/zz-multihome.conf")" -eq 1 ] || complain "enabled twice, it is named twice"

expect 0 'mended: NoExecPaths' "$ctl" enable --now hardened
grep -q '^SystemCallFilter=.*sendmsg' "$units/hardened.service.d/zz-multihome.conf" || complain "the filter is not mended"
is_in hardened || complain "the library is not in hardened.service"
expect 0 'multihome works in it' "$ctl" enable --now hidden
is_in hidden || complain "the library is not in hidden.service"

# A profile with a name of its own, in a file that is named otherwise; the kernel's list is made up.
mount -t tmpfs tmpfs /sys/kernel/security
mkdir /sys/kernel/security/apparmor
printf 'named (enforce)\n' >/sys/kernel/security/apparmor/profiles
printf 'profile named /{opt,srv}/echo flags=(attach_disconnected) {\n}\n' | tee /etc/apparmor.d/other >/etc/apparmor.d/other.dpkg-old
expect 0 '^# /etc/apparmor.d/local/other$' "$ctl" enable --dry-run plain
umount /sys/kernel/security
expect 0 'LD_PRELOAD' "$ctl" enable --dry-run plain
! grep -q 'apparmor' /run/said || complain "a rule where AppArmor is off"
rm /etc/apparmor.d/other*
# What fails half way leaves nothing: `put` puts a script in the place of a command, and `fails` enables with it.
mkdir /run/failing
put() { # COMMAND LINE...
    printf '%s\n' '#!/bin/sh' "${@:2}" >"/run/failing/$1"
    chmod 755 "/run/failing/$1"
}
fails() { # WHAT PATTERN [OPTION...]
    local middle
    middle=$(files)
    expect 2 "$2" env PATH="/run/failing:$PATH" "$ctl" enable "${@:3}" profiled
    if [ "$(files)" != "$middle" ]; then
        complain "an enable that failed has left something: $1"
        rm -rf "$units/profiled.service.d" /etc/apparmor.d/local/opt.profiled
    fi
    rm /run/failing/*
    systemctl daemon-reload
}
mount -t tmpfs tmpfs /sys/kernel/security
mkdir /sys/kernel/security/apparmor
: >/sys/kernel/security/apparmor/profiles
put apparmor_parser 'exit 1'
fails "AppArmor refuses the profile" 'apparmor_parser -r .* failed'
echo '# mine' >/etc/apparmor.d/local/opt.profiled
put apparmor_parser 'exit 1'
fails "AppArmor refuses the profile, which has a local part" 'apparmor_parser -r .* failed'
# Here multihomectl can start no further command: of the descriptors that it needs for one, the first is its last.
starve='first=$(find "/proc/$PPID/fd" -lname "*memfd:multihomectl*" -printf "%f\\n" | sort -n | head -n 1)
    prlimit --pid "$PPID" --nofile="$((first + 1)):"'
put apparmor_parser "$starve"
fails "systemd cannot be told" 'cannot make a file in memory'
rm -f /etc/apparmor.d/local/opt.profiled
umount /sys/kernel/security
put systemctl '[ "$1" = daemon-reload ] || exec /usr/bin/systemctl "$@"' 'exit 1'
fails "systemd does not read its units" 'daemon-reload failed'
is_asked='[ "$1" = show ] && [ -e /etc/systemd/system/profiled.service.d ] || exec /usr/bin/systemctl "$@"'
put systemctl "$is_asked" 'exit 1'
fails "systemd cannot be asked any more" 'systemd cannot be asked'
put systemctl "$is_asked" '[ "$2" != --no-pager ] || exec /usr/bin/systemctl "$@"' "$starve" 'exec /usr/bin/systemctl "$@"'
fails "the service cannot be restarted" 'cannot make a file in memory' --now
expect 0 'added to /etc/apparmor.d/local/opt.profiled: /opt/libmultihome.so mr,' "$ctl" enable --now profiled

# One that may hear by an io_uring what the library does not see: enable does not say that it works.
if [ -x /usr/bin/python3 ]; then
    cat >/opt/ring.py <<'PYTHON'
import ctypes, socket
if ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0:
    open("/run/no_ring", "w")
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5409))
server.recvfrom(65535)
PYTHON
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/python3 /opt/ring.py\n' >"$units/ring.service"
    systemctl daemon-reload
    expect 0 'ring.service: restarted; ' "$ctl" enable --now ring
    if [ ! -e /run/no_ring ]; then
        grep -q 'multihome is in it, and has taken over sockets' /run/said || complain "no word of the io_uring"
        expect 0 'ring.service: it has an io_uring, .*: multihomectl ask' "$ctl" enable --now ring
        expect 0 'note: .*it has an io_uring' "$ctl" check --pid "$(systemctl show --property=MainPID --value ring)"
    fi
    expect 0 'removed' "$ctl" disable ring
    systemctl stop ring
    rm "$units/ring.service"
    systemctl daemon-reload
fi

# systemd holds the socket of a service that it starts for it: judged is the service.
if [ -x /usr/bin/python3 ]; then
    cat >/opt/handed.py <<'PYTHON'
import socket
server = socket.fromfd(3, socket.AF_INET, socket.SOCK_DGRAM)
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
PYTHON
    printf '[Unit]\nDefaultDependencies=no\n[Socket]\nListenDatagram=0.0.0.0:5410\n' >"$units/handed.socket"
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/python3 /opt/handed.py\n' >"$units/handed.service"
    systemctl daemon-reload
    systemctl start handed.socket handed.service
    expect 1 '^5410 +python3[^ ]* +[0-9]+ +handed.service +WRONG' "$ctl" doctor
    expect 0 'restarted; multihome' "$ctl" enable --now handed
    for ((tries = 0; tries < 200; tries++)); do
        echo >/dev/udp/192.0.2.3/5410 # it takes the socket over when it first uses it
        ! "$ctl" doctor | grep -qE '^5410 .* ok +multihome' || break
        sleep 0.05
    done
    expect 0 '^5410 +python3[^ ]* +[0-9]+ +handed.service +ok +multihome' "$ctl" doctor
    expect 0 'removed' "$ctl" disable --now handed
    systemctl stop handed.service handed.socket
    rm "$units"/handed.*
    systemctl daemon-reload
fi

# Where the loader finds it by $LIB, it is named so: programs of musl's that the service starts live on. One name for both.
if [ -d /opt/package ]; then
    # shellcheck disable=SC2016 # for the loader
    name='/opt/package/$LIB/multihome/libmultihome.so'
    drop_in=$units/helper.service.d/zz-multihome.conf
    full=$(echo /opt/package/lib*/multihome/libmultihome.so /opt/package/lib*/*/multihome/libmultihome.so | tr ' ' '\n' |
        grep -vF '*')
    installed=/opt/package/bin/multihomectl
    is_named_once() { # NAMES
        grep -qxF "Environment=\"LD_PRELOAD=$1\"" "$drop_in" || complain "instead of $1: $(grep LD_PRELOAD "$drop_in")"
    }
    expect 0 'multihome works in it' "$installed" enable --now helper
    is_in helper || complain "the library is not in helper.service"
    is_named_once "$name"
    expect 0 'multihome works in it' "$installed" enable --now helper
    is_named_once "$name"
    expect 0 'removed' "$installed" disable helper
    mkdir "$units/helper.service.d"
    for other in "$full" "$name"; do
        printf '[Service]\nEnvironment=LD_PRELOAD=%s:libm.so.6\n' "$other" >"$units/helper.service.d/a.conf"
        systemctl daemon-reload
        expect 0 'multihome works in it' "$installed" enable --now helper
        is_named_once "libm.so.6:$name"
    done
    expect 0 'LD_PRELOAD reaches' "$installed" check --unit helper
    ! grep -q 'note:' /run/said || complain "a note on a unit that needs none"
    # A later drop-in that names the same file is as good.
    printf '[Service]\nEnvironment=LD_PRELOAD=%s\n' "$full" >"$units/helper.service.d/zzz.conf"
    systemctl daemon-reload
    expect 0 'takes effect' "$installed" enable helper
    if compgen -G '/lib/ld-musl-*.so.1' >/dev/null; then
        expect 0 'note: .*full path.*package/[$]LIB/multihome' "$installed" check --unit helper
    fi
    # In a tree of its own the unit has a loader of its own.
    printf '[Service]\nRootDirectory=/mnt\n' >"$units/helper.service.d/zzz.conf"
    systemctl daemon-reload
    expect 0 "\"LD_PRELOAD=$full\"\$" "$installed" enable --dry-run helper
    rm -r "$units/helper.service.d"
    systemctl daemon-reload
    systemctl stop helper
fi

# systemd's list for services permits all that the library calls: no line mends what is right, and a server that is
# preloaded by hand lives.
printf '[Unit]\nDefaultDependencies=no\n[Service]\nSystemCallFilter=@system-service\nExecStart=/opt/echo 5412\n' \
    >"$units/listed.service"
systemctl daemon-reload
expect 0 'LD_PRELOAD=/opt/libmultihome.so"$' "$ctl" enable --dry-run listed
! grep -q '^SystemCallFilter=' /run/said || complain "@system-service lacks a call that the library makes"
mkdir "$units/listed.service.d"
printf '[Service]\nEnvironment=LD_PRELOAD=/opt/libmultihome.so\n' >"$units/listed.service.d/a.conf"
systemctl daemon-reload
systemctl start listed
await 5412
echo >/dev/udp/192.0.2.3/5412
for ((tries = 0; tries < 100; tries++)); do
    ! "$ctl" stats :5412 2>/dev/null | grep -qE '^[0-9]+ +listed.service +5412 +1 ' || break
    sleep 0.05
done
expect 0 '^[0-9]+ +listed.service +5412 +1 ' "$ctl" stats :5412
systemctl stop listed
rm -r "$units"/listed.*
systemctl daemon-reload

# What systemd has for all services, a unit's own assignment replaces.
systemctl set-environment LD_PRELOAD=libm.so.6
expect 0 'LD_PRELOAD=libm.so.6:/opt/libmultihome.so"$' "$ctl" enable --dry-run overridden
systemctl unset-environment LD_PRELOAD

# An alias is the unit that it stands for, and a user that systemd makes up is nobody yet.
ln -s plain.service "$units/alias.service"
systemctl daemon-reload
expect 0 'plain.service: restarted; multihome works in it' "$ctl" enable --now alias
expect 0 'LD_PRELOAD reaches' "$ctl" check --unit alias
expect 0 '^ *[0-9]+ +plain.service +5401' "$ctl" stats alias
expect 0 'conversation' "$ctl" peers alias
expect 0 "^# rm $units/plain.service.d/zz-multihome.conf\$" "$ctl" disable --dry-run alias
if "$ctl" run -- true 2>/dev/null; then # where it does not, the end of this file says so
    expect 0 'attached to .*/plain.service' "$ctl" attach alias
    expect 0 'detached from .*/plain.service' "$ctl" detach alias
fi
rm "$units/alias.service"
mkdir "$units/overridden.service.d"
printf '[Service]\nDynamicUser=yes\n' >"$units/overridden.service.d/a.conf"
systemctl daemon-reload
expect 0 'zz-multihome.conf' "$ctl" enable --dry-run overridden
expect 0 'LD_PRELOAD reaches' "$ctl" check --unit overridden
rm -r "$units/overridden.service.d"
systemctl daemon-reload

# What stands in the way: said, and nothing is written.
middle=$(files)
expect 1 'attach static.service' "$ctl" enable --now static
expect 125 'statically linked' "$ctl" check --unit static
expect 1 'file capabilities' "$ctl" enable --now capable
mkdir "$units/overridden.service.d"
printf 'A=1\n LD_PRELOAD = libm.so.6\n' >/run/variables
while IFS='|' read -r setting said; do
    printf '[Service]\n%s\n' "$setting" >"$units/overridden.service.d/zzz.conf"
    systemctl daemon-reload
    expect 1 "$said" "$ctl" enable --now overridden
done <<'SETTINGS'
Environment=LD_PRELOAD=libm.so.6|a later drop-in sets LD_PRELOAD again
UnsetEnvironment=LD_PRELOAD|UnsetEnvironment= takes LD_PRELOAD away
EnvironmentFile=/run/variables|the environment file /run/variables sets LD_PRELOAD
EnvironmentFile=-/run/vari*|the environment file /run/variables sets LD_PRELOAD
SETTINGS
# What hides the library is mended by a line of the drop-in.
while read -r setting; do
    printf '[Service]\n%s\n' "$setting" >"$units/overridden.service.d/zzz.conf"
    systemctl daemon-reload
    expect 0 '^BindReadOnlyPaths=/opt/libmultihome.so$' "$ctl" enable --dry-run overridden
done <<'SETTINGS'
RootDirectory=/mnt
InaccessiblePaths=/opt
SETTINGS
# With a root directory of its own, the program is another file; where that cannot be seen, it is said.
mkdir -p /run/tree/opt
cp /opt/static /run/tree/opt/echo
printf '[Service]\nRootDirectory=/run/tree\n' >"$units/overridden.service.d/zzz.conf"
systemctl daemon-reload
expect 125 'statically linked' "$ctl" check --unit overridden
expect 1 'statically linked' "$ctl" enable --dry-run overridden
printf '[Service]\nRootDirectory=/mnt\n' >"$units/overridden.service.d/zzz.conf"
systemctl daemon-reload
expect 0 'note: .* was not looked at' "$ctl" check --unit overridden
rm -r "$units/overridden.service.d"
systemctl daemon-reload
# A path with what separates the fields that systemctl shows.
mkdir '/opt/a ; b'
cp /opt/echo '/opt/a ; b/echo'
printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart="/opt/a ; b/echo" 5411\n' >"$units/field.service"
systemctl daemon-reload
expect 0 'LD_PRELOAD reaches' "$ctl" check --unit field
rm "$units/field.service"
systemctl start broken || complain "broken.service does not start"
expect 1 'it does not start with the library, so the drop-in was taken back and the service restarted' \
    "$ctl" enable --now broken
expect 0 '^active$' systemctl is-active broken
# What did not run before does not run after.
systemctl stop broken
expect 1 'the drop-in was taken back and the service stopped' "$ctl" enable --now broken
! systemctl is-active --quiet broken || complain "broken.service runs, and did not before"
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n' >"$units/nothing.service"
systemctl daemon-reload
expect 2 'nothing.service has no ExecStart=' "$ctl" enable nothing
expect 2 'nothing.service has no ExecStart=' "$ctl" check --unit nothing
rm "$units/nothing.service"
expect 2 'no unit absent.service' "$ctl" enable absent
expect 2 'it is no library' "$ctl" enable --library /etc/passwd plain
expect 2 'no such library' "$ctl" enable --library /nowhere plain
[ "$(files)" = "$middle" ] || complain "a refused enable has left something"

# A file that somebody else has written is neither overwritten nor removed.
mkdir "$units/static.service.d"
printf '# mine\n[Service]\nNice=1\n' >"$units/static.service.d/zz-multihome.conf"
theirs=$(files)
for command in 'enable' 'enable --dry-run' 'disable' 'disable --dry-run'; do
    # shellcheck disable=SC2086 # the words of a command
    expect 2 'zz-multihome.conf: multihomectl did not write this file' "$ctl" $command static
done
[ "$(files)" = "$theirs" ] || complain "somebody else's drop-in has changed"
rm -r "$units/static.service.d"

# disable leaves no trace; told only to say what it would do, it leaves all.
expect 0 "^# rm $units/plain.service.d/zz-multihome.conf\$" "$ctl" disable --dry-run plain
expect 0 '^# take away what multihomectl has added to /etc/apparmor.d/local/opt.profiled$' "$ctl" disable -n profiled
[ "$(files)" = "$middle" ] || complain "disable --dry-run has removed something"
for unit in plain merged hardened hidden; do expect 0 'removed' "$ctl" disable --now "$unit"; done
# Where only the rule is there, only the rule is named.
rm -r "$units/profiled.service.d"
expect 0 '"apparmor": "/etc/apparmor.d/local/opt.profiled"' "$ctl" disable --dry-run --json profiled
expect 0 'profiled.service: removed what .* has added to /etc/apparmor.d/local/opt.profiled$' "$ctl" disable --now profiled
! grep -q 'zz-multihome' /run/said || complain "a drop-in that is not there was removed"
! is_in plain || complain "the library is still in plain.service"
expect 0 'nothing of multihomectl' "$ctl" disable plain
expect 0 'nothing of multihomectl' "$ctl" disable --dry-run plain
# A rule stays as long as another service with this profile preloads the library, running or not, whoever has written that.
printf '[Unit]\nDefaultDependencies=no\n[Service]\nAppArmorProfile=-opt.profiled\nExecStart=/opt/echo 54%%i\n' \
    >"$units/same@.service"
systemctl daemon-reload
for instance in 10 11; do expect 0 'wrote' "$ctl" enable same@$instance; done
mkdir -p /run/systemd/system/same@12.service.d
cp "$units/same@10.service.d/zz-multihome.conf" /run/systemd/system/same@12.service.d/other.conf
systemctl daemon-reload
for mode in '--dry-run' '--now'; do
    expect 0 'local/opt.profiled stays as it is: same@1[12].service needs it' "$ctl" disable "$mode" same@10
    grep -q '^/opt/libmultihome.so mr,' /etc/apparmor.d/local/opt.profiled || complain "another service's rule is lost"
done
[ ! -e "$units/same@10.service.d" ] || complain "the drop-in of same@10.service is still there"
expect 0 'stays as it is: same@12.service needs it' "$ctl" disable same@11
rm -r /run/systemd/system/same@12.service.d
systemctl daemon-reload
expect 0 'removed what .* has added to /etc/apparmor.d/local/opt.profiled$' "$ctl" disable same@11
rm "$units/same@.service"
systemctl daemon-reload
# So does the rule for another library, where an enable fails.
expect 0 'added to' "$ctl" enable profiled
cp /opt/libmultihome.so /opt/other.so
put systemctl '[ "$1" = daemon-reload ] || exec /usr/bin/systemctl "$@"' 'exit 1'
fails "for another library" 'daemon-reload failed' --library /opt/other.so
rm /opt/other.so
expect 0 'removed' "$ctl" disable profiled
# The kernel engine, for all but one service: when that starts again it is excepted again.
if "$ctl" run -- true 2>/run/said; then
    expect 0 '' "$ctl" attach --all --ports 5401 --except plain --persist
    systemctl daemon-reload
    first=$(systemctl show --property=ControlGroupId --value plain)
    for state in running stopped; do
        [ "$state" = running ] || systemctl stop plain
        systemctl restart plain || complain "plain.service does not start: $state"
        expect 0 '"except": *\[ *"/.*plain.service" *\]|^ *"/.*/plain.service"$' "$ctl" list -j
    done
    [ "$(systemctl show --property=ControlGroupId --value plain)" != "$first" ] || complain "the control group is the same"
    expect 0 'detached from /' "$ctl" detach --all --persist
    systemctl daemon-reload
else
    sed 's/^/SKIP: /' /run/said
fi
[ "$(files)" = "$before" ] || complain "disable has left something: $(diff <(echo "$before") <(files))"
echo "$faults faults"
[ "$faults" -eq 0 ]
