# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # patience is from wall.sh
#
# Ways to ask, for the server files. Each prints what it saw and succeeds if the answer came from the address asked.

# A client that checks nothing but where the answer came from; the options are those of tests/lab/ask.py.
by_ask() { # ADDRESS [OPTION...]
    local answer
    answer=$(ask "$@" --timeout "$patience")
    say "answered from $answer"
    [ "$answer" = "$1" ]
}

# dig takes no answer from an address that it has not asked.
by_dig() { # ADDRESS NAME
    local verdict
    verdict=$(dig_source "$1" "$2" "+time=$patience")
    say "dig: $verdict"
    [ "$verdict" = right ]
}

# Talks to the server, line by line through a client program, and waits for each line to come back. A client that
# prints other things as well may do so.
converse() { # [--reversed] CLIENT...: with --reversed the server sends each line back to front
    local reversed='' line wanted got heard=0 child
    [ "$1" != --reversed ] || { reversed=yes && shift; }
    # shellcheck disable=SC2034 # CLIENT_PID, which bash takes back when the client ends
    coproc CLIENT { on_client "$@" 2>&1; }
    # Copies of the descriptors: bash closes its own as soon as the client ends.
    local from to
    exec {from}<&"${CLIENT[0]}" {to}>&"${CLIENT[1]}"
    child=$!
    for line in first-line second-line third-line; do
        wanted=$line
        [ -z "$reversed" ] || wanted=$(rev <<<"$line")
        { printf '%s\n' "$line" >&"$to"; } 2>/dev/null || break
        while IFS= read -r -t "$patience" -u "$from" got; do
            [[ $got != *"$wanted"* ]] || { heard=$((heard + 1)) && break; }
        done
        [[ ${got:-} == *"$wanted"* ]] || break
    done
    kill "$child" 2>/dev/null || true
    say "$heard of 3 lines came back"
    [ "$heard" -eq 3 ]
}
