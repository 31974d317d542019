#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The lab removes what it made, however a test ends: by itself, by failing, by a signal, or by SIGKILL, after which the
# next test removes it. A test in another namespace of processes leaves it alone.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

if [ "${1:-}" = inner ]; then # the test that is ended: says where its things are, then does as it is told
    lab_topology_a
    start_server prefork "${LAB_ECHO[@]}" --prefork
    # A server that has left its process group and does not want to go.
    on_server setsid --fork "$LAB_PYTHON" -c 'import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)' </dev/null >/dev/null 2>&1
    ask 192.0.2.2 >/dev/null # who is answered knows that the server's child runs
    say "$LAB_SERVER $LAB_CLIENT $LAB_DIR $(ip netns pids "$LAB_SERVER" | paste -sd ' ')"
    case $2 in
    end) exit 0 ;;
    fail) fail "as told" ;;
    wait)
        # Short questions: a signal that hits a child of bash between its fork and its exec is lost, and bash itself
        # acts on its own one only when the child has ended. It ends by itself, should nobody end it.
        for _ in {1..40}; do ask 192.0.2.99 --timeout 0.5 >/dev/null; done
        fail "nobody has ended this test"
        ;;
    esac
fi

gone() { # LINE: the inner test's one line of output
    local server client directory pids pid names tries
    read -r server client directory pids <<<"$1"
    [ "$(wc -w <<<"$pids")" -ge 3 ] || fail "the inner test started too little: $1"
    names=$(ip netns list)
    [[ $names != *"$server"* && $names != *"$client"* ]] || fail "a namespace is left: $names"
    [ ! -e "$directory" ] || fail "$directory is left"
    for pid in $pids; do
        for tries in {1..100}; do
            # A zombie is over, even where nobody collects it.
            grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" || break
            [ "$tries" -lt 100 ] || fail "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
            sleep 0.05
        done
    done
}

lab_start
for ending in end fail TERM INT HUP KILL; do
    log=$LAB_DIR/$ending.out
    how=wait status=0
    case $ending in end | fail) how=$ending ;; esac
    # Its own process group: what hits a test from outside (a terminal, `timeout`) hits its children too. And with the
    # default dispositions, since a shell has its background commands ignore SIGINT.
    "$LAB_PYTHON" -c 'import os, signal, sys
os.setsid()
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' bash "${BASH_SOURCE[0]}" inner "$how" >"$log" 2>/dev/null &
    inner=$!
    for ((tries = 0; tries < 400; tries++)); do
        [ ! -s "$log" ] || break
        sleep 0.05
    done
    [ -s "$log" ] || fail "the inner test did not start"
    case $ending in
    end | fail) ;;
    *) kill "-$ending" -- "-$inner" ;;
    esac
    wait "$inner" 2>/dev/null || status=$?
    case $ending in
    end) [ "$status" -eq 0 ] || fail "the inner test failed: $status" ;;
    KILL) lab_sweep ;;
    *) [ "$status" -ne 0 ] || fail "the inner test succeeded after $ending" ;;
    esac
    gone "$(head -n 1 "$log")"
    say "ok: nothing is left after $ending"
done

if unshare --pid --fork --mount-proc true 2>/dev/null; then
    # shellcheck disable=SC2016 # for the inner shell
    unshare --pid --fork --mount-proc bash -c '. "$0/lab.sh" && lab_sweep' "$LAB_HERE"
    ip -n "$LAB_SERVER" link show lo >/dev/null || fail "a sweep in another namespace of processes has removed $LAB_SERVER"
    [ -d "$LAB_DIR" ] || fail "a sweep in another namespace of processes has removed $LAB_DIR"
    say "ok: all is left after a sweep in another namespace of processes"
else
    say "SKIP: a sweep in another namespace of processes: none can be made"
fi
