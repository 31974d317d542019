#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is missing, builds, and runs all tests through one ctest: unit tests (plain and with sanitizers), stress
# tests, the launcher, the lab of two network namespaces, and real servers in it. Ends with what was skipped and why,
# and with ctest's summary. Nothing is left running, and nothing outside the build directory is changed but for the
# packages installed. No package is removed.
#
# Usage: scripts/test.sh [CTEST-OPTION...], for example scripts/test.sh -L unit
#
# The groups are unit, stress, transparency, connect, conversations, lab, servers, engine, differential, bench, tools,
# launcher, packaging, architectures and lint (ctest --print-labels has them all). MULTIHOME_BUILD names another build
# directory than build; MULTIHOME_WERROR=ON makes warnings errors, and MULTIHOME_MAY_SKIP names a list of tests, one a line
# with words of the reason behind it: what else is skipped is a failure. Continuous integration has both.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
unset LD_PRELOAD

# Each package once, with what it is for. Tests whose programs are missing skip themselves.
packages() {
    cat <<'LIST'
build-essential     the compiler
cmake               the build
pkg-config          finds libffi
libffi-dev          calls interposed functions by name in the self-test
libspdlog-dev       the shim's log
libfmt-dev          formats the log's lines
doctest-dev         the unit tests
libcli11-dev        the command line of multihomectl
nlohmann-json3-dev  the JSON of multihomectl, the settings of the bench's programs
clang               compiles the kernel engine's programs
bpftool             embeds them in multihomectl; the engine's tests look for what is left
libbpf-dev          multihomectl loads the kernel engine
golang-go           the engine's test of a Go program
liburing-dev        the engine's test of an io_uring server
libmd-dev           multihomectl ask: RADIUS signs its requests with MD5
libmnl-dev          multihomectl asks the kernel for sockets, addresses and routes
libbenchmark-dev    measures what runs inside one process
gnuplot-nox         draws the bench's picture
binutils            nm: what the library exports
valgrind            counts instructions
strace              counts system calls
zsh                 asks its completion
linux-perf          says where the processor time goes
shellcheck          checks the scripts
clang-format        checks the layout of the C++ files
clang-tidy          checks the C++ files that have changed
codespell           checks the spelling
groff               checks the manual pages
mandoc              checks the manual pages
man-db              checks the manual pages
debhelper           makes the packages
lintian             checks the packages
mmdebstrap          a Debian tree to install the packages in
apparmor            says what a stock profile lets a server load
musl-tools          a program that preloading must leave alone
qemu-user-static    runs what is built for other processors
g++-aarch64-linux-gnu    builds for 64-bit ARM
g++-arm-linux-gnueabihf  builds for 32-bit ARM
g++-i686-linux-gnu  builds for 32-bit x86
systemd             systemd-analyze checks the drop-in
libcap2-bin         setcap: programs that preloading cannot reach
procps              sysctl, ps
iproute2            the lab's namespaces and routes
nftables            the kernel's recipes
iptables            the kernel's recipes
conntrack           the kernel's recipes
python3             test servers and clients, the bench
bind9-dnsutils      dig, a strict judge
unbound             a real server
nsd                 a real server
memcached           a real server
dnsmasq-base        a real server that needs no help
libjemalloc2        another library to preload beside ours
libfaketime         another library to preload beside ours
libtbb-dev          a hash table to compare with
libcuckoo-dev       a hash table to compare with
liburcu-dev         a hash table to compare with
LIST
}

say() { printf '%s\n' "$*"; }
die() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 1
}

case ${1:-} in
-h | --help)
    sed -n '4,15s/^# \{0,1\}//p' scripts/test.sh
    exit 0
    ;;
esac
if [ "$(id -u)" -ne 0 ]; then
    cat >&2 <<'TEXT'
test.sh: needs root, to install missing packages and to make network namespaces. Try: sudo scripts/test.sh
Without root, the unit and stress tests alone:
    cmake -S . -B build && cmake --build build -j && ctest --test-dir build -L 'unit|stress' --output-on-failure
TEXT
    exit 1
fi

