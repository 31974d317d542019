#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program that is skipped bare is a skipped test. One that is skipped with the shim alone is a failed one: else a fault of
# the shim would look like a machine that lacks something.
#
#   skipped.sh DIRECTORY (of compare.sh)
set -u

here=${1:?the directory of compare.sh}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
status=0

expect() { # STATUS SCRIPT [ARG...]
    wanted=$1
    shift
    sh "$@" >"$work/said" 2>&1
    got=$?
    if [ "$got" -eq "$wanted" ]; then
        echo "ok: ${1##*/} ends with $got"
    else
        echo "FAIL: ${1##*/} ends with $got, should end with $wanted:"
        cat "$work/said"
        status=1
    fi
}

# The three tell a program in three ways that it runs with the shim.
cat >"$work/program" <<'TEXT'
#!/bin/sh
[ "$1" != "${SHIM:+shim}" ] && [ "$1" != bare ] || { echo 'SKIP: this one'; exit 77; }
echo 'answer asked=one from=another'
TEXT
cat >"$work/program.py" <<'TEXT'
import sys
sys.exit(77 if sys.argv[1] == sys.argv[2] else 0)
TEXT
cat >"$work/counted" <<'TEXT'
#!/bin/sh
[ "$1" != "${LD_PRELOAD:+6}" ] && [ "$1" != 4 ] || exit 77
TEXT
chmod 755 "$work/program" "$work/counted"

expect 77 "$here/compare.sh" -i "$work/program" bare
expect 1 "$here/compare.sh" -i "$work/program" shim
expect 77 "$here/../connect/twice.sh" "$work/program.py" bare
expect 1 "$here/../connect/twice.sh" "$work/program.py" shim
sh "$here/../connect/questions.sh" "$work/counted" 5 0 >"$work/said" 2>&1
if [ $? -eq 77 ]; then
    echo "SKIP: questions.sh: $(tail -n 1 "$work/said")"
else
    expect 77 "$here/../connect/questions.sh" "$work/counted" 4 0
    expect 1 "$here/../connect/questions.sh" "$work/counted" 6 0
fi
exit "$status"
