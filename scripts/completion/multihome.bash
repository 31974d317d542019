# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# bash completion for multihome(1). The options are asked of the command itself, so that they cannot drift.

_multihome() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} index
    COMPREPLY=()
    # bash makes a word of the equals sign in --option=value.
    case $word:$previous in
    =:*) word='' ;;
    *:=) previous=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    # The command that is started is the first word that is neither an option nor an option's value.
    for ((index = 1; index < COMP_CWORD; ++index)); do
        case ${COMP_WORDS[index]} in
        --)
            ((++index))
            break
            ;;
        --log | --log-file | --ports | --peers | --timeouts | --engine)
            ((++index))
            [ "${COMP_WORDS[index]}" != = ] || ((++index))
            ;;
        -*) ;;
        *) break ;;
        esac
    done
    if ((index < COMP_CWORD)) || { ((index == COMP_CWORD)) && [ "$previous" = -- ]; }; then
        if declare -F _command_offset >/dev/null; then _command_offset "$index"; fi
        return
    fi
    if ((index > COMP_CWORD)); then
        case $previous in
        --log) mapfile -t COMPREPLY < <(compgen -W 'off error warn info debug trace' -- "$word") ;;
        --log-file) ;; # bash's own: it quotes a file's name, and puts no blank behind a directory
        --engine) mapfile -t COMPREPLY < <(compgen -W 'auto preload kernel' -- "$word") ;;
        esac
        return
    fi
    case $word in
    -*)
        mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null | grep -oE -e '(^|[ ,])--?[a-z][a-z-]*' |
            tr -d ' ,')" -- "$word")
        ;;
    *) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
    esac
}
complete -o default -F _multihome multihome
