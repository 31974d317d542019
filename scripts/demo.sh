#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The problem and its solution, shown with real programs: installs what is missing, builds the shim, makes two network
# namespaces (a server with three addresses of each family, a client that asks each of them), and prints what the same
# server answers without and with the shim. It builds in build, or in build-demo where that is no build directory, and may
# install missing packages; nothing else outside the namespaces is changed.
#
# Usage: scripts/demo.sh [--svg FILE]
#
# --svg also writes the first table as a picture, as scripts/demo.svg was made. MULTIHOME_BUILD names another build
# directory, MULTIHOME_LIBRARY a library that is already built.
set -euo pipefail

die() {
    printf 'demo.sh: %s\n' "$*" >&2
    exit 1
}

picture=
case ${1:-} in
'') ;;
--svg)
    [ $# -eq 2 ] || die "--svg needs the name of a file"
    picture=$(realpath -m "$2")
    ;;
-h | --help)
    sed -n '4,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
*) die "unknown argument $1" ;;
esac
[ "$(id -u)" -eq 0 ] || die "needs root, to make the two network namespaces that it runs in. Try: sudo scripts/demo.sh"

cd "$(dirname "${BASH_SOURCE[0]}")/.."

progress() { printf '%s\n' "$*" >&2; }

# --- what is missing -------------------------------------------------------------------------------------------------

# A program may have come from elsewhere than a package, so programs are looked for by name.
missing_packages() {
    local pair package
    for pair in cmake:cmake g++:g++ make:make pkg-config:pkg-config ip:iproute2 dig:bind9-dnsutils unbound:unbound; do
        command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
    done
    [ -x /usr/bin/python3 ] || printf 'python3\n'
    [ -z "${MULTIHOME_LIBRARY:-}" ] || return 0
    for package in libspdlog-dev libfmt-dev; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# A demonstration must not make this host a resolver.
# shellcheck source=scripts/no_services.sh
. scripts/no_services.sh
allow_services
install_packages() { # PACKAGE...
    local status=0
    trap allow_services EXIT
    forbid_services
    { apt-get update && apt_install "$@"; } >&2 || status=$?
    allow_services
    trap - EXIT
    case " $* " in *" unbound "*) systemctl disable unbound.service >/dev/null 2>&1 || true ;; esac
    [ "$status" -eq 0 ] || die "apt-get could not install: $*"
}

export PATH="$PATH:/usr/sbin:/sbin"
mapfile -t missing < <(if command -v dpkg-query >/dev/null; then missing_packages; fi)
if [ "${#missing[@]}" -gt 0 ]; then
    progress "installing ${missing[*]}"
    install_packages "${missing[@]}"
fi

# --- the build -------------------------------------------------------------------------------------------------------

# Under sudo, what is built belongs to the one who called it, so that they can go on building in the same directory.
as_caller() {
    if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        runuser -u "$SUDO_USER" -- "$@"
    else
        "$@"
    fi
}

if [ -z "${MULTIHOME_LIBRARY:-}" ]; then
    build=${MULTIHOME_BUILD:-build}
    [ -n "${MULTIHOME_BUILD:-}" ] || [ -e build/CMakeCache.txt ] || build='build-demo'
    progress "building $build/libmultihome.so"
    # Not a build directory that others will want the tools and tests from: the library is all that this needs.
    options=(-DMULTIHOME_TOOLS=OFF -DMULTIHOME_TESTS=OFF)
    log=$(mktemp)
    if ! { { [ -e "$build/CMakeCache.txt" ] || as_caller cmake -S . -B "$build" "${options[@]}"; } &&
        as_caller cmake --build "$build" --target multihome --parallel "$(nproc)"; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "the build failed"
    fi
    rm -f "$log"
    MULTIHOME_LIBRARY=$build/libmultihome.so
fi
[ -r "$MULTIHOME_LIBRARY" ] || die "there is no $MULTIHOME_LIBRARY"
MULTIHOME_LIBRARY=$(realpath "$MULTIHOME_LIBRARY")

# --- the lab ---------------------------------------------------------------------------------------------------------

# shellcheck source=tests/lab/lab.sh
. tests/lab/lab.sh
# shellcheck source=tests/lab/unbound.sh
. tests/lab/unbound.sh
# shellcheck source=scripts/demo_picture.sh
. scripts/demo_picture.sh
skip() { die "$*"; }
lab_topology_b
lab_policy_rule

red='' green='' bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    red=$'\e[31m' green=$'\e[32m' bold=$'\e[1m' plain=$'\e[0m'
fi

by_dig() { # ADDRESS: where the answer came from, as dig tells it
    local verdict
    verdict=$(dig_source "$1" www.demo.test)
    case $verdict in
    right) printf '%s\n' "$1" ;;
    *) printf '%s\n' "${verdict#wrong }" ;;
    esac
}
by_ask() { ask "$1" --timeout 2; } # ADDRESS

