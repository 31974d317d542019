#!/bin/sh
# SPDX-License-Identifier: MIT
# The first page stays one that is read in a minute and names all that is needed, every link in a page leads to a file, and
# what pages count or draw is so.
. "${0%/*}/common.sh"
failures=0
lines=$(wc -l <README.md)
if [ "$lines" -gt 130 ]; then
    echo "FAIL: README.md has $lines lines, of at most 130"
    failures=1
fi
# What package.sh needs can be installed by the README's first command.
needed=$(sed -n '/^Build-Depends:/,/^Standards/s/^[A-Za-z-]*:* *\([a-z0-9.+-]*\).*/\1/p' scripts/packaging/debian/control |
    grep -vx -e '[0-9.]*' -e debhelper-compat)
[ "$(echo "$needed" | wc -l)" -gt 5 ] || {
    echo 'FAIL: no Build-Depends found'
    failures=1
}
for package in debhelper $needed; do
    sed -n '/apt-get install/,/^$/p' README.md | grep -qw -e "$package" || {
        echo "FAIL: README.md does not have $package installed"
        failures=1
    }
done
# servers.report compares the rows with the tests that there are.
servers=$(grep -c ' | right (v4.*) |$' tests/servers/README.md)
old=$(grep -c ' | right (v4) |$' tests/servers/README.md)
said="[$servers servers and runtimes are tested](tests/servers/README.md) over IPv4, and all but one of them over IPv6"
if [ "$old" -ne 1 ] || ! grep -qF "$said" README.md; then
    echo "FAIL: README.md does not count the servers as tests/servers/README.md does: $servers, and $old of them not over IPv6"
    failures=1
fi
# Arrows point down only, as shim/README.md says.
upward=$(cd shim && {
    grep -rn '#include "shim/entry/' packets sockets peers base
    grep -rn '#include "shim/packets/' sockets peers base
    grep -rnE '#include "shim/(sockets|peers)/' base
})
[ -z "$upward" ] || {
    echo "FAIL: a room of shim/ includes a higher one: $upward"
    failures=1
}
links=0
for page in $(files '*.md'); do
    # shellcheck disable=SC2013 # links hold no spaces
    for link in $(grep -oE '\]\([^)#]+\)|src="[^"]+"' "$page" | sed 's/^](//; s/)$//; s/^src="//; s/"$//'); do
        links=$((links + 1))
        case $link in
        http*) ;;
        *) [ -e "$(dirname "$page")/$link" ] || {
            echo "FAIL: $page: there is no $link"
            failures=1
        } ;;
        esac
    done
done
[ "$failures" -eq 0 ] || exit 1
echo "$lines lines, $links links in all pages"
