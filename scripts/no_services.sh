# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Debian starts a server as soon as it is installed, unless /usr/sbin/policy-rc.d forbids it. To be sourced by what installs
# packages: forbid_services before it, allow_services after it and at each start. The second line of the file names those
# that want it, by process, time of start and namespace of processes; the last one of them removes it, and whoever comes next
# where that one was killed. A file of somebody else's stays as it is.

policy=/usr/sbin/policy-rc.d
policy_mark='# multihome installs packages:'

process_namespace() { stat -L -c %i /proc/self/ns/pid; }
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; } # PROCESS

# Of another namespace only the host's own, which sees all processes, can tell; that has always this number.
goes_on() { # PROCESS:START:NAMESPACE
    case $1 in
    *:"$(process_namespace)") [ "$(started_at "${1%%:*}"):$(process_namespace)" = "${1#*:}" ] ;;
    *)
        [ "$(process_namespace)" != 4026531836 ] ||
            [ -n "$(find /proc/[0-9]*/ns/pid -lname "pid:\[${1##*:}\]" 2>/dev/null | head -n 1)" ]
        ;;
    esac
}

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
                [ "$one" = "$(this_process)" ] || ! goes_on "$one" || wanted="$wanted $one"
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

this_process() { printf '%s:%s:%s' "$$" "$(started_at "$$")" "$(process_namespace)"; }
forbid_services() { change_policy "$(this_process)"; }
allow_services() { [ ! -e "$policy" ] || change_policy ''; }

# Removes nothing: what is installed on this host is wanted. Another one that installs is waited for.
apt_install() { # PACKAGE...
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends --no-remove "$@"
}
