# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Debian starts a server as soon as it is installed, unless /usr/sbin/policy-rc.d forbids it. To be sourced by what installs
# packages: forbid_services before it, allow_services after it and at each start. The second line of the file names those
# that want it, by process and time of start; the last one of them removes it, and whoever comes next where that one was
# killed. A file of somebody else's stays as it is.

policy=/usr/sbin/policy-rc.d
policy_mark='# multihome installs packages:'

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; } # PROCESS

change_policy() { # OWN: this process, or nobody
    (
        flock 9
        wanted=$1
        if [ -e "$policy" ]; then
            line=$(sed -n 2p "$policy")
            case $line in
            "$policy_mark "*) ;;
            *) exit 0 ;;
            esac
            for one in ${line#"$policy_mark"}; do
                [ "${one%:*}" = "$$" ] || [ "$(started_at "${one%:*}")" != "${one#*:}" ] || wanted="$wanted $one"
            done
        fi
        if [ -n "$wanted" ]; then
            # Not gone for a moment: another one may be installing.
            printf '#!/bin/sh\n%s %s\nexit 101\n' "$policy_mark" "$wanted" >"$policy.new"
            chmod 755 "$policy.new"
            mv "$policy.new" "$policy"
        else
            rm -f "$policy"
        fi
    ) 9<"${policy%/*}"
}

forbid_services() { change_policy "$$:$(started_at "$$")"; }
allow_services() { [ ! -e "$policy" ] || change_policy ''; }
