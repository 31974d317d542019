#!/bin/bash
# SPDX-License-Identifier: MIT
# completion.sh SOURCE BUILD: what bash and zsh offer after the beginnings of commands.
set -uo pipefail
source=$1 build=$2
here=$(cd "$(dirname "$0")" && pwd)
PATH=$source/scripts:$build:$PATH
export PATH LC_ALL=C
. "$source/scripts/completion/multihome.bash"
. "$source/scripts/completion/multihomectl.bash"
failures=0

# offers WORD COMMAND...: among what is offered for the last word of COMMAND is WORD.
offers() {
    local wanted=$1
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "_$1" "$1"
    case " ${COMPREPLY[*]} " in
    *" $wanted "*) printf 'ok: %s: %s\n' "$*" "$wanted" ;;
    *)
        printf 'FAIL: %s: %s is not among: %s\n' "$*" "$wanted" "${COMPREPLY[*]}"
        failures=$((failures + 1))
        ;;
    esac
}
offers --ports multihome --po
offers --same-interface multihome -v --s
offers debug multihome --log d
offers cat multihome --ports 53 ca
# bash makes a word of the equals sign.
offers debug multihome --log = d
offers debug multihome --log =
offers kernel multihome --engine = k
offers cat multihome --engine = kernel ca
offers check multihomectl ch
offers selftest multihomectl s
offers --library multihomectl check --lib
offers cat multihomectl check ca
offers nft multihomectl recipe --format n
offers nft multihomectl recipe --format = n
offers nft multihomectl recipe --format =
offers quic multihomectl ask --payload = q
offers routing multihomectl recipe --verify r

# Units that have a file, a template, and what runs without a file.
systemd=$(mktemp -d) || exit 1
trap 'rm -rf "$systemd"' EXIT
cat >"$systemd/systemctl" <<'SYSTEMCTL'
#!/bin/sh
case $1 in
list-unit-files) printf '%s\n' 'filed.service enabled enabled' 'mold@.service static -' ;;
list-units) printf '%s\n' 'filed.service loaded active running A server' 'mold@one.service loaded active running Another' \
    'dashed@a\x2db.service loaded active running A third' ;;
esac
SYSTEMCTL
chmod +x "$systemd/systemctl"
PATH=$systemd:$PATH
for call in enable disable 'check --unit'; do
    # shellcheck disable=SC2086 # words of a command line
    offers filed.service multihomectl $call f
    # shellcheck disable=SC2086
    offers mold@one.service multihomectl $call m
    [[ " ${COMPREPLY[*]} " != *'mold@.service'* ]] || {
        echo "FAIL: $call: a template is offered"
        failures=$((failures + 1))
    }
done

# What is no plain word is neither expanded nor run.
cat >"$systemd/ip" <<'IP'
#!/bin/sh
echo 'plain (id: 1)'
echo 'run-$(touch${IFS}ran)'
IP
chmod +x "$systemd/ip"
cd "$systemd" || exit 1
offers plain multihomectl doctor --netns p
offers 'run-\$\(touch\$\{IFS\}ran\)' multihomectl doctor --netns r
for beginning in d 'dashed@a\\x2d' 'dashed@a\x2d'; do offers 'dashed@a\\x2db.service' multihomectl enable "$beginning"; done
if [ -e ran ]; then
    echo 'FAIL: the name of a namespace was run'
    failures=$((failures + 1))
fi
# Files are left to bash itself: with -o default, it offers them where nothing else is offered.
mkdir 'a directory'
for call in 'multihome --log-file' 'multihomectl check --library' 'multihomectl attach --cgroup'; do
    # shellcheck disable=SC2206 # words of a command line
    COMP_WORDS=($call a) COMPREPLY=()
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    "_${COMP_WORDS[0]}" "${COMP_WORDS[0]}"
    [ "${#COMPREPLY[@]}" -eq 0 ] || {
        echo "FAIL: $call: '${COMPREPLY[*]}' is offered, and not quoted"
        failures=$((failures + 1))
    }
done

# zsh_offers WORD LINE: among what zsh offers when the tabulator is pressed behind LINE is WORD.
zsh_offers() {
    local offered
    offered=$(zsh -f "$here/completion.zsh" "$source/scripts/completion" "$2" 2>&1 | tr -s '\r\n ' ' ')
    case " $offered " in
    *" $1 "*) printf 'ok: zsh: %s: %s\n' "$2" "$1" ;;
    *)
        printf 'FAIL: zsh: %s: %s is not among: %s\n' "$2" "$1" "$offered"
        failures=$((failures + 1))
        ;;
    esac
}
if command -v zsh >/dev/null; then
    for file in "$source"/scripts/completion/_* "$here/completion.zsh"; do
        zsh -n "$file" || failures=$((failures + 1))
    done
    zsh_offers check 'multihomectl '
    zsh_offers stats 'multihomectl s'
    zsh_offers --library 'multihomectl check --'
    zsh_offers -j 'multihomectl check -'
    zsh_offers routing 'multihomectl recipe '
    zsh_offers iptables 'multihomectl recipe --format '
    zsh_offers nft 'multihomectl recipe --format='
    zsh_offers quic 'multihomectl ask --payload '
    zsh_offers nobody 'multihomectl check --user '
    zsh_offers mold@one.service 'multihomectl enable mold@'
    zsh_offers mold@one.service 'multihomectl check --unit mold@'
    zsh_offers --same-interface 'multihome -v --'
    zsh_offers -n 'multihome -'
else
    echo 'SKIP: what zsh offers: it is not installed'
fi
[ "$failures" -eq 0 ]
