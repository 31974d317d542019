#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line and the environment: good values arrive, bad ones are refused before anything is started.
. "${0%/*}/common.sh"

expect 0 '^Usage: multihome' "$launcher" --help
expect 0 '^Usage: multihome' "$launcher" -h
expect 0 "^multihome $LAUNCHER_VERSION\$" "$launcher" --version
expect 0 "^multihomectl $LAUNCHER_VERSION\$" "$tool" --version
# shellcheck disable=SC2016 # for the inner shell
for words in --help --version '-n true'; do
    expect 125 '' sh -c 'exec "$0" $1 >/dev/full' "$launcher" "$words"
done
expect 125 'no command given' "$launcher"
expect 125 'no command given' "$launcher" --
expect 125 'no command given' "$launcher" -v
refuse 125 "unknown option '--nonsense'" "$launcher" --nonsense touch "$mark"
refuse 125 "unknown option '-x'" "$launcher" -x touch "$mark"
refuse 125 "unknown option '--verbose=1'" "$launcher" --verbose=1 touch "$mark"
for option in --log --log-file --ports --peers --timeouts --engine; do
    expect 125 "$option needs a value" "$launcher" "$option"
    refuse 125 "$option: the value is empty" "$launcher" "$option=" touch "$mark"
    refuse 125 "$option: the value is empty" "$launcher" "$option" '' touch "$mark"
done

# accept VARIABLE VALUE OPTION...: the program finds the variable with that value.
accept() {
    variable=$1
    value=$2
    shift 2
    expect 0 '' "$launcher" "$@" env
    expect_line "$variable=$value"
}
for level in off error warn info debug trace; do
    accept MULTIHOME_LOG "$level" --log "$level"
    accept MULTIHOME_LOG "$level" "--log=$level"
done
for ports in 53 1 65535 53,5000-5100 7-7 1-65535 1,2,3; do
    accept MULTIHOME_PORTS "$ports" --ports "$ports"
    accept MULTIHOME_PORTS "$ports" "--ports=$ports"
done
for timeouts in 1,1 30,120 1800,1800; do
    accept MULTIHOME_TIMEOUTS "$timeouts" --timeouts "$timeouts"
    accept MULTIHOME_TIMEOUTS "$timeouts" "--timeouts=$timeouts"
done
for peers in 64 65 262144 8388608; do
    accept MULTIHOME_PEERS "$peers" --peers "$peers"
    accept MULTIHOME_PEERS "$peers" "--peers=$peers"
done
accept MULTIHOME_SAME_INTERFACE 1 --same-interface
accept MULTIHOME_LOG info -v
accept MULTIHOME_LOG info --verbose
accept MULTIHOME_LOG trace -v --log trace
accept MULTIHOME_LOG trace --log trace -v
accept MULTIHOME_LOG_FILE "$scratch/new.log" --log-file "$scratch/new.log"
accept MULTIHOME_LOG_FILE "$scratch/new.log" "--log-file=$scratch/new.log"
# A relative file is made absolute, because servers change their directory.
cd "$scratch" || exit 1
accept MULTIHOME_LOG_FILE "$scratch/relative.log" --log-file relative.log
MULTIHOME_LOG_FILE=tree/environment.log
export MULTIHOME_LOG_FILE
accept MULTIHOME_LOG_FILE "$scratch/tree/environment.log"
accept MULTIHOME_LOG_FILE "$scratch/option.log" --log-file option.log
unset MULTIHOME_LOG_FILE
MULTIHOME_LOG=error
export MULTIHOME_LOG
accept MULTIHOME_LOG error
accept MULTIHOME_LOG debug --log debug
unset MULTIHOME_LOG
expect 0 'multihome: engine preload, library .*/libmultihome.so' "$launcher" -v env
expect 0 'multihome: command .*/env' "$launcher" -v env

# As people write them: handed on as the library reads them, from the command line and from the environment.
# accept_written OPTION VARIABLE WRITTEN READ
accept_written() {
    accept "$2" "$4" "$1" "$3"
    export "$2=$3"
    accept "$2" "$4"
    unset "$2"
}
accept_written --log MULTIHOME_LOG INFO info
accept_written --log MULTIHOME_LOG ' Debug ' debug
accept_written --log MULTIHOME_LOG Warning warn
accept_written --ports MULTIHOME_PORTS '53, 54' 53,54
accept_written --ports MULTIHOME_PORTS '53 54' 53,54
accept_written --ports MULTIHOME_PORTS ' 53 , 5000 - 5100 ' 53,5000-5100
accept_written --timeouts MULTIHOME_TIMEOUTS '30, 120' 30,120
if [ "$(getent services domain/udp | awk '{ print $2 }')" = 53/udp ]; then
    accept_written --ports MULTIHOME_PORTS domain 53
    accept_written --ports MULTIHOME_PORTS '5000-5100, domain' 5000-5100,53
    accept_written --ports MULTIHOME_PORTS domain-1000 53-1000
    # One that has a second name.
    accept_written --ports MULTIHOME_PORTS sunrpc 111
