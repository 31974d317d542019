# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for multihomectl(8). Subcommands and options are asked of the command itself, so that they cannot drift.

_multihomectl() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} subcommand=${COMP_WORDS[1]}
    local words='' name quoted
    COMPREPLY=()
    # bash makes a word of the equals sign in --option=value.
    case $word:$previous in
    =:*) word='' ;;
    *:=) previous=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("$1" --help 2>/dev/null | sed -n '/^Subcommands:/,$s/^  \([a-z][a-z-]*\).*/\1/p')
        words="$words --help --version"
    else
        case $subcommand:$previous in
        *:--library | *:--cgroup) return ;; # bash's own: it quotes a name, and puts no blank behind a directory
        *:--netns) words=$(ip netns list 2>/dev/null | cut -d' ' -f1) ;;
        *:--user) words=$(compgen -u) ;;
        ask:--payload) words='dns ntp stun snmp tftp radius sip quic memcached echo' ;;
        recipe:--format) words='nft iptables' ;;
        recipe:*) words='one-interface two-interfaces routing' ;;
        enable:* | disable:* | attach:* | detach:* | *:--unit)
            # A template is no unit; its instances, and what a generator made, have no files of their own.
            words=$({
                systemctl list-unit-files --type=service --no-legend --plain
                systemctl list-units --all --type=service --no-legend --plain
            } 2>/dev/null | cut -d' ' -f1 | grep -v '@\.service$' | sort -u)
            ;;
        check:*) words=$(compgen -c -- "$word") ;;
        esac
        case $word in
        -*) words=$("$1" "$subcommand" --help 2>/dev/null | grep -oE -e '(^|[ ,])--?[a-z][a-z-]*' | tr -d ' ,') ;;
        esac
    fi
    # Not by compgen -W: it would expand a name, a backslash in a unit's as well as $() in a namespace's.
    # The beginning of a word is quoted as well, where it has been completed before.
    while read -r name; do
        printf -v quoted %q "$name"
        [[ -z $name || ($name != "$word"* && $quoted != "$word"*) ]] || COMPREPLY+=("$quoted")
    done < <(tr ' ' '\n' <<<"$words")
}
complete -o default -F _multihomectl multihomectl