build=${MULTIHOME_BUILD:-build}
case $build in
/*) export WALL_UNPACKED="$build/unpacked" ;;
*) export WALL_UNPACKED="$PWD/$build/unpacked" ;;
esac
# shellcheck source=scripts/no_services.sh
. scripts/no_services.sh
work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    rm -rf "$work"
    allow_services
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
allow_services

# Under sudo, what is built belongs to the one who called it, so that they can go on building in the same directory.
as_caller() {
    if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        runuser -u "$SUDO_USER" -- "$@"
    else
        "$@"
    fi
}

# --- what is missing -------------------------------------------------------------------------------------------------

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; } # PACKAGE

missing() {
    packages | while read -r package reason; do
        is_installed "$package" || printf '%s: %s\n' "$package" "$reason"
    done
    # The wall of servers knows its own, and looks for the programs rather than for the packages.
    packages | cut -d' ' -f1 >"$work/listed"
    tests/servers/wall.sh --missing | grep -vxFf "$work/listed" | sed 's/$/: a real server/'
}

# Debian's package of one server may conflict with that of another. Its program is wanted, and not the package.
missing_programs() { tests/servers/wall.sh --unpacked; }

enabled_units() { find /etc/systemd/system -path '*.wants/*' -printf '%f\n' 2>/dev/null | sort -u; }

# Debian starts a server as soon as it is installed, and at each boot. This host is to serve nobody because of us.
install_packages() { # PACKAGE...
    forbid_services
    enabled_units >"$work/enabled"
    # All at once is quickest. One that cannot be had (it conflicts with what is here, or no source has it) would keep
    # out all the others, so then each is installed by itself.
    if ! apt_install "$@" >"$work/apt" 2>&1; then
        for package in "$@"; do
            apt_install "$package" >"$work/apt" 2>&1 ||
                say "  $package could not be installed: $(grep -m 1 '^E:' "$work/apt" || tail -n 1 "$work/apt")"
        done
    fi
    enabled_units | comm -13 "$work/enabled" - | while read -r unit; do
        systemctl disable "$unit" >/dev/null 2>&1 || say "could not disable $unit"
    done
    allow_services
}

unpack_packages() { # PACKAGE...
    as_caller mkdir -p "$WALL_UNPACKED"
    for package in "$@"; do
        if mkdir "$work/$package" && (cd "$work/$package" && apt-get download "$package") >"$work/apt" 2>&1 &&
            dpkg -x "$work/$package"/*.deb "$WALL_UNPACKED"; then
            continue
        fi
        say "  $package could not be unpacked: $(tail -n 1 "$work/apt")"
    done
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    missing >"$work/missing"
    missing_programs >"$work/unpacked"
    if [ -s "$work/missing" ] || [ -s "$work/unpacked" ]; then
        say "== installing" && sed 's/^/  /' "$work/missing"
        sed 's/$/: a real server, unpacked only/; s/^/  /' "$work/unpacked"
        apt-get update >"$work/apt" 2>&1 || { say "  apt-get update failed:" && tail -n 3 "$work/apt"; }
        # shellcheck disable=SC2046 # package names have no spaces
        [ ! -s "$work/missing" ] || install_packages $(sed 's/:.*//' "$work/missing")
        # shellcheck disable=SC2046 # package names have no spaces
        [ ! -s "$work/unpacked" ] || unpack_packages $(cat "$work/unpacked")
    fi
else
    say "no apt-get here: going on with what is there"
fi

# --- the build -------------------------------------------------------------------------------------------------------

processors=$(nproc)
say "== building in $build"
if ! { as_caller cmake -S . -B "$build" -DMULTIHOME_TESTS=ON -DMULTIHOME_UNITY=ON \
    -DMULTIHOME_WERROR="${MULTIHOME_WERROR:-OFF}" &&
    as_caller cmake --build "$build" --parallel "$processors"; } >"$work/build" 2>&1; then
    grep -n -E 'error|Error' "$work/build" >&2 || tail -n 40 "$work/build" >&2
    die "the build failed"
fi

# --- the tests -------------------------------------------------------------------------------------------------------

# What is meant for this script is nothing that the launcher under test knows.
may_skip=${MULTIHOME_MAY_SKIP:-}
unset MULTIHOME_WERROR MULTIHOME_BUILD MULTIHOME_MAY_SKIP
# Four tests for each processor: most of them wait, and those that compute count for three (tests/CMakeLists.txt).
# ctest's summary is held back, to be the end of what is printed.
say "== testing"
{
    status=0
    ctest --test-dir "$build" --parallel $((4 * processors)) --output-on-failure --no-tests=error "$@" 2>&1 || status=$?
    echo "$status" >"$work/status"
} | awk -v summary="$work/summary" '
    /^[0-9]+% tests passed/ { held = 1 }
    held { print >summary; next }
    { print; fflush() }'
if [ -n "${SUDO_USER:-}" ]; then chown -R "$SUDO_USER" "$build"; fi

# The lines of all tests' output that match, each with its test's name.
from_tests() { # PATTERN
    awk -v pattern="$1" '
        /^[0-9]+\/[0-9]+ Testing: / { test = $3 }
        /^Output:$/ { inside = 1; next }
        /^<end of output>$/ { inside = 0 }
        inside && match($0, pattern) { print "  " test ": " substr($0, RSTART) }' \
        "$build/Testing/Temporary/LastTest.log" 2>/dev/null || true
}

from_tests '[^ ].*, budget .*: MISSED|[0-9]+ of [0-9]+ met|with shim: .*' >"$work/figures"
if [ -s "$work/figures" ]; then say "== figures" && cat "$work/figures"; fi
from_tests 'SKIP: .*' | sort -u >"$work/skipped"
say "== skipped"
if [ -s "$work/skipped" ]; then cat "$work/skipped"; else say "  nothing"; fi
say "== summary"
cat "$work/summary" 2>/dev/null || say "ctest ended without a summary"

# What was skipped and is not in the list: the lines above, where a part of a test is skipped as well as all of it, and each
# test that is skipped without a word. A server whose package is not here is none of them.
should_have_run() {
    {
        cat "$work/skipped"
        sed -n 's/^[[:space:]]*[0-9]* - \([^ ]*\) (Skipped).*/\1/p' "$work/summary" | while read -r test; do
            grep -qF "  $test: SKIP: " "$work/skipped" || say "  $test: SKIP: no reason is given"
        done
    } | while IFS= read -r line; do
        test=${line#  } && test=${test%%: *}
        reason=${line#*: SKIP: }
        package=${reason#package } && package=${package% is not installed}
        if [ "$reason" = "package $package is not installed" ] && ! is_installed "$package"; then continue; fi
        while read -r pattern words; do
            # shellcheck disable=SC2254 # a pattern
            case $test in
            $pattern) case $reason in *"$words"*) continue 2 ;; esac ;;
            esac
        done <"$may_skip"
        say "$line"
    done
}
status=$(cat "$work/status")
if [ -n "$may_skip" ]; then
    should_have_run >"$work/unexpected"
    if [ -s "$work/unexpected" ]; then
        say "== skipped, and not in $may_skip" && cat "$work/unexpected"
        say "  Give this machine what it lacks. Where it cannot have that, and no fault of ours is missed by it, add a line to"
        say "  $may_skip."
        [ "$status" -ne 0 ] || status=1
    fi
fi
exit "$status"
