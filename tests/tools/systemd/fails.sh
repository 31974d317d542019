#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What an enable that fails half way leaves (nothing), and a rule of AppArmor that several services need.
# shellcheck disable=SC2016 # for the scripts that it writes
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start profiled:5408

# `put` puts a script in the place of a command, and `fails` enables with it.
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

apparmor on
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
apparmor off
put systemctl '[ "$1" = daemon-reload ] || exec /usr/bin/systemctl "$@"' 'exit 1'
fails "systemd does not read its units" 'daemon-reload failed'
is_asked='[ "$1" = show ] && [ -e /etc/systemd/system/profiled.service.d ] || exec /usr/bin/systemctl "$@"'
put systemctl "$is_asked" 'exit 1'
fails "systemd cannot be asked any more" 'systemd cannot be asked'
put systemctl "$is_asked" '[ "$2" != --no-pager ] || exec /usr/bin/systemctl "$@"' "$starve" 'exec /usr/bin/systemctl "$@"'
fails "the service cannot be restarted" 'cannot make a file in memory' --now
expect 0 'added to /etc/apparmor.d/local/opt.profiled: /opt/libmultihome.so mr,' "$ctl" enable --now profiled

# Told only to say what it would do, disable leaves all. Where only the rule is there, only the rule is named.
middle=$(files)
expect 0 '^# take away what multihomectl has added to /etc/apparmor.d/local/opt.profiled$' "$ctl" disable -n profiled
[ "$(files)" = "$middle" ] || complain "disable --dry-run has removed something"
rm -r "$units/profiled.service.d"
expect 0 '"apparmor": "/etc/apparmor.d/local/opt.profiled"' "$ctl" disable --dry-run --json profiled
expect 0 'profiled.service: removed what .* has added to /etc/apparmor.d/local/opt.profiled$' "$ctl" disable --now profiled
! grep -q 'zz-multihome' /run/said || complain "a drop-in that is not there was removed"

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
finish
