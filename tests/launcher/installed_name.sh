#!/bin/sh
# SPDX-License-Identifier: MIT
# Where the library is installed in the system's place, LD_PRELOAD names it with $LIB: glibc's loader finds it, and the
# loader of another C library, which does not know $LIB, passes over it in silence. In a mount namespace of its own.
. "${0%/*}/common.sh"

if [ "${1-}" != inside ]; then
    [ "$(id -u)" -eq 0 ] || skip 'a mount namespace needs root'
    command -v unshare >/dev/null || skip 'unshare is not installed'
    unshare --mount true 2>/dev/null || skip 'no mount namespace can be made here'
    unshare --mount --propagation private sh "$0" inside
    exit $?
fi

# What the loader makes of $LIB on this host, found out with a file that is not there.
# shellcheck disable=SC2016 # for the loader
name='/usr/$LIB/multihome/libmultihome.so'
place=$(LD_PRELOAD=$name env true 2>&1 | sed -n "s|.*object '\(/[^']*\)' from LD_PRELOAD.*|\1|p")
case $place in
*\$LIB*) # Named as it was written: look where the distributions have it.
    for folder in /usr/lib/*-linux-gnu* /usr/lib64 /usr/lib; do
        if [ -e "$folder/libc.so.6" ]; then break; fi
    done
    ;;
*) folder=${place%/multihome/*} ;;
esac
[ -d "$folder" ] || skip "no folder for $name"
[ ! -e "$folder/multihome" ] || skip "$folder/multihome is there already"
# In memory, because an overlay's upper directory cannot lie on an overlay, which the scratch directory may.
mkdir "$scratch/memory"
trap 'umount -l "$folder" "$scratch/memory" 2>/dev/null; rm -rf "$scratch"' EXIT
mount -t tmpfs tmpfs "$scratch/memory" || skip 'no tmpfs can be mounted here'
mkdir "$scratch/memory/upper" "$scratch/memory/work"
mount -t overlay overlay -o "lowerdir=$folder,upperdir=$scratch/memory/upper,workdir=$scratch/memory/work" "$folder" \
    2>/dev/null || skip 'overlayfs cannot be mounted here'
mkdir "$folder/multihome"
installed=$folder/multihome/libmultihome.so
cp "$library" "$installed"

expect 0 '^preloaded=1$' env MULTIHOME_LIBRARY="$installed" "$launcher" "$probe"
expect 0 '' env MULTIHOME_LIBRARY="$installed" "$launcher" env
expect_line "LD_PRELOAD=$name"
# Through a link that leads there, too; and none twice.
ln -s "$installed" "$scratch/link.so"
expect 0 '' env MULTIHOME_LIBRARY="$scratch/link.so" "$launcher" env
expect_line "LD_PRELOAD=$name"
expect 0 '' env MULTIHOME_LIBRARY="$installed" "$launcher" "$launcher" env
expect_line "LD_PRELOAD=$name"
expect 0 '' env LD_PRELOAD="$installed" MULTIHOME_LIBRARY="$installed" "$launcher" env
expect_line "LD_PRELOAD=$installed"
# Another library than the one in that place is named in full.
expect 0 '' "$launcher" env
expect_line "LD_PRELOAD=$library"
mkdir "$folder/multihome/deeper"
cp "$library" "$folder/multihome/deeper/libmultihome.so"
expect 0 '' env MULTIHOME_LIBRARY="$folder/multihome/deeper/libmultihome.so" "$launcher" env
expect_line "LD_PRELOAD=$folder/multihome/deeper/libmultihome.so"
# The loader of musl, if there is one, says nothing.
musl=$(find /lib /usr/lib -maxdepth 2 -name 'ld-musl-*.so.1' 2>/dev/null | head -n 1)
if [ -n "$musl" ]; then
    expect 0 'note: .*name it /usr/[$]LIB/multihome/libmultihome.so instead' \
        env LD_PRELOAD="$installed" "$tool" check "$probe"
    said=$(LD_PRELOAD="$name" "$musl" --version 2>&1 | grep -i 'preload\|relocating')
    [ -z "$said" ] || complain "musl's loader: $said"
fi
finish
