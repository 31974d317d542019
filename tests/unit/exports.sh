#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh LIBRARY SYMBOLS.DEF: the library exports the interposed functions and nothing else, needs libc alone, and
# binds all its symbols when it is loaded.
set -eu
library=$1
symbols=$2

for tool in nm readelf; do
    command -v "$tool" >/dev/null || {
        echo "SKIP: $tool is not installed"
        exit 77
    }
done

# On 32-bit processors some have a second name.
kinds='SYMBOL|VARIADIC'
readelf -h "$library" | grep -q 'Class: *ELF64' || kinds="$kinds|TIME64|TIME64_NAME"
listed=$(sed -nE "s/^MULTIHOME_($kinds)\([^,]*, *([a-z0-9_]*),.*/\2/p" "$symbols" | sort)
[ -n "$listed" ] || {
    echo "FAIL: no names found in $symbols"
    exit 1
}
exported=$(nm -D --defined-only "$library" | sed 's/.* //; s/@.*//' | sort)
if [ "$listed" != "$exported" ]; then
    echo "FAIL: symbols.def and $library do not name the same functions. Only one of them has:"
    printf '%s\n%s\n' "$listed" "$exported" | sort | uniq -u
    exit 1
fi

# A library of C++'s or libm could clash with the program's own, and would cost each program its start.
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' || true)
if [ "$needed" != libc.so.6 ]; then
    echo "FAIL: $library needs more than libc:"
    readelf -d "$library" | grep NEEDED
    exit 1
fi

# Nothing in it allocates, and nothing in it is for a later exit: then libstdc++ has come along (no_exceptions.cpp).
allocators=$(nm -D --undefined-only "$library" | sed -n -E 's/.* ((malloc|calloc|realloc|free|__cxa_atexit)(@.*)?)$/\1/p')
if [ -n "$allocators" ]; then
    echo "FAIL: $library refers to $allocators"
    exit 1
fi

# Binding a symbol at its first use takes more stack than a signal handler may have.
if ! readelf -d "$library" | grep -q 'FLAGS.*NOW'; then
    echo "FAIL: $library binds its symbols at their first use"
    exit 1
fi

# What the README says of the glibc that is needed.
newest=$(nm -D --undefined-only "$library" | sed -n 's/.*@GLIBC_//p' | sort -V | tail -n 1)
if [ "$(printf '%s\n' "$newest" 2.34 | sort -V | tail -n 1)" != 2.34 ]; then
    echo "FAIL: $library needs glibc $newest:"
    nm -D --undefined-only "$library" | grep "GLIBC_$newest"
    exit 1
fi

# Found in a file whose debug information is gone, too.
if ! grep -aq 'multihome-version [0-9]' "$library"; then
    echo "FAIL: $library does not tell its version"
    exit 1
fi
echo "$(echo "$listed" | wc -l) functions exported, as listed; nothing needed but libc"
