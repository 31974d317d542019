#!/bin/sh
# SPDX-License-Identifier: MIT
# A full path in LD_PRELOAD ends programs of musl's that inherit it: said, where there may be such programs.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1
set -- /lib/ld-musl-*.so.1
[ -e "$1" ] || skip 'no loader of musl is installed'
loader=$(readelf -l probe 2>/dev/null | sed -n 's/.*interpreter: \(.*\)]$/\1/p')
lib=$("${loader:-false}" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p')
[ -n "$lib" ] || skip "the dynamic loader does not say what it makes of \$LIB"
mkdir -p installed/bin "installed/$lib/multihome"
cp "$tool" installed/bin/
cp "$library" "installed/$lib/multihome/"
tool=$scratch/installed/bin/multihomectl
full=$scratch/installed/$lib/multihome/libmultihome.so
name=$scratch/installed/\$LIB/multihome/libmultihome.so

no_note() {
    ! grep -q 'note' output || complain "a note without a reason: $(cat output)"
}
json() {
    /usr/bin/python3 "$LAUNCHER_SOURCE/tests/tools/schema.py" check "$LAUNCHER_SOURCE/scripts/multihomectl.8" <output ||
        complain "the JSON is not what the manual states"
}
said="note: .*full path.*musl.*name it $(printf '%s' "$name" | sed 's/\$/\\$/') instead"
expect 0 "$said" env LD_PRELOAD="$full" "$tool" check ./probe
expect 125 "$said" env LD_PRELOAD="libm.so.6 $full" "$tool" check ./probe_static
expect 0 '"notes": *\[ *$' env LD_PRELOAD="$full" "$tool" check -j ./probe
json
expect 0 '' env LD_PRELOAD="$full" "$tool" check -q ./probe
no_note
expect 0 'LD_PRELOAD reaches' env LD_PRELOAD="$name" "$tool" check ./probe
no_note
expect 0 'LD_PRELOAD reaches' "$tool" check ./probe
no_note
# Where $LIB leads nowhere.
expect 0 'note: .*install the library below /usr' env LD_PRELOAD="$library" "$tool" check ./probe

# A process that runs.
process=
trap '[ -z "$process" ] || kill "$process"; rm -rf "$scratch"' EXIT
for preload in "$full" "$name"; do
    LD_PRELOAD=$preload sleep 300 &
    process=$!
    wait_for grep -q libmultihome "/proc/$process/maps"
    expect 0 'multihome is in it' "$tool" check --pid "$process"
    if [ "$preload" = "$full" ]; then
        grep -q "$said" output || complain "no note on a process: $(cat output)"
    else
        no_note
    fi
    kill "$process"
    process=
done
finish
