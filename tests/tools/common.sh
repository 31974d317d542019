# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of multihomectl in the lab share. ctest sets TOOLS_CTL (multihomectl), TOOLS_ECHO and TOOLS_STATIC
# (echo.c, linked both ways) and TOOLS_OLD_KERNEL (old_kernel.c). `look -j` leaves doctor's JSON in $LAB_DIR/doctor.log.
: "${TOOLS_CTL:?run this by ctest}" "${TOOLS_ECHO:?}" "${TOOLS_STATIC:?}" "${TOOLS_OLD_KERNEL:?}"
TOOLS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for the tests
TOOLS_SCRIPTS=$(cd "$TOOLS_HERE/../../scripts" && pwd)
# shellcheck disable=SC2034
TOOLS_MANUAL=$TOOLS_SCRIPTS/multihomectl.8

# A field of the server on PORT: verdict, reason, command; lists with blanks between.
field() { # PORT NAME
    "$LAB_PYTHON" - "$LAB_DIR/doctor.log" "$1" "$2" <<'PYTHON'
import json
import sys
for place in json.load(open(sys.argv[1], encoding="utf-8"))["namespaces"]:
    for server in place["servers"]:
        if server["port"] == int(sys.argv[2]):
            value = server[sys.argv[3]]
            print(" ".join(value) if isinstance(value, list) else "" if value is None else value)
PYTHON
}

expect_verdict() { # PORT PATTERN: of "VERDICT [at ADDRESS...] REASON OBSTACLE..."
    local line wrong_at
    wrong_at=$(field "$1" wrong_at)
    line="$(field "$1" verdict) ${wrong_at:+at $wrong_at }$(field "$1" reason) $(field "$1" obstacles)"
    grep -qE -e "^$2" <<<"$line" || fail "$1: doctor says '$line', should be '$2'"
    say "ok: $1: $line"
}
