#!/bin/bash
# SPDX-License-Identifier: MIT
#
# enable and disable: what they write and say, and that the library is in the service.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start plain:5401 merged:5402 hardened:5403 hidden:5404
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

# A profile with a name of its own, in a file that is named otherwise.
apparmor on named
printf 'profile named /{opt,srv}/echo flags=(attach_disconnected) {\n}\n' | tee /etc/apparmor.d/other >/etc/apparmor.d/other.dpkg-old
expect 0 '^# /etc/apparmor.d/local/other$' "$ctl" enable --dry-run plain
apparmor off
expect 0 'LD_PRELOAD' "$ctl" enable --dry-run plain
! grep -q 'apparmor' /run/said || complain "a rule where AppArmor is off"
rm /etc/apparmor.d/other*

# An alias is the unit that it stands for.
ln -s plain.service "$units/alias.service"
systemctl daemon-reload
expect 0 'plain.service: restarted; multihome works in it' "$ctl" enable --now alias
expect 0 'LD_PRELOAD reaches' "$ctl" check --unit alias
expect 0 '^ *[0-9]+ +plain.service +5401' "$ctl" stats alias
expect 0 'conversation' "$ctl" peers alias
expect 0 "^# rm $units/plain.service.d/zz-multihome.conf\$" "$ctl" disable --dry-run alias
rm "$units/alias.service"
systemctl daemon-reload

# disable leaves no trace; told only to say what it would do, it leaves all.
middle=$(files)
expect 0 "^# rm $units/plain.service.d/zz-multihome.conf\$" "$ctl" disable --dry-run plain
[ "$(files)" = "$middle" ] || complain "disable --dry-run has removed something"
for unit in plain merged hardened hidden; do expect 0 'removed' "$ctl" disable --now "$unit"; done
! is_in plain || complain "the library is still in plain.service"
expect 0 'nothing of multihomectl' "$ctl" disable plain
expect 0 'nothing of multihomectl' "$ctl" disable --dry-run plain
finish