# Asks all addresses at once (dig waits a second before it gives up on one); prints the sources in the same order.
sources() { # ASKER
    local index asking=()
    for index in "${!addresses[@]}"; do
        "$1" "${addresses[$index]}" >"$LAB_DIR/answer.$index" &
        asking+=("$!")
    done
    wait "${asking[@]}"
    for index in "${!addresses[@]}"; do cat "$LAB_DIR/answer.$index"; done
}

cell() { # ASKED SOURCE: one half of a row; colour codes must not count as width
    local colour=$green word=ok
    [ "$1" = "$2" ] || { colour=$red word=WRONG; }
    printf '%-16s %s%-7s%s' "$2" "$colour" "$word" "$plain"
}

wrong_with_shim=0
show() { # TITLE ASKER SOCKETS CMD...
    local title=$1 asker=$2 sockets=$3 index
    shift 3
    start_server -s "$sockets" bare "$@"
    mapfile -t bare < <(sources "$asker")
    stop_server bare
    with_shim start_server -s "$sockets" shim "$@"
    mapfile -t shim < <(sources "$asker")
    stop_server shim
    printf '\n%s%s%s\n\n' "$bold" "$title" "$plain"
    printf '  %s%-16s | %-24s | %-24s%s\n' "$bold" '' 'without multihome' 'with multihome' "$plain"
    printf '  %-16s | %-16s %-7s | %-16s %-7s\n' asked 'answered from' verdict 'answered from' verdict
    printf '  %s\n' '-----------------+--------------------------+-------------------------'
    for index in "${!addresses[@]}"; do
        printf '  %-16s | %s | %s\n' "${addresses[$index]}" "$(cell "${addresses[$index]}" "${bare[$index]}")" \
            "$(cell "${addresses[$index]}" "${shim[$index]}")"
        [ "${addresses[$index]}" = "${shim[$index]}" ] || wrong_with_shim=$((wrong_with_shim + 1))
    done
}

unbound_configuration "$LAB_DIR" >"$LAB_DIR/unbound.conf"
if command -v unbound >/dev/null && command -v dig >/dev/null; then
    show 'unbound, asked by dig (which does not take an answer from another address than it asked)' by_dig "$families" \
        "$(unconfined unbound)" -c "$LAB_DIR/unbound.conf"
    if [ -n "$picture" ]; then demo_picture 'unbound on a host with several addresses' >"$picture"; fi
fi
dual=dual
[ "$families" -eq 2 ] || dual=v4
show 'a Python server on one socket for both families' by_ask 1 "${LAB_ECHO[@]}" --family "$dual"

cat <<'NOTE'

  The server: 192.0.2.2 and .3 on eth0, 198.51.100.2 on eth1 with an uplink of its own (IPv6: 2001:db8:1:: and 2::).
  Your own server: scripts/multihome ./server
NOTE
[ "$wrong_with_shim" -eq 0 ] || die "$wrong_with_shim answers were wrong with the shim"
