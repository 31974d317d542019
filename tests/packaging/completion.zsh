# SPDX-License-Identifier: MIT
# completion.zsh DIRECTORY LINE: prints what zsh lists when the tabulator is pressed behind LINE, with the functions of
# DIRECTORY. zsh completes on a terminal only, so that a second one gets one of its own.
zmodload zsh/zpty || exit 2
zpty inner "TERM=dumb COLUMNS=200 LINES=200 zsh -f -i"
zpty -w inner "PROMPT= RPROMPT= ; unsetopt zle_bracketed_paste 2>/dev/null; stty cols 200 rows 200 -echo"
zpty -w inner "fpath=(${(q)1} \$fpath); autoload -Uz compinit && compinit -u -D"
# Lists all, and says when it has; LISTMAX, or zsh would ask first where there is much.
zpty -w inner "LISTMAX=0; setopt no_beep; multihome_list() { zle list-choices; zle -R; print LISTED }"
zpty -w inner "zle -N multihome_list; bindkey '^X' multihome_list; print READY"
zpty -r -m inner said $'*\nREADY*' || exit 2
zpty -w -n inner "$2"$'\C-X'
zpty -r -m inner said '*LISTED*' || exit 2
print -r -- "$said"
zpty -d inner
