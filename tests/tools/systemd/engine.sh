#!/bin/bash
# SPDX-License-Identifier: MIT
#
# attach and detach: a unit by its alias, and all but one service, over a new start of that one.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! "$ctl" run -- true 2>/run/said; then
    sed 's/^/SKIP: /' /run/said
    exit 77
fi
start plain:5401
ln -s plain.service "$units/alias.service"
systemctl daemon-reload
expect 0 'attached to .*/plain.service' "$ctl" attach alias
expect 0 'detached from .*/plain.service' "$ctl" detach alias
rm "$units/alias.service"
systemctl daemon-reload

# When a service that is excepted starts again, it is excepted again.
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
finish
