#!/bin/sh
# SPDX-License-Identifier: MIT
# loader.sh LIBRARY: preloaded by its name with $LIB, the library is in programs of glibc, passed over without a word by
# those of musl, and would end these by its full path. Below /usr/local, where $LIB means the same as below /usr, would be
# somebody's: the tree is a temporary one, which $LIB does not mind.
set -eu
library=$1
skip() {
    echo "SKIP: $*"
    exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
loader=$(readelf -l /bin/sh 2>/dev/null | sed -n 's/.*interpreter: \(.*\)]$/\1/p')
lib=$("${loader:-false}" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p') || true
[ -n "$lib" ] || skip "the dynamic loader does not say what it makes of \$LIB"
mkdir -p "$scratch/$lib/multihome"
cp "$library" "$scratch/$lib/multihome/"
name="$scratch/\$LIB/multihome/libmultihome.so"

env LD_PRELOAD="$name" cat /proc/self/maps >"$scratch/maps" 2>"$scratch/said"
grep -q "/multihome/libmultihome.so$" "$scratch/maps" || {
    echo 'FAIL: a program of glibc does not have the library'
    exit 1
}
[ ! -s "$scratch/said" ] || {
    echo "FAIL: the loader complains: $(cat "$scratch/said")"
    exit 1
}
echo "ok: a program of glibc has the library by the name with \$LIB"

# A program for another word size, whose library is not installed, runs; the loader says that in a line.
loader32=$(find /usr/i686-linux-gnu/lib -maxdepth 1 -name 'ld-linux*.so.?' 2>/dev/null)
if ! command -v i686-linux-gnu-gcc >/dev/null; then
    echo 'SKIP: a 32-bit program: i686-linux-gnu-gcc is not installed'
elif "${loader32:-false}" --version >/dev/null 2>&1; then
    printf '#include <stdio.h>\nint main(void) { puts("alive"); return 0; }\n' >"$scratch/alive.c"
    i686-linux-gnu-gcc -o "$scratch/alive32" "$scratch/alive.c"
    said=$(env LD_PRELOAD="$name" "$loader32" --library-path /usr/i686-linux-gnu/lib "$scratch/alive32" 2>"$scratch/said") ||
        said="$said (failed)"
    [ "$said $(wc -l <"$scratch/said") $(grep -c 'cannot be preloaded.*ignored' "$scratch/said")" = 'alive 1 1' ] || {
        echo "FAIL: a 32-bit program without its library says: $said, $(cat "$scratch/said")"
        exit 1
    }
    echo 'ok: a 32-bit program whose library is not installed runs without it'
else
    echo 'SKIP: a 32-bit program: this machine does not run 32-bit programs'
fi

compiler=$(command -v musl-gcc) || skip 'musl-gcc is not installed'
printf '#include <stdio.h>\nint main(void) { puts("alive"); return 0; }\n' >"$scratch/alive.c"
"$compiler" -o "$scratch/alive" "$scratch/alive.c"
said=$(env LD_PRELOAD="$name" "$scratch/alive" 2>&1) || said="$said (failed)"
[ "$said" = alive ] || {
    echo "FAIL: a program of musl says: $said"
    exit 1
}
echo 'ok: a program of musl runs, and nothing is said'
if env LD_PRELOAD="$scratch/$lib/multihome/libmultihome.so" "$scratch/alive" >"$scratch/said" 2>&1; then
    echo 'by its full path the library does not end a program of musl either'
else
    echo "ok: by its full path it would end it: $(head -n 1 "$scratch/said")"
fi
