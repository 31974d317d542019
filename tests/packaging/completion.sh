#!/bin/bash
# SPDX-License-Identifier: MIT
# completion.sh SOURCE BUILD: what bash offers after the beginnings of commands; the files for zsh are valid for it.
set -uo pipefail
source=$1 build=$2
PATH=$source/scripts:$build:$PATH
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
offers check multihomectl ch
offers selftest multihomectl s
offers --library multihomectl check --lib
offers cat multihomectl check ca

if command -v zsh >/dev/null; then
    for file in "$source"/scripts/completion/_*; do
        zsh -n "$file" || failures=$((failures + 1))
    done
else
    echo 'no zsh: its files were not looked at'
fi
[ "$failures" -eq 0 ]
