#!/bin/sh
# SPDX-License-Identifier: MIT
# build_types.sh SOURCE BUILD WORK: the library in each build type by each compiler, without a warning; and the tools as
# each compiler reads them that has not built BUILD. (clang-tidy reads the tests as they change.) What else only shows
# when all is optimized, this does not see: to build everything eight times takes half an hour.
set -u
source=$1 built=$2
mkdir -p "$3"
work=$(cd "$3" && pwd)
cmake=${MULTIHOME_CMAKE:-cmake}
case $("$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$built/CMakeCache.txt")" --version) in
*clang*) built_by=clang++ ;;
*) built_by=g++ ;;
esac
# What BUILD itself is, has been tried by whoever built it.
type_built=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=//p' "$built/CMakeCache.txt")
failures=0
tried=0
complain() {
    failures=$((failures + 1))
    printf 'FAIL: %s\n' "$1"
    grep -E -A 5 'FAIL|warning:|error:|Error' "$2" | head -n 40
}

# configure DIRECTORY COMPILER OPTION...
configure() {
    directory=$1 compiler=$2
    shift 2
    "$cmake" -S "$source" -B "$directory" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_C_COMPILER="$c_compiler" \
        -DMULTIHOME_WERROR=ON "$@" >"$directory.log" 2>&1 || complain "$compiler, $*: not configured" "$directory.log"
}

# What is not optimized has the unwinder in it, which wants a glibc as new as the compiler's.
exports() { # TYPE DIRECTORY
    [ "$1" = Debug ] ||
        sh "$source/tests/unit/exports.sh" "$2/libmultihome.so" "$source/shim/symbols.def" >>"$2.log" 2>&1
}

for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || {
        echo "SKIP: $compiler is not installed"
        continue
    }
    case $compiler in g++) c_compiler=gcc ;; *) c_compiler=clang ;; esac
    for type in Release RelWithDebInfo Debug MinSizeRel; do
        [ "$compiler $type" != "$built_by $type_built" ] || continue
        directory=$work/$compiler-$type
        # Many files as one, or this would take four times as long.
        configure "$directory" "$compiler" -DCMAKE_BUILD_TYPE="$type" -DMULTIHOME_TOOLS=OFF -DMULTIHOME_TESTS=OFF \
            -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=40
        if "$cmake" --build "$directory" >"$directory.log" 2>&1 && exports "$type" "$directory"; then
            echo "ok: the library, $compiler, $type"
        else
            complain "the library, $compiler, $type" "$directory.log"
        fi
        tried=$((tried + 1))
    done

    [ "$compiler" != "$built_by" ] || continue
    directory=$work/$compiler-all
    configure "$directory" "$compiler" -DMULTIHOME_UNITY=ON
    # What is generated is BUILD's.
    commands=$directory/commands
    /usr/bin/python3 -c 'import json, sys
print(*(entry["command"] for entry in json.load(sys.stdin)), sep="\n")' <"$directory/compile_commands.json" |
        grep -E '\.c(pp|xx)$' | grep -F -e " -c $source/tools/" -e " -c $directory/tools/" |
        sed "s#-isystem $directory/#-isystem $built/#g; s# -o [^ ]* # -fsyntax-only #" >"$commands"
    [ "$(wc -l <"$commands")" -gt 5 ] || complain "$compiler: hardly any commands" "$directory.log"
    if (cd "$directory" && tr '\n' '\0' <"$commands" | xargs -0 -n 1 -P 2 sh -c) >"$directory.log" 2>&1; then
        echo "ok: $compiler reads $(wc -l <"$commands") files of the tools"
    else
        complain "$compiler, tools" "$directory.log"
    fi
done
[ "$tried" -ne 0 ] || {
    echo 'SKIP: neither g++ nor clang++ is installed'
    exit 77
}
[ "$failures" -eq 0 ]
