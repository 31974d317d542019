#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh SOURCE BUILD OUTPUT: scripts/package.sh makes both packages of what is in BUILD, as version and as a later one.
set -eu
for tool in dpkg-buildpackage dh; do
    command -v "$tool" >/dev/null || {
        echo "SKIP: $tool is not installed"
        exit 77
    }
done
rm -rf "$3"
for version in now later; do
    suffix=
    [ "$version" = now ] || suffix=+later1
    "$1/scripts/package.sh" --built "$2" --output "$3/$version" --suffix "$suffix"
done
for package in "$3"/now/*.deb; do
    dpkg-deb --info "$package"
    dpkg-deb --contents "$package"
done
