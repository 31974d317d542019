#!/bin/sh
# SPDX-License-Identifier: MIT
# emulated.sh SOURCE WORK PRESET TRIPLET QEMU: builds the library and its unit tests by PRESET below WORK, runs the tests
# under qemu-user, and a server on the wildcard address: bare it answers from the wrong address, preloaded from the right one.
set -eu
source=$1 build=$2/$3 preset=$3 triplet=$4 qemu=$5
here=$(cd "$(dirname "$0")" && pwd)
skip() {
    echo "SKIP: $*"
    exit 77
}
for tool in "$triplet-g++" "$qemu"; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM

"${MULTIHOME_CMAKE:-cmake}" -S "$source" -B "$build" --preset "$preset" \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1
"${MULTIHOME_CMAKE:-cmake}" --build "$build" --target multihome multihome_unit_tests --parallel "$(nproc)"
# Not what counts threads against each other or times out under an emulator.
"${MULTIHOME_CTEST:-ctest}" --test-dir "$build" --output-on-failure --no-tests=error -L unit -E 'races|false_match|exports'

"$triplet-gcc" -O1 -Wall -o "$build/echo" "$here/echo.c"
right=0 wrong=0
# serve_and_ask [QEMU-OPTION...]: counts the answers that come from the address asked, and the others.
serve_and_ask() {
    right=0 wrong=0
    # The server says the port that it got.
    "$qemu" -L "/usr/$triplet" "$@" "$build/echo" >"$build/port" &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ ! -s "$build/port" ] || break
        sleep 0.5
    done
    read -r port <"$build/port"
    for address in 127.0.0.2 127.0.0.3 127.10.20.30; do
        answered=$(/usr/bin/python3 "$here/ask_loopback.py" "$address" "$port")
        if [ "$answered" = "$address" ]; then right=$((right + 1)); else wrong=$((wrong + 1)); fi
    done
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
    rm -f "$build/port"
}
serve_and_ask
[ "$wrong" -eq 3 ] || {
    echo "FAIL: without the library $right answers came from the address asked: nothing is shown here"
    exit 1
}
# The preload goes to the emulated program's loader: in the environment of qemu itself it is for this machine's.
serve_and_ask -E "LD_PRELOAD=$build/libmultihome.so"
[ "$right" -eq 3 ] || {
    echo "FAIL: with the library $wrong of 3 answers came from a wrong address"
    exit 1
}
echo "ok: $preset: 3 answers wrong without the library, 3 right with it"
