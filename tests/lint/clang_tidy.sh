#!/bin/sh
# SPDX-License-Identifier: MIT
# clang_tidy.sh SOURCE BUILD: clang-tidy has nothing to say of the C++ files that the last commit or the working tree
# changed, six of them: each takes up to ten seconds. Of a header, it reads a file that includes it, if there is one. All
# files: MULTIHOME_TIDY=all, and half an hour.
. "${0%/*}/common.sh"
build=$2
need clang-tidy
need git
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
# Where many files are compiled as one, no command line is a single file's: then they are those of a tree beside it, whose
# generated headers are the first one's.
if grep -q '^MULTIHOME_UNITY:BOOL=ON$' "$build/CMakeCache.txt"; then
    each=$build/tests/lint/each
    cmake -S . -B "$each" -DMULTIHOME_UNITY=OFF >"$list" 2>&1 || {
        cat "$list"
        echo 'FAIL: the command lines of single files'
        exit 1
    }
    sed -i "s#-isystem $each/#-isystem $build/#g" "$each/compile_commands.json"
    build=$each
fi
[ -r "$build/compile_commands.json" ] || {
    echo "FAIL: there is no $build/compile_commands.json"
    exit 1
}
# Files that no target compiles, such as a probe for another library, have no command line to be read with.
compiled() {
    while IFS= read -r file; do
        ! grep -qF "\"file\": \"$PWD/${file#./}\"" "$build/compile_commands.json" || printf '%s\n' "$file"
    done
}
# Where none has, all files that have changed would be passed over.
files '*.cpp' | compiled >"$list"
[ "$(wc -l <"$list")" -ge 100 ] || {
    echo "FAIL: only $(wc -l <"$list") files have a command line"
    exit 1
}
if [ "${MULTIHOME_TIDY:-changed}" != all ]; then
    git -c safe.directory="$PWD" rev-parse --verify --quiet HEAD~1 >/dev/null 2>&1 || {
        echo 'SKIP: no history to tell what has changed; MULTIHOME_TIDY=all looks at all files'
        exit 77
    }
    git -c safe.directory="$PWD" diff --name-only --diff-filter=d HEAD~1 -- '*.cpp' '*.hpp' | while IFS= read -r file; do
        case $file in
        *.cpp) printf '%s\n' "$file" ;;
        *) grep -rlE --include='*.cpp' "#include \"(.*/)?${file##*/}\"" shim tools tests | sort | compiled | head -n 1 ;;
        esac
    done | sort -u | compiled >"$list.all"
    # What is loaded into other people's programs first.
    { grep "^shim/" "$list.all"; grep -v "^shim/" "$list.all"; } >"$list"
    rm "$list.all"
    few=6
    if [ "$(wc -l <"$list")" -gt "$few" ]; then
        echo "$(wc -l <"$list") files have changed, of which the first $few are looked at"
        head -n "$few" "$list" >"$list.few" && mv "$list.few" "$list"
    fi
fi
# Options that gcc knows and clang does not are no finding.
xargs -r -n 1 clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-Wno-ignored-optimization-argument --extra-arg=-Wno-unused-command-line-argument \
    <"$list" 2>/dev/null || exit 1
echo "$(wc -l <"$list") files looked at"
