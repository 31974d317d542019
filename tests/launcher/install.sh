#!/bin/sh
# SPDX-License-Identifier: MIT
# An installed tree works where it was put, also when it was staged with DESTDIR, and the systemd drop-in names the
# installed library. LAUNCHER_BUILD is the build tree, LAUNCHER_CMAKE the cmake that made it.
. "${0%/*}/common.sh"
: "${LAUNCHER_BUILD:?}" "${LAUNCHER_CMAKE:?}"

# What the dynamic loader of this machine's own programs makes of $LIB; it tells since glibc 2.33.
loader=$(readelf -l /bin/sh 2>/dev/null | sed -n 's/.*interpreter: \(.*\)]$/\1/p')
loader_lib=$("${loader:-false}" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p')
: "${loader_lib:=unknown}"

# named NAME WHO ROOT: NAME means the library that is installed, by $LIB where the loader makes that its directory.
named() {
    checks=$((checks + 2))
    meant=$3$(printf '%s\n' "$1" | sed "s|\$LIB|$loader_lib|")
    [ "$meant" = "$installed" ] || complain "$2 names $1, the library is $installed"
    case $installed:$1 in
    */"$loader_lib"/multihome/libmultihome.so:*/\$LIB/*) ;;
    */"$loader_lib"/*) complain "$2 names $1, not by \$LIB" ;;
    esac
}

# look_at ROOT PREFIX: the tree of PREFIX, staged under ROOT (which may be empty).
look_at() {
    root=$1
    prefix=$2
    installed=$(find "$root$prefix" -name libmultihome.so)
    checks=$((checks + 1))
    [ "$(printf '%s\n' "$installed" | grep -c .)" -eq 1 ] || complain "one library expected, found: $installed"
    # The build tree's places must play no part: PATH has no multihomectl, and this is not a source tree.
    expect 0 '^preloaded=1$' env PATH=/usr/bin:/bin "$root$prefix/bin/multihome" "$probe"
    expect 0 '^LD_PRELOAD=' env PATH=/usr/bin:/bin "$root$prefix/bin/multihome" env
    named "$(sed -n 's/^LD_PRELOAD=//p' "$scratch/output")" 'the launcher' ''
    refuse 125 'statically linked' env PATH=/usr/bin:/bin "$root$prefix/bin/multihome" "$scratch/probe_static"
    expect 0 "^multihome $LAUNCHER_VERSION\$" "$root$prefix/bin/multihome" --version
    expect 0 "^multihomectl $LAUNCHER_VERSION\$" "$root$prefix/bin/multihomectl" --version
    for page in man1/multihome.1 man7/multihome.7 man8/multihomectl.8; do
        [ -f "$root$prefix/share/man/$page" ] || complain "$page is not installed"
    done
    # Where zsh looks: below /usr, packages have a directory of their own.
    functions=site-functions
    [ "$prefix" != /usr ] || functions=vendor-completions
    for name in _multihome _multihomectl; do
        [ -f "$root$prefix/share/zsh/$functions/$name" ] || complain "zsh/$functions/$name is not installed below $prefix"
    done
    drop_in=$prefix/share/multihome/multihome.conf
    expect 0 '^Environment=LD_PRELOAD=' cat "$root$drop_in"
    named "$(sed -n 's/^Environment=LD_PRELOAD=//p' "$root$drop_in")" 'the drop-in' "$root"
    expect 0 "ln -s $drop_in /etc/systemd" cat "$root$drop_in"
    ! grep -q '@[a-z_]*@' "$root$drop_in" || complain 'the drop-in has an empty place'
    if [ -n "$root" ]; then
        ! grep -qF "$root" "$root$drop_in" || complain 'DESTDIR is in the drop-in'
    fi
}

expect 0 '' "$LAUNCHER_CMAKE" --install "$LAUNCHER_BUILD" --component Unspecified --prefix "$scratch/prefix"
look_at '' "$scratch/prefix"
expect 0 '' env DESTDIR="$scratch/stage" "$LAUNCHER_CMAKE" --install "$LAUNCHER_BUILD" --component Unspecified \
    --prefix /opt/multihome
look_at "$scratch/stage" /opt/multihome
expect 0 '' env DESTDIR="$scratch/package" "$LAUNCHER_CMAKE" --install "$LAUNCHER_BUILD" --component Unspecified \
    --prefix /usr
look_at "$scratch/package" /usr
finish
