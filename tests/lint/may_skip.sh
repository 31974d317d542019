#!/bin/sh
# SPDX-License-Identifier: MIT
# may_skip.sh SOURCE BUILD: what .ci/may_skip names is there, and where anything else is skipped, .ci/run fails. It runs
# with stand-ins for all that it would install, build and test.
. "${0%/*}/common.sh"
build=$2
status=0
complain() {
    echo "FAIL: $*"
    status=1
}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

sed -n 's/^add_test(\(\[=*\[\)\{0,1\}\([^] ]*\).*/\2/p' "$build"/tests/*/CTestTestfile.cmake >"$scratch/tests"
while read -r pattern words; do
    case $pattern in
    '#'* | '') continue ;;
    esac
    [ -n "$words" ] || complain "no words of its reason stand behind $pattern"
    grep -rqF -e "$words" --exclude=may_skip.sh tests tools/bench || complain "nothing says: $words"
    while read -r test; do
        # shellcheck disable=SC2254 # a pattern
        case $test in
        $pattern) continue 2 ;;
        esac
    done <"$scratch/tests"
    complain "there is no test $pattern"
done <.ci/may_skip

[ "$(id -u)" -eq 0 ] || {
    echo 'SKIP: .ci/run, which needs root'
    exit "$status"
}
mkdir -p "$scratch/bin" "$scratch/build/Testing/Temporary"
printf '#!/bin/sh\nexit 1\n' >"$scratch/bin/apt-get"
printf '#!/bin/sh\n' >"$scratch/bin/cmake"
# All is installed but for one.
cat >"$scratch/bin/dpkg-query" <<'TEXT'
#!/bin/sh
case $* in
*multihome-nobody) exit 1 ;;
esac
printf installed
TEXT
# A test of which a part is skipped has passed.
cat >"$scratch/bin/ctest" <<'TEXT'
#!/bin/sh
echo '100% tests passed, 0 tests failed out of 2'
[ -n "${A_PART:-}" ] || printf '\nThe following tests did not run:\n\t  1 - %s (Skipped)\n' "$SKIPPED"
cat >"$STAND_IN/Testing/Temporary/LastTest.log" <<LOG
1/2 Testing: $SKIPPED
Output:
${REASON:+SKIP: $REASON}
<end of output>
LOG
TEXT
chmod 755 "$scratch"/bin/*

expect() { # STATUS TEST REASON: what .ci/run ends with where this test is skipped
    got=0
    env -u SUDO_USER PATH="$scratch/bin:$PATH" STAND_IN="$scratch/build" SKIPPED="$2" REASON="$3" \
        MULTIHOME_BUILD="$scratch/build" .ci/run >"$scratch/said" 2>&1 || got=$?
    if [ "$got" -eq "$1" ]; then
        echo "ok: ${A_PART:+a part of }$2 is skipped ($3): $got"
    else
        complain "${A_PART:+a part of }$2 is skipped ($3): $got, should be $1: $(cat "$scratch/said")"
    fi
}
expect 0 packaging.debian 'mmdebstrap could not make a Debian tree: no mirror'
expect 1 packaging.debian 'mmdebstrap is not installed'
expect 1 packaging.debian ''
expect 0 transparency.seccomp.no_counter_by_number 'this processor has no such counter'
expect 1 lab.recipe_snat_nftables 'this kernel cannot'
grep -q '^  lab.recipe_snat_nftables: SKIP: this kernel cannot$' "$scratch/said" || complain "it is not named: $(cat "$scratch/said")"
expect 0 servers.nobody 'package multihome-nobody is not installed'
expect 1 servers.nobody 'package coreutils is not installed'
expect 1 lab.demo 'dig is not installed'
A_PART=yes
export A_PART
expect 0 unit.asan 'memory cannot be locked here'
expect 1 unit.asan 'ptrace is not permitted here: Operation not permitted'
expect 1 packaging.completion 'what zsh offers: it is not installed'
exit "$status"
