#!/bin/sh
# SPDX-License-Identifier: MIT
# 32-bit programs on a 64-bit host: the library that counts is the one for them, and what the kernel has told a process
# stands in words of its own size.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1
[ "$(uname -m)" = x86_64 ] || skip 'this is no x86-64'
compiler=$(command -v i686-linux-gnu-gcc) || skip 'i686-linux-gnu-gcc is not installed'

cat >waits.c <<'C'
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(void) {
    printf("secure=%lu\n", getauxval(AT_SECURE));
    fflush(stdout);
    pause();
    return 0;
}
C
"$compiler" -static -o waits waits.c || skip 'no static 32-bit program can be linked'
process=
trap '[ -z "$process" ] || kill "$process"; rm -rf "$scratch"' EXIT
# shellcheck disable=SC2317 # called by wait_for
has_said() {
    [ -s said ] || ! kill -0 "$process" 2>/dev/null
}
# start COMMAND...: until it has said whether the kernel asked it for secure execution; then $process is its number.
start() {
    : >said
    "$@" >said 2>/dev/null &
    process=$!
    wait_for has_said
}
start ./waits
grep -qx secure=0 said || skip 'this machine does not run 32-bit programs'
expect 125 'it is a 32-bit x86' "$tool" check --pid "$process"
! grep -q 'more rights' output || complain 'a 32-bit process is taken for one with more rights'
kill "$process"
process=
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    cp waits sets_user
    chmod 4755 sets_user
    start setpriv --reuid=65534 --clear-groups ./sets_user
    # Not on a file system that is mounted nosuid.
    ! grep -qx secure=1 said || expect 125 'more rights' "$tool" check --pid "$process"
    kill "$process"
    process=
fi

# What the two loaders make of $LIB.
lib_of() {
    "$1" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p'
}
lib64=$(lib_of /lib64/ld-linux-x86-64.so.2)
lib32=$(lib_of /lib/ld-linux.so.2)
# shellcheck disable=SC2016 # $LIB is for the loader
if [ -z "$lib64" ] || [ -z "$lib32" ]; then skip 'the dynamic loaders do not say what they make of $LIB'; fi
"$compiler" -o probe32 "$LAUNCHER_SOURCE/tests/launcher/probe.c"
expect 125 'it is a 32-bit x86 (i386) program, and the library is made for' "$tool" check ./probe32
# As it is installed: the launcher finds the library and the tool, and the tool the library.
mkdir -p "installed/bin" "installed/$lib64/multihome" "installed/$lib32/multihome"
cp "$tool" installed/bin/
cp "$library" "installed/$lib64/multihome/"
sed "s|^multihome_library_directory=.*|multihome_library_directory=../$lib64/multihome|
    s|^multihome_tool_directory=.*|multihome_tool_directory=.|
    s|^multihome_loader_prefix=.*|multihome_loader_prefix=..|" "$launcher" >installed/bin/multihome
chmod +x installed/bin/multihome
file=installed/$lib32/multihome/libmultihome.so
expect 125 "not installed: they look for it at .*/$file" installed/bin/multihomectl check ./probe32
expect 125 'install libmultihome:i386' installed/bin/multihomectl check ./probe32
refuse 125 'was not started' installed/bin/multihome ./probe32
echo damaged >"$file"
expect 125 'not installed' installed/bin/multihomectl check ./probe32
cp "$library" "$file"
expect 125 'not installed' installed/bin/multihomectl check ./probe32
"$compiler" -shared -fPIC -o "$file" "$LAUNCHER_SOURCE/tests/launcher/preload.c"
expect 0 'LD_PRELOAD reaches' installed/bin/multihomectl check ./probe32
expect 0 '^preloaded=1$' installed/bin/multihome ./probe32
"$compiler" -static -o probe32_static "$LAUNCHER_SOURCE/tests/launcher/probe.c"
expect 125 'statically linked' installed/bin/multihomectl check ./probe32_static
# A library in another place has none beside it.
expect 125 'the library is made for' installed/bin/multihomectl check --library "$library" ./probe32
finish
