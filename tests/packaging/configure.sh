#!/bin/sh
# SPDX-License-Identifier: MIT
# configure.sh SOURCE BUILD WORK: what CMake refuses and what it does without, and that uninstall undoes install.
set -u
source=$1 build=$2
cmake=${MULTIHOME_CMAKE:-cmake}
mkdir -p "$3"
scratch=$(mktemp -d "$3/configure.XXXXXX") || exit 1
manifest=$build/install_manifest.txt
kept=$3/install_manifest.txt
clean_up() {
    rm -f "$manifest"
    [ ! -e "$kept" ] || mv "$kept" "$manifest"
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
# What somebody has installed from here stays known. Where this test was killed, it is kept already, and what stands in its
# place is the test's own.
if [ -e "$manifest" ] && ! grep -qF "$3/configure." "$manifest"; then mv "$manifest" "$kept"; fi
failures=0
complain() {
    failures=$((failures + 1))
    printf 'FAIL: %s\n' "$*"
    tail -n 20 "$scratch/output"
}

# configure RESULT PATTERN OPTION...: a build directory of its own, which is to be made ("yes") or refused ("no").
configure() {
    wanted=$1 pattern=$2 got=no
    shift 2
    rm -rf "$scratch/build"
    if "$cmake" -S "$source" -B "$scratch/build" "$@" >"$scratch/output" 2>&1; then got=yes; fi
    [ "$got" = "$wanted" ] || complain "cmake $*: made: $got"
    # CMake breaks its messages into lines.
    tr -s '\n ' '  ' <"$scratch/output" | grep -qe "$pattern" || complain "cmake $*: says nothing like '$pattern'"
}

configure no 'end a name in LD_PRELOAD' "-DCMAKE_INSTALL_PREFIX=$scratch/with a space"
# The library alone needs none of what the tools and the tests are made with.
configure yes 'Generating done' -DMULTIHOME_TOOLS=OFF -DMULTIHOME_TESTS=ON
configure yes 'Generating done' -DMULTIHOME_TOOLS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON
grep -qE '^CMAKE_CXX_FLAGS:.*-Werror|MULTIHOME_WERROR:BOOL=ON' "$scratch/build/CMakeCache.txt" &&
    complain 'warnings are errors without having been asked for'
# Nor is anything installed that belongs to a tool which is not there.
grep -rl --include='*install*.cmake' multihomectl "$scratch/build" >"$scratch/output" &&
    complain 'without the tools, something of multihomectl is installed'
# Without what it is made with there is no kernel engine, which is said; it is looked for anew each time.
configure no 'not found here: .*bpftool' -DMULTIHOME_TESTS=OFF -DMULTIHOME_BPFTOOL=OFF -DMULTIHOME_KERNEL_ENGINE=ON
configure yes 'engine is not built: not found here: .*bpftool' -DMULTIHOME_TESTS=OFF -DMULTIHOME_BPFTOOL=OFF
if readelf --dynamic "$build/multihomectl" | grep -q 'NEEDED.*libbpf'; then
    "$cmake" -UMULTIHOME_BPFTOOL "$scratch/build" >"$scratch/output" 2>&1 || complain 'the second cmake'
    grep -q 'engine is not built' "$scratch/output" && complain 'what has been installed since is not found'
fi
if command -v aarch64-linux-gnu-g++ >/dev/null; then
    # There are no libraries for it, so CMake may only compile.
    configure no 'big-endian one: it cannot be built' -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64_be \
        -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
        -DCMAKE_C_FLAGS=-mbig-endian -DCMAKE_CXX_FLAGS=-mbig-endian -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY
else
    echo 'SKIP: a big-endian processor: aarch64-linux-gnu-g++ is not installed'
fi

if "$cmake" --install "$build" --prefix "$scratch/with a space" >"$scratch/output" 2>&1; then
    complain 'cmake --install takes a prefix with a space'
fi
if ! "$cmake" --install "$build" --prefix "$scratch/prefix" --strip >"$scratch/output" 2>&1; then
    complain 'cmake --install'
fi
installed=$(find "$scratch/prefix" -type f | wc -l)
[ "$installed" -ge 8 ] || complain "only $installed files were installed"
size=$(find "$scratch/prefix" -name libmultihome.so -size -1024k | wc -l)
[ "$size" -eq 1 ] || complain 'a stripped library of less than a MiB is expected'
"$cmake" --build "$build" --target uninstall >"$scratch/output" 2>&1 || complain 'the target uninstall'
left=$(find "$scratch/prefix" -type f -o -name multihome)
[ -z "$left" ] || complain "uninstall leaves $left"

[ "$failures" -eq 0 ] || exit 1
echo "refused what has to be; $installed files installed and removed again"
