# SPDX-License-Identifier: MIT
# What the lint tests share. The first argument is the repository.
# shellcheck shell=sh
set -u
cd "$1" || exit 1

need() { # TOOL
    command -v "$1" >/dev/null || {
        echo "SKIP: $1 is not installed"
        exit 77
    }
}

# The project's own files of these names, one a line. Build trees lie in build*/.
files() { # PATTERN...
    for pattern in "$@"; do
        find . -path ./.git -prune -o -path './build*' -prune -o -path ./.cache -prune -o -type f -name "$pattern" -print
    done | sort
}