fi

# A misspelt name has no effect, and is not passed over.
expect 0 'warning: MULTIHOME_PORT is no setting' env MULTIHOME_PORT=53 "$launcher" "$probe"
expect_line 'preloaded=1'
expect 0 '^preloaded=1$' env 'MULTIHOME_LOG=info' 'OTHER=
MULTIHOME_NONE=1' "$launcher" "$probe"
! grep -q warning "$scratch/output" || complain 'a line of a value was taken for a name'

# reject OPTION VARIABLE VALUE: refused on the command line and in the environment, each under its own name.
reject() {
    refuse 125 "^multihome: $1: .*" "$launcher" "$1" "$3" touch "$mark"
    refuse 125 "^multihome: $1: .*" "$launcher" "$1=$3" touch "$mark"
    reject_environment "$2" "$3"
}
reject_environment() {
    [ -z "$2" ] || refuse 125 "^multihome: $1: " env "$1=$2" "$launcher" touch "$mark"
}
for level in '' verbose 1 info,debug; do
    reject --log MULTIHOME_LOG "$level"
done
for ports in '' ',' '53,' ',53' 0 65536 53-52 -53 53- 1-2-3 53-70000 no-such-service 53,no-such-service no-such-service-53 '53;54' '*' 053 0x35 +53 99999999999999999999 '*'; do
    reject --ports MULTIHOME_PORTS "$ports"
done
for peers in '' 63 0 -64 8388609 99999999 99999999999999999999 many 64.0 0100 '64 ' 1e3 '*'; do
    reject --peers MULTIHOME_PEERS "$peers"
done
for timeouts in '' 30 '30,' ',120' 0,120 30,0 30,120,1 a,b -1,2 1801,1 1,3600 030,120 '*'; do
    reject --timeouts MULTIHOME_TIMEOUTS "$timeouts"
done
mkfifo "$scratch/fifo"
for file in '' "$scratch" "$scratch/none/file.log" "$probe/file.log" "$scratch/fifo" /dev/null; do
    reject --log-file MULTIHOME_LOG_FILE "$file"
done
# Nor does the library follow a link for root, to the file or on the way, but where the shell went through one.
ln -s tree "$scratch/way"
ln -s new.log "$scratch/link"
touch "$scratch/new.log"
for file in "$scratch/way/file.log" way/file.log "$scratch/link"; do
    if [ "$(id -u)" -eq 0 ]; then
        reject --log-file MULTIHOME_LOG_FILE "$file"
    else
        echo "SKIP: $file: only root follows no link"
    fi
done
cd "$scratch/way" || exit 1
accept MULTIHOME_LOG_FILE "$scratch/tree/file.log" --log-file file.log
mkdir "$scratch/gone"
cd "$scratch/gone" && rmdir "$scratch/gone"
refuse 125 '' "$launcher" --log-file file.log touch "$mark"
cd "$scratch" || exit 1
for value in 2 yes true -1 '0 '; do
    reject_environment MULTIHOME_SAME_INTERFACE "$value"
    reject_environment MULTIHOME_DISABLE "$value"
done
# An empty variable is none.
for variable in MULTIHOME_LOG MULTIHOME_LOG_FILE MULTIHOME_PORTS MULTIHOME_PEERS MULTIHOME_DISABLE; do
    expect 0 '^preloaded=1$' env "$variable=" "$launcher" "$probe"
done

# A grep that sees nothing in a file of bytes, as busybox's.
mkdir "$scratch/greps"
printf '#!/bin/sh\nexec "%s" -I "$@"\n' "$(command -v grep)" >"$scratch/greps/grep"
chmod +x "$scratch/greps/grep"
expect 0 '^preloaded=1$' env LC_ALL=C PATH="$scratch/greps:$PATH" "$launcher" "$probe"

# Who asks for POSIX's way of reading options hears nothing of it.
printf '#!/bin/sh\n# a script\nexec true\n' >"$scratch/script"
chmod +x "$scratch/script"
expect 0 '' env POSIXLY_CORRECT=1 "$launcher" "$scratch/script"
[ ! -s "$scratch/output" ] || complain "POSIXLY_CORRECT: $(cat "$scratch/output")"

# The launcher's bounds are the library's.
settings=$LAUNCHER_SOURCE/shim/base/settings.hpp
for bound in minimum maximum; do
    number=$(sed -n "s/.*${bound}_peers = \([0-9']*\);.*/\1/p" "$settings" | tr -d "'")
    expect 0 '' "$launcher" --peers "${number:-none}" true
    [ "$bound" = minimum ] && beyond=$((number - 1)) || beyond=$((number + 1))
    refuse 125 '^multihome: --peers: ' "$launcher" --peers "$beyond" touch "$mark"
done
longest=$(sed -n 's/.*maximum_timeout = \([0-9]*\);.*/\1/p' "$settings")
expect 0 '' "$launcher" --timeouts "1,${longest:-none}" true
refuse 125 '^multihome: --timeouts: ' "$launcher" --timeouts "1,$((longest + 1))" touch "$mark"
finish
