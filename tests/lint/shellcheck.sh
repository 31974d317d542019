#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs shellcheck on every shell script of the repository that is given as the argument.
. "${0%/*}/common.sh"
need shellcheck
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
# By their first line, or by name for those that are only sourced. Build trees lie in build*/.
find . -path ./.git -prune -o -path './build*' -prune -o -path ./.cache -prune -o -type f -print | while IFS= read -r file; do
    case $file in
    *.sh) echo "$file" ;;
    *) head -n 1 "$file" | tr -d '\0' | grep -qE '^#! */(usr/)?bin/(env )?(ba|da)?sh\b' && echo "$file" ;;
    esac
done >"$list"
[ "$(wc -l <"$list")" -ge 5 ] || {
    echo 'FAIL: hardly any scripts found'
    exit 1
}
tr '\n' '\0' <"$list" | xargs -0 shellcheck --external-sources --source-path=SCRIPTDIR
status=$?
echo "$(wc -l <"$list") scripts looked at"
exit "$status"
