#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the Debian packages libmultihome (the library alone) and multihome (the commands, the systemd drop-in, the
# manuals) and prints their names. Nothing outside the build directory is changed, and no root is needed.
#
# Usage: scripts/package.sh [--built DIRECTORY] [--output DIRECTORY]
#
#   --built DIRECTORY    package what this build directory holds, instead of building anew as Debian does
#   --output DIRECTORY   where the packages and the traces of making them go (build/packages)
set -eu
cd "$(dirname "$0")/.."

die() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 1
}

built='' output=build/packages
while [ $# -gt 0 ]; do
    case $1 in
    --built | --output)
        [ $# -ge 2 ] || die "$1 needs a value (try --help)"
        case $1 in
        --built) built=$(cd "$2" && pwd) || die "there is no directory $2" ;;
        --output) output=$2 ;;
        esac
        shift 2
        ;;
    -h | --help)
        sed -n '4,10s/^# \{0,1\}//p' scripts/package.sh
        exit 0
        ;;
    *) die "unknown argument $1 (try --help)" ;;
    esac
done
for tool in dpkg-buildpackage dh cmake; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt-get install dpkg-dev debhelper cmake"
done

output=$(realpath -m -- "$output")
case $output/ in
"$PWD"/build*) ;;
"$PWD"/*) die "$output lies among the sources: name a directory elsewhere, or below build" ;;
esac
mkdir -p "$output"
tree=$output/source
rm -rf "$tree"
mkdir "$tree"
# The sources as they are here, changed files included, and without what was built.
find . -mindepth 1 -maxdepth 1 ! -name .git ! -name .cache ! -name 'build*' -exec cp -a -t "$tree" '{}' + ||
    die "the sources could not be copied to $tree"
cp -a scripts/packaging/debian "$tree/debian"
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$tree/debian/changelog")
project=$(sed -n 's/^project(multihome VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
[ "$version" = "$project" ] ||
    die "scripts/packaging/debian/changelog says $version, CMakeLists.txt $project: write an entry for the new version"

# What is built already needs nothing to build it. Root's rights are played by dpkg itself (Rules-Requires-Root: no).
options=
if [ -n "$built" ]; then
    options=-d
    export MULTIHOME_BUILT="$built"
fi
log=$output/log
if ! (cd "$tree" && DEB_BUILD_OPTIONS="noautodbgsym parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" \
    dpkg-buildpackage --build=binary --no-sign $options) >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "dpkg-buildpackage failed; all that it said is in $log"
fi
rm -rf "$tree"
for package in libmultihome multihome; do
    printf '%s\n' "$output/${package}_${version}_$(dpkg --print-architecture).deb"
done
