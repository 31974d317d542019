# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # patience is from wall.sh
#
# Ways to ask, for the server files. Each prints what it saw and succeeds if the answer came from the address asked.

NOBODY_THERE=99 # what it returns that has not got as far as to an answer

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
# prints other things as well may do so. A line is sent again after a second: servers that give the socket away to one
# client and open a new one lose what another client sends meanwhile. While such a server has no other socket yet, the
# kernel tells who asks it that nobody is there, over which clients end. Then another one begins, which costs no
# patience, for that shows nothing of where answers come from.
converse() { # CLIENT...
    local heard=0 begun=0 status=$NOBODY_THERE
    while [ "$status" -eq "$NOBODY_THERE" ] && [ "$begun" -lt 60 ]; do
        begun=$((begun + 1))
        heard=0 status=0
        conversation "$@" || status=$?
        [ "$status" -ne "$NOBODY_THERE" ] || sleep 0.1
    done
    say "$heard of 3 lines came back$([ "$begun" -eq 1 ] || printf ', by client %s' "$begun")"
    return "$status"
}

# Once: counts in `heard`. 1: a line did not come back; NOBODY_THERE: the client has ended by itself.
conversation() { # CLIENT...
    local line got child from to tries status=0
    # shellcheck disable=SC2034 # CLIENT_PID, which bash takes back when the client ends
    # In place of the subshell, so that it is the client that is ended below.
    coproc CLIENT { exec ip netns exec "$LAB_CLIENT" "$@" 2>&1; }
    child=$!
    # Copies of the descriptors: bash closes its own as soon as the client ends.
    exec {from}<&"${CLIENT[0]}" {to}>&"${CLIENT[1]}"
    for line in first-line second-line third-line; do
        for ((tries = 0; tries < patience; tries++)); do
            { printf '%s\n' "$line" >&"$to"; } 2>/dev/null || { status=$NOBODY_THERE && break 2; }
            # Until the line has come, a second has passed without one (above 128), or the client has ended.
            while IFS= read -r -t 1 -u "$from" got || { status=$? && false; }; do
                [[ $got != *"$line"* ]] || { heard=$((heard + 1)) && continue 3; }
            done
            [ "$status" -gt 128 ] || { status=$NOBODY_THERE && break 2; }
        done
        status=1
        break
    done
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    exec {from}<&- {to}>&-
    [ "$heard" -lt 3 ] || status=0
    return "$status"
}

host_port() { # ADDRESS: as programs want it that take both in one argument
    case $1 in
    *:*) printf '[%s]:%s\n' "$1" "$LAB_PORT" ;;
    *) printf '%s:%s\n' "$1" "$LAB_PORT" ;;
    esac
}

# A certificate for a server, in cert.pem and key.pem of its directory.
self_signed() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=wall.test \
        -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
    chmod 644 "$dir/key.pem"
}

# Runs a client that would take an answer from anywhere, through a relay that is connected to the address asked: the
# client asks 127.0.0.1 at the port for which RELAY stands in its arguments.
through_relay() { # ADDRESS CLIENT...
    local target port=$((10000 + BASHPID % 20000)) tries status=0
    target=$(host_port "$1")
    shift
    (exec ip netns exec "$LAB_CLIENT" socat "UDP4-LISTEN:$port,bind=127.0.0.1" "UDP:$target" >/dev/null 2>&1) &
    for ((tries = 0; tries < 100; tries++)); do
        [ "$(LAB_SERVER=$LAB_CLIENT lab_sockets_on "$port")" -eq 0 ] || break
        sleep 0.05
    done
    on_client timeout "$patience" "${@//RELAY/$port}" || status=$?
    kill "$!" 2>/dev/null || true
    return "$status"
}

# Starts a client that goes on and on, and ends it when it says what it should.
until_it_says() { # TEXT CLIENT...
    local text=$1 got child from deadline=$((SECONDS + patience))
    shift
    # shellcheck disable=SC2034 # CLIENT_PID, as above
    coproc CLIENT { exec ip netns exec "$LAB_CLIENT" "$@" 2>&1; }
    child=$!
    exec {from}<&"${CLIENT[0]}"
    while [ "$SECONDS" -le "$deadline" ] && IFS= read -r -t "$patience" -u "$from" got; do
        [[ $got != *"$text"* ]] || break
    done
    kill "$child" 2>/dev/null || true
    say "${got:-silence}"
    [[ ${got:-} == *"$text"* ]]
}
