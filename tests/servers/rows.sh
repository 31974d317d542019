# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # the variables are from the server files
#
# The server files as data: names, packages, and the rows of the report. Sourced by wall.sh.

WALL_BEGIN='<!-- wall:begin -->'
WALL_END='<!-- wall:end -->'

wall_list() {
    local file
    for file in "$WALL_HERE"/wall/*.sh; do
        file=${file##*/}
        printf '%s\n' "${file%.sh}"
    done
}

# Defines what one server file says. The defaults are those of most servers.
wall_load() { # NAME
    # shellcheck disable=SC2034 # for wall.sh
    families='v4 v6' serves=all bare=wrong bare_v6='' engine=right unpacked=()
    # shellcheck source=/dev/null
    . "$WALL_HERE/wall/$1.sh"
    bare_v6=${bare_v6:-$bare}
}

# Is what shows that a package is there, a command or a file, missing? Then the package is in WALL_LACKS.
wall_lacks() { # CHECK:PACKAGE
    WALL_LACKS=${1#*:}
    case $1 in
    # A version manager's wrapper in somebody's PATH is not the interpreter that is used.
    /*) ! compgen -G "${1%%:*}" >/dev/null ;;
    *) ! command -v "${1%%:*}" >/dev/null ;;
    esac
}

wall_unmet() {
    local pair
    for pair in "${needs[@]}" "${unpacked[@]}"; do
        if wall_lacks "$pair"; then return 0; fi
    done
    return 1
}

wall_packages() {
    local name
    for name in $(wall_list); do
        (
            wall_load "$name"
            printf '%s\n' "${needs[@]#*:}"
        )
    done | sort -u
}

# The packages that the server files name in that list and that are not here.
wall_lacking() { # needs or unpacked
    local name pair
    for name in $(wall_list); do
        (
            wall_load "$name"
            declare -n list=$1
            for pair in "${list[@]}"; do
                if wall_lacks "$pair"; then printf '%s\n' "$WALL_LACKS"; fi
            done
        )
    done | sort -u
}
wall_missing() { wall_lacking needs; }
wall_unpacked() { wall_lacking unpacked; }

# --- the report ------------------------------------------------------------------------------------------------------

# The table's rows as the files declare them, and as each server's own test has found them to be.
wall_rows() { # [VERSIONS-DIRECTORY]
    local name
    for name in $(wall_list); do
        (
            wall_load "$name"
            version=
            [ -z "${1:-}" ] || version=$(cat "$1/$name")
            found=$bare
            [ "$bare" = "$bare_v6" ] || found="v4 $bare, v6 $bare_v6"
            printf '| %s | %s | %s | %s | right (%s) |\n' "$title" "$version" "$api" "$found" "${families// /, }"
        )
    done
}

wall_need_marks() { # FILE STATUS: ends with STATUS if the table has no place there
    if ! grep -qxF -e "$WALL_BEGIN" "$1" 2>/dev/null || ! grep -qxF -e "$WALL_END" "$1"; then
        printf 'SKIP: %s has no lines %s and %s\n' "${1##*/}" "$WALL_BEGIN" "$WALL_END"
        exit "$2"
    fi
}

wall_report() { # [FILE]
    local file=${1:-$WALL_HERE/README.md} work failed=0
    wall_need_marks "$file" 1
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the path as it is now
    trap "rm -rf -- '$work'" EXIT
    mkdir "$work/versions"
    # A row of a server that was skipped or that failed would be a claim, not a report.
    # shellcheck disable=SC2016 # for the inner shell
    wall_list | WALL_VERSIONS=$work/versions xargs -P "$(nproc)" -I '{}' bash -c '
        if "$1" "$2" >"$3/$2.out" 2>&1; then
            echo "$2: ok" >&2
        else
            sed -nE "s/^(FAIL|SKIP)/$2: &/p" "$3/$2.out" >&2
        fi
    ' bash "$WALL_HERE/wall.sh" '{}' "$work"
    for name in $(wall_list); do
        [ -s "$work/versions/$name" ] || failed=$((failed + 1))
    done
    if [ "$failed" -gt 0 ]; then
        printf 'wall.sh: %s servers were skipped or failed; %s is unchanged\n' "$failed" "$file" >&2
        exit 1
    fi
    {
        printf '| Server | Version | API it uses | Bare | With the shim |\n| --- | --- | --- | --- | --- |\n'
        wall_rows "$work/versions"
    } >"$work/table"
    awk -v begin="$WALL_BEGIN" -v end="$WALL_END" -v table="$work/table" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin { inside = 1; while ((getline line < table) > 0) print line }
    ' "$file" >"$work/file"
    # Written into, not replaced: the file keeps its owner and mode.
    cat "$work/file" >"$file"
}

wall_without_versions() { awk 'BEGIN { FS = OFS = "|" } { $3 = "  "; print }'; }

# Everything but the versions, which depend on the machine that wrote the table.
wall_check() { # [FILE]
    local file=${1:-$WALL_HERE/README.md}
    wall_need_marks "$file" 77
    if ! diff -u --label "in ${file##*/}" --label 'in tests/servers/wall' \
        <(awk -v begin="$WALL_BEGIN" -v end="$WALL_END" '
            $0 == end { inside = 0 }
            inside && row++ >= 2 { print }
            $0 == begin { inside = 1 }' "$file" | wall_without_versions) <(wall_rows | wall_without_versions); then
        printf 'The table is stale. Write it anew with tests/servers/wall.sh --report\n' >&2
        exit 1
    fi
    printf 'ok: %s shows exactly the servers of the wall\n' "${file##*/}"
}

# From strace's lines: name of the call, and how often.
wall_count_calls() {
    sed -nE 's/^[0-9]+ +((recv|send|connect|bind)[a-z]*)\(.*/\1/p' | sort | uniq -c
}
