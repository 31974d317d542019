#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh SOURCE BUILD OUTPUT: scripts/package.sh makes both packages of what is in BUILD; and the
# same again as a later version, to be upgraded to.
set -eu
for tool in dpkg-buildpackage dh; do
    command -v "$tool" >/dev/null || {
        echo "SKIP: $tool is not installed"
        exit 77
    }
done
rm -rf "$3"
"$1/scripts/package.sh" --built "$2" --output "$3/now"
# What Debian mends in libbpf or libelf is mended for multihomectl, too.
depends=$(dpkg-deb --field "$3"/now/multihome_*.deb Depends)
if readelf --dynamic "$2/multihomectl" | grep -q 'NEEDED.*libbpf'; then
    case $depends in
    *libbpf*) ;;
    *)
        echo "FAIL: the kernel engine is in the package, which does not depend on libbpf: $depends"
        exit 1
        ;;
    esac
fi
# Of the libraries that are headers, so that the packages hold their code, somebody tells the licence.
dpkg-deb --fsys-tarfile "$3"/now/libmultihome_*.deb | tar -xO ./usr/share/doc/libmultihome/copyright >"$3/copyright"
for name in CLI11 fmt spdlog nlohmann-json; do
    grep -qw "$name" "$3/copyright" || {
        echo "FAIL: the copyright file does not name $name"
        exit 1
    }
done
mkdir "$3/later"
for package in "$3"/now/*.deb; do
    dpkg-deb --info "$package"
    dpkg-deb --contents "$package"
    # The same as another version, in the field Version and in what depends on it.
    dpkg-deb --raw-extract "$package" "$3/later/tree"
    version=$(dpkg-deb --field "$package" Version)
    sed -i "s/^Version: .*/&+later1/; s/(= $version)/(= $version+later1)/" "$3/later/tree/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$3/later/tree" "$3/later" >/dev/null
    rm -rf "$3/later/tree"
done
