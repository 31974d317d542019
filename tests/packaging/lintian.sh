#!/bin/sh
# SPDX-License-Identifier: MIT
# lintian.sh PACKAGES: nothing that lintian calls an error, a warning or pedantic.
set -eu
command -v lintian >/dev/null || {
    echo 'SKIP: lintian is not installed'
    exit 77
}
# It leaves files where it puts those for a while.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
TMPDIR=$scratch lintian --allow-root --pedantic --fail-on error,warning,pedantic "$1"/now/*.deb
echo 'lintian has nothing to say'
