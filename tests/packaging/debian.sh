#!/bin/bash
# SPDX-License-Identifier: MIT
#
# debian.sh PACKAGES WORK: in a fresh Debian tree of its own (mmdebstrap, kept in WORK for the next run) the packages are
# installed, serve unbound in the lab, are upgraded while it runs, and are purged, which leaves the tree as it was.
set -euo pipefail
packages=$1 work=$2
# shellcheck source=tests/lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source=tests/lab/unbound.sh
. "$LAB_HERE/unbound.sh"

[ "$(id -u)" -eq 0 ] || skip 'root is needed to enter a Debian tree'
need mmdebstrap dpkg-deb unshare dig
fresh=$work/debian
# The server, and what the packages depend on.
included=unbound,libbpf1,libmnl0,libmd0,libffi8
if [ "$(cat "$fresh/made" 2>/dev/null)" != "$included" ]; then
    rm -rf "$fresh"
    mkdir -p "$fresh"
    if ! mmdebstrap --variant=apt --include="$included" --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' bookworm "$fresh/tree" http://deb.debian.org/debian >"$fresh/log" 2>&1; then
        reason=$(grep '^[EW]: ' "$fresh/log" | tail -n 1)
        rm -rf "$fresh"
        skip "mmdebstrap could not make a Debian tree: $reason"
    fi
    echo "$included" >"$fresh/made"
fi
# In the tree, with a /proc, a mount table and process numbers of its own that end with the command.
# shellcheck disable=SC2016 # for the inner shell
enter=(unshare --mount --pid --fork --kill-child sh -c
    'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" "$@"')
in_tree() {
    "${enter[@]}" "$tree" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
apt() { # COMMAND ARG...: all that is needed is there, so nothing is fetched
    in_tree apt-get --yes --no-install-recommends "$@" >"$LAB_DIR/apt" 2>&1 || {
        cat "$LAB_DIR/apt"
        fail "apt-get $*"
    }
}
# Everything in the tree but what the package manager notes for itself.
listing() {
    (cd "$tree" && find . -xdev \( -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg \
        -o -path ./tmp -o -path ./proc -o -path ./dev \) -prune -o -printf '%p %y %m %U %G %l\n' | sort)
    (cd "$tree/var/lib/dpkg" && find info triggers alternatives -type f | sort)
}

lab_topology_b
lab_policy_rule
tree=$LAB_DIR/tree
cp -a "$fresh/tree" "$tree"
cp "$packages"/now/*.deb "$packages"/later/*.deb "$tree/tmp/"
now=("$packages"/now/*.deb) later=("$packages"/later/*.deb)
unbound_configuration /tmp >"$tree/tmp/unbound.conf"
serve() { # NAME COMMAND...
    local name=$1
    shift
    start_server -s "$families" "$name" "${enter[@]}" "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" -c /tmp/unbound.conf
}
all_right() {
    local address
    for address in "${addresses[@]}"; do expect_dig_right "$address" www.demo.test; done
}

listing >"$LAB_DIR/before"
apt install "${now[@]/#*\//\/tmp/}"
# shellcheck disable=SC2016 # for dpkg-query
say "ok: installed $(in_tree dpkg-query -W -f '${Package} ${Version}, ' libmultihome multihome)"

serve bare unbound
expect_dig_bare_wrong 192.0.2.3 www.demo.test
stop_server bare
serve shim multihome unbound
all_right

# The library's file is replaced under a server that has it mapped.
apt install "${later[@]/#*\//\/tmp/}"
# shellcheck disable=SC2016 # for dpkg-query
say "ok: upgraded to $(in_tree dpkg-query -W -f '${Version}' libmultihome) while the server ran"
all_right
stop_server shim
serve upgraded multihome unbound
all_right
stop_server upgraded

# As a unit with the drop-in has it.
preload=$(sed -n 's/^Environment=LD_PRELOAD=//p' "$tree/usr/share/multihome/multihome.conf")
# shellcheck disable=SC2016 # meant for the dynamic loader
[ "$preload" = '/usr/$LIB/multihome/libmultihome.so' ] || fail "the drop-in preloads $preload"
serve drop_in env "LD_PRELOAD=$preload" unbound
all_right
stop_server drop_in
in_tree multihomectl selftest >"$LAB_DIR/selftest" 2>&1 || {
    cat "$LAB_DIR/selftest"
    fail 'the self-test in the tree'
}
say "ok: selftest: $(tail -n 1 "$LAB_DIR/selftest")"

# The removal detaches the kernel engine, goes on where that fails, and names what multihomectl wrote for the operator.
# There is no kernel engine in the tree: what stands for multihomectl notes how it is called.
left=$(sed -n '/^\.SH FILES/,/^\.SH NOTES/s|^\.I /etc|/etc|p' "$LAB_HERE/../../scripts/multihomectl.8" |
    sed 's/\\-/-/g; s/UNIT/unbound.service/; s/NAME/10-eth0/; s/PROFILE/no.such.profile/')
[ "$(wc -w <<<"$left")" -eq 10 ] || fail "what multihomectl writes is not as in its manual: $left"
mkdir -p "$tree/sys/fs/bpf/multihome"
for file in $left; do
    mkdir -p "$tree${file%/*}"
    echo '  /l.so mr, # multihomectl' >"$tree$file"
done
other=/etc/systemd/system/b.service.d/zz-multihome.conf
mkdir "$tree${other%/*}"
echo '[Service]' >"$tree$other"
# shellcheck disable=SC2016 # for the inner shell
printf '#!/bin/sh\necho "$@" >>/tmp/called\nexit 1\n' >"$tree/usr/bin/multihomectl"
# What is gone entirely apt no longer knows, so each is taken away in one of the two ways.
apt remove multihome
[ "$(cat "$tree/tmp/called" 2>/dev/null)" = 'detach --all --quiet' ] || fail 'the removal does not detach the kernel engine'
for file in $left; do
    grep -qF " $file," "$LAB_DIR/apt" || fail "the removal does not name $file: $(cat "$LAB_DIR/apt")"
done
! grep -qF "$other" "$LAB_DIR/apt" || fail "the removal takes $other for multihomectl's"
for file in $left "$other"; do
    rm "$tree$file"
    (cd "$tree" && rmdir --parents --ignore-fail-on-non-empty ".${file%/*}")
done
rmdir "$tree/sys/fs/bpf/multihome" "$tree/sys/fs/bpf" "$tree/sys/fs"
say 'ok: the removal detaches the kernel engine, and names what multihomectl wrote'
apt purge libmultihome
listing >"$LAB_DIR/after"
diff -u "$LAB_DIR/before" "$LAB_DIR/after" || fail 'a purge does not leave the tree as it was'
say 'ok: nothing is left after a purge'
