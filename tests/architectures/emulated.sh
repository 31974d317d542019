#!/bin/sh
# SPDX-License-Identifier: MIT
# emulated.sh SOURCE WORK PRESET TRIPLET QEMU: builds the library and its unit tests by PRESET below WORK, and runs the tests;
# then a server on the wildcard address: bare it answers from the wrong address, preloaded from the right one. QEMU runs
# the programs, or "none": this machine does it itself, as those of x86-64 usually do with 32-bit x86.
set -eu
source=$1 build=$2/$3 preset=$3 triplet=$4 qemu=$5
here=$(cd "$(dirname "$0")" && pwd)
skip() {
    echo "SKIP: $*"
    exit 77
}
command -v "$triplet-g++" >/dev/null || skip "$triplet-g++ is not installed"

# run LIBRARY PROGRAM [ARGUMENT...]: in place of this shell, with LIBRARY preloaded, unless that is empty.
if [ "$qemu" = none ]; then
    # By the loader's name, for a cross compiler's libraries are not where programs look for theirs.
    loader=$(find "/usr/$triplet/lib" -maxdepth 1 -name 'ld-linux*.so.?')
    "${loader:-false}" --version >/dev/null 2>&1 || skip "this machine does not run $preset programs"
    run() {
        preload=$1
        shift
        exec env LD_PRELOAD="$preload" "$loader" --library-path "/usr/$triplet/lib" "$@"
    }
    suites='' cases='' kernel=this
else
    command -v "$qemu" >/dev/null || skip "$qemu is not installed"
    run() {
        preload=$1
        shift
        # In the environment of qemu itself LD_PRELOAD is for this machine's loader.
        exec "$qemu" -L "/usr/$triplet" ${preload:+-E "LD_PRELOAD=$preload"} "$@"
    }
    # Not what pits threads against each other or takes long under an emulator, nor what qemu-user has otherwise than the
    # kernel: how control messages are cut, SO_COOKIE, that there is room for long control buffers.
    suites='*races,false_match,control_kernel*'
    kernel=
    cases='no salt comes again*,a copy of a descriptor is known*,a socket that came from elsewhere*'
    cases=$cases',what one call takes in several*'
fi

server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM

"${MULTIHOME_CMAKE:-cmake}" -S "$source" -B "$build" --preset "$preset" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DMULTIHOME_UNITY=ON \
    -DMULTIHOME_WERROR=OFF
"${MULTIHOME_CMAKE:-cmake}" --build "$build" --target multihome multihome_unit_tests >"$build/said" 2>&1 || {
    cat "$build/said"
    exit 1
}
if grep -A5 '/shim/[^ ]*: warning:' "$build/said"; then
    echo "FAIL: the compiler warns of the library"
    exit 1
fi
(run '' "$build/multihome_unit_tests" --no-intro --no-version --minimal ${suites:+--test-suite-exclude="$suites"} \
    ${cases:+--test-case-exclude="$cases"})

# In a 32-bit program for which a time has 64 bits, many of libc's functions have other names. Where a long has 64, this
# compiles the same program again.
sh "$source/tests/unit/exports.sh" "$build/libmultihome.so" "$source/shim/symbols.def"
"$triplet-gcc" -O1 -Wall -o "$build/echo" "$here/echo.c"
"$triplet-gcc" -O1 -Wall -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64 -o "$build/echo64" "$here/echo.c"
# serve_and_ask LIBRARY PROGRAM CALLS: counts the answers that come from the address asked, and the others.
serve_and_ask() {
    right=0 wrong=0 port=
    # The server says the port that it got.
    run "$1" "$build/$2" "$3" ${kernel:+"$kernel"} >"$build/port" &
    server=$!
    for _ in $(seq 300); do
        if [ -s "$build/port" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
        sleep 0.2
    done
    read -r port <"$build/port" || {
        echo "FAIL: $2 $3 does not start${1:+ with the library}"
        exit 1
    }
    for address in 127.0.0.2 127.0.0.3 127.10.20.30; do
        answered=$(/usr/bin/python3 "$here/ask_loopback.py" "$address" "$port")
        if [ "$answered" = "$address" ]; then right=$((right + 1)); else wrong=$((wrong + 1)); fi
    done
    kill "$server" || {
        echo "FAIL: $2 $3 ended${1:+ with the library}"
        exit 1
    }
    wait "$server" 2>/dev/null || true
    server=
    rm -f "$build/port"
}
for program in echo echo64; do
    serve_and_ask '' "$program" batch
    [ "$wrong" -eq 3 ] || {
        echo "FAIL: $program: without the library $right answers came from the address asked: nothing is shown here"
        exit 1
    }
done
for program in echo echo64; do
    for calls in '' message batch; do
        serve_and_ask "$build/libmultihome.so" "$program" "$calls"
        [ "$right" -eq 3 ] || {
            echo "FAIL: $program $calls: with the library $wrong of 3 answers came from a wrong address"
            exit 1
        }
    done
done
echo "ok: $preset: 6 answers wrong without the library, 18 right with it"
