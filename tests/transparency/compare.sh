#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a program bare and under the shim and compares everything that it prints, and how it ends.
#
#   compare.sh [-w LIBRARY] [-o first|last] [-l PATTERN] [-e NAME=VALUE] [-i] PROGRAM [ARG...]
#
#   -w  preload this library as well, in both runs; -o says where the shim stands, before it (the default) or after it
#   -l  the shim's log has exactly one line, and it matches this pattern; again for each further line. Without it the log
#       stays empty
#   -e  set this variable in both runs
#   -i  the shim is not expected to change the source (a place where it has to stay out of the way)
#
# A program that prints "SKIP: " bare is skipped. One that prints it with the shim alone has failed: what it could do bare,
# the shim has taken from it.
#
# Programs print "answer asked=A from=B" where a client asked address A and was answered from B. That is the one thing
# that the shim changes: from bare output where B is another address, the expected output is made by putting A in its
# place. A program that never shows a wrong source when it runs bare has compared nothing, so that is a failure too.
set -u

library=${MULTIHOME_LIBRARY:?the shim to test}
# A sanitizer's runtime, which has to come before all other libraries, in both runs.
runtime=${MULTIHOME_RUNTIME:-}
with=
order=first
patterns=
idle=
variables=
while getopts w:o:l:e:i option; do
    case $option in
    w) with=$OPTARG ;;
    o) order=$OPTARG ;;
    l) patterns="$patterns$OPTARG
" ;;
    e) variables="$variables $OPTARG" ;;
    i) idle=yes ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

# A library by its bare name is looked for by the loader, which only warns where there is none.
if [ -n "$with" ] && LD_PRELOAD=$with /bin/true 2>&1 | grep -q 'cannot be preloaded'; then
    echo "SKIP: $with is not installed"
    exit 77
fi

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

case $order in
first) shimmed="$library${with:+:$with}" ;;
last) shimmed="${with:+$with:}$library" ;;
*) exit 2 ;;
esac

# run NAME PRELOAD PROGRAM [ARG...]
run() {
    name=$1
    preload=${runtime:+$runtime${2:+:}}$2
    shift 2
    # shellcheck disable=SC2086 # a list of variables
    timeout -k 5 60 env -u LD_PRELOAD $variables ${preload:+LD_PRELOAD="$preload"} \
        ${shim:+SHIM="$shim"} MULTIHOME_LOG_FILE="$work/log" "$@" >"$work/$name" 2>&1 </dev/null
    echo "ended with $?" >>"$work/$name"
    if grep '^SKIP: ' "$work/$name"; then
        [ "$name" = shim ] || exit 77
        echo "FAILED: bare it is not skipped"
        exit 1
    fi
}

# SHIM tells probes that start others what those are to be started with.
shim=
run bare "$with" "$@"
: >"$work/log"
shim=${runtime:+$runtime:}$library
run shim "$shimmed" "$@"

if [ -n "$idle" ]; then
    cp "$work/bare" "$work/expected"
else
    sed -E 's/^(answer asked=([^ ]+)) from=[^ ]+/\1 from=\2/' "$work/bare" >"$work/expected"
    if cmp -s "$work/bare" "$work/expected"; then
        tail -n 5 "$work/bare"
        echo "FAILED: nothing to compare: bare, no answer left from a wrong address"
        exit 1
    fi
fi

status=0
if ! diff -u "$work/expected" "$work/shim" >"$work/diff"; then
    sed -e '1s/.*/--- expected: as bare, from the address that was asked/' -e '2s/.*/+++ with the shim/' "$work/diff" |
        head -n 60
    status=1
elif [ "$(tail -n 1 "$work/bare")" != "ended with 0" ]; then
    tail -n 5 "$work/bare"
    echo "FAILED: the program itself does not do its work"
    status=1
fi
printf %s "$patterns" >"$work/patterns"
lines=0
while read -r pattern; do
    lines=$((lines + 1))
    if ! sed -n "${lines}p" "$work/log" | grep -qE "$pattern"; then
        echo "FAILED: line $lines of the log should have '$pattern'"
        status=1
    fi
done <"$work/patterns"
if [ "$(wc -l <"$work/log")" -ne "$lines" ]; then
    echo "FAILED: lines in the log, which should have $lines: $(wc -l <"$work/log")"
    status=1
fi
[ "$status" -eq 0 ] || head -n 20 "$work/log"
exit "$status"
