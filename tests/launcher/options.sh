#!/bin/sh
# SPDX-License-Identifier: MIT
# The command line and the environment: good values arrive, bad ones are refused before anything is started.
. "${0%/*}/common.sh"

expect 0 '^Usage: multihome' "$launcher" --help
expect 0 '^Usage: multihome' "$launcher" -h
expect 0 "^multihome $LAUNCHER_VERSION\$" "$launcher" --version
expect 0 "^multihomectl $LAUNCHER_VERSION\$" "$tool" --version
expect 125 'no command given' "$launcher"
expect 125 'no command given' "$launcher" --
expect 125 'no command given' "$launcher" -v
refuse 125 "unknown option '--nonsense'" "$launcher" --nonsense touch "$mark"
refuse 125 "unknown option '-x'" "$launcher" -x touch "$mark"
refuse 125 "unknown option '--verbose=1'" "$launcher" --verbose=1 touch "$mark"
for option in --log --log-file --ports --peers; do
    expect 125 "$option needs a value" "$launcher" "$option"
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
accept MULTIHOME_LOG_FILE /dev/null --log-file=/dev/null
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
expect 0 'multihome: library .*/libmultihome.so' "$launcher" -v env
expect 0 'multihome: command .*/env' "$launcher" -v env

# reject OPTION VARIABLE VALUE: refused on the command line and in the environment, each under its own name.
reject() {
    refuse 125 "^multihome: $1: .*" "$launcher" "$1" "$3" touch "$mark"
    refuse 125 "^multihome: $1: .*" "$launcher" "$1=$3" touch "$mark"
    reject_environment "$2" "$3"
}
reject_environment() {
    [ -z "$2" ] || refuse 125 "^multihome: $1: " env "$1=$2" "$launcher" touch "$mark"
}
for level in '' verbose INFO 1 'info ' info,debug; do
    reject --log MULTIHOME_LOG "$level"
done
for ports in '' ',' '53,' ',53' 0 65536 53-52 -53 53- 1-2-3 53-70000 a 53,a '53 54' 053 0x35 +53 99999999999999999999 '*'; do
    reject --ports MULTIHOME_PORTS "$ports"
done
for peers in '' 63 0 -64 8388609 99999999 99999999999999999999 many 64.0 0100 '64 ' 1e3 '*'; do
    reject --peers MULTIHOME_PEERS "$peers"
done
for file in '' "$scratch" "$scratch/none/file.log" "$probe/file.log"; do
    reject --log-file MULTIHOME_LOG_FILE "$file"
done
for value in 2 yes true -1 '0 '; do
    reject_environment MULTIHOME_SAME_INTERFACE "$value"
    reject_environment MULTIHOME_DISABLE "$value"
done
# An empty variable is none.
for variable in MULTIHOME_LOG MULTIHOME_LOG_FILE MULTIHOME_PORTS MULTIHOME_PEERS MULTIHOME_DISABLE; do
    expect 0 '^preloaded=1$' env "$variable=" "$launcher" "$probe"
done

# The launcher's bounds are the library's.
settings=$LAUNCHER_SOURCE/shim/base/settings.hpp
for bound in minimum maximum; do
    number=$(sed -n "s/.*${bound}_peers = \([0-9']*\);.*/\1/p" "$settings" | tr -d "'")
    expect 0 '' "$launcher" --peers "${number:-none}" true
    [ "$bound" = minimum ] && beyond=$((number - 1)) || beyond=$((number + 1))
    refuse 125 '^multihome: --peers: ' "$launcher" --peers "$beyond" touch "$mark"
done
finish
