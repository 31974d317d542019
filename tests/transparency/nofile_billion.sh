#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Point 3: RLIMIT_NOFILE of a billion. usage: nofile_billion.sh PROBE (descriptors.cpp), to be run by compare.sh.
#
# fs.nr_open, the system's limit for that limit, is raised for the moment in which the limit is set, and put back at
# once: the limit stays with the process. Another run that comes here meanwhile waits: else it would take what is raised
# for what was there before.
set -u

limit=1000000000
exec 9</proc/sys/fs/nr_open
flock 9
before=$(cat /proc/sys/fs/nr_open) || exit 1
put_back() {
    [ "$before" -ge "$limit" ] || echo "$before" >/proc/sys/fs/nr_open
}
trap put_back EXIT
trap 'exit 2' HUP INT TERM
if [ "$before" -lt "$limit" ] && ! echo "$limit" 2>/dev/null >/proc/sys/fs/nr_open; then
    echo "SKIP: may not raise fs.nr_open"
    trap - EXIT
    exit 0
fi
prlimit --pid $$ --nofile=$limit:$limit 2>/dev/null
raised=$?
put_back
trap - EXIT
exec 9<&-
if [ "$raised" -ne 0 ]; then
    echo "SKIP: may not raise RLIMIT_NOFILE"
    exit 0
fi
exec "$1" nofile_billion
