#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What stands in the way of enable, and what it mends: it says so, and writes nothing where it refuses.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# What systemd has for all services, a unit's own assignment replaces.
systemctl set-environment LD_PRELOAD=libm.so.6
expect 0 'LD_PRELOAD=libm.so.6:/opt/libmultihome.so"$' "$ctl" enable --dry-run overridden
systemctl unset-environment LD_PRELOAD

# A user that systemd makes up is nobody yet.
mkdir "$units/overridden.service.d"
printf '[Service]\nDynamicUser=yes\n' >"$units/overridden.service.d/a.conf"
systemctl daemon-reload
expect 0 'zz-multihome.conf' "$ctl" enable --dry-run overridden
expect 0 'LD_PRELOAD reaches' "$ctl" check --unit overridden
rm -r "$units/overridden.service.d"
systemctl daemon-reload

# What stands in the way: said, and nothing is written.
cp /opt/echo /opt/capable
setcap cap_net_bind_service=ep /opt/capable || complain "no capabilities on files here"
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
[ "$(files)" = "$before" ] || complain "a refused enable has left something"

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
finish
