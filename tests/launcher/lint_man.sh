#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual pages format without a warning, and know the options that the help texts know, and no others.
. "${0%/*}/common.sh"
command -v groff >/dev/null || skip 'groff is not installed'

for page in "$LAUNCHER_SOURCE/scripts/"*.[178]; do
    checks=$((checks + 1))
    said=$(groff -man -Tutf8 -ww -z "$page" 2>&1) || said="$said (failed)"
    [ -z "$said" ] || complain "$page: $said"
done
# What people look for in the manual of a command.
for page in multihome.1 multihomectl.8; do
    for section in 'EXIT STATUS' FILES EXAMPLES 'SEE ALSO'; do
        checks=$((checks + 1))
        grep -qx ".SH $section" "$LAUNCHER_SOURCE/scripts/$page" || complain "$page has no section $section"
    done
done
for page in multihome.1 multihomectl.8; do
    checks=$((checks + 1))
    sed '1,/^.SH SEE ALSO/d' "$LAUNCHER_SOURCE/scripts/$page" | grep -q '^\.BR multihome (7)' ||
        complain "$page does not lead to multihome(7), where the limits are"
done
# Every limit that somebody may meet comes with an advice, or says that there is nothing to do.
sed -n '/^\.SS What you may meet/,/^\.SS What needs/p' "$LAUNCHER_SOURCE/scripts/multihome.7" |
    awk 'function close_limit() { if (title != "" && !advised) print title }
        /^\.TP/ { close_limit(); getline; title = $0; advised = 0 }
        /What to do|Nothing to do/ { advised = 1 }
        END { close_limit() }' >"$scratch/limits"
checks=$((checks + 1))
[ ! -s "$scratch/limits" ] || complain "multihome.7 does not say what to do: $(cat "$scratch/limits")"
# The heading of a paragraph is the one line behind .TP: what of it stands on the next is the paragraph's first words.
awk '/^\.TP/ { getline; head = $0; getline
        if (gsub(/\(/, "(", head) != gsub(/\)/, ")", head) || /^\.[BIR]* \(/ || /^[a-z]*\)/) print FILENAME ": " head " | " $0 }' \
    "$LAUNCHER_SOURCE"/scripts/*.[178] >"$scratch/headings"
checks=$((checks + 1))
[ ! -s "$scratch/headings" ] || complain "headings of several lines: $(cat "$scratch/headings")"
# The settings' bounds and defaults are the library's.
setting() { sed -n "s/.* $1 = \([0-9']*\);.*/\1/p" "$LAUNCHER_SOURCE/shim/base/settings.hpp" | tr -d "'"; } # NAME
says() { # PAGE LINE
    checks=$((checks + 1))
    grep -qxF -e "$2" "$LAUNCHER_SOURCE/scripts/$1" || complain "$1 does not say, as settings.hpp does: $2"
}
peers="$(setting minimum_peers) to $(setting maximum_peers)"
timeouts="1 to $(setting maximum_timeout)"
defaults=$(setting 'unsigned question'),$(setting 'unsigned spoke_first')
says multihome.7 "Clients to remember, $peers ($(setting default_peers))."
says multihome.1 "The number of peers to remember, from $peers."
says multihome.7 "Seconds that a question and a word of ours count, $timeouts each ($defaults)."
says multihome.1 "Two numbers of seconds from $timeouts; $defaults is the default, as for UDP in the kernel's connection tracking."
# documented NAME: the options in the help text $scratch/help are all in the page on stdin.
documented() {
    page=$(groff -man -Tascii -P-cbou)
    grep -oE -e '(^|[ ,])--?[a-z][a-z-]*' "$scratch/help" | tr -d ' ,' | sort -u >"$scratch/options"
    [ -s "$scratch/options" ] || complain "$1: the help text has no options"
    while IFS= read -r option; do
        checks=$((checks + 1))
        printf '%s\n' "$page" | grep -qE -e "(^|[ ,[])$option([], =]|\$)" || complain "$1 lacks $option"
    done <"$scratch/options"
}
# known NAME: the options at the heads of the paragraphs of the page on stdin, as roff, are all in that help text.
known() {
    awk '/^\.TP/ { getline; gsub(/\\f./, ""); gsub(/\\-/, "-"); print }' | grep -oE -e '[ "]--?[a-z][a-z-]*' | tr -d ' "' |
        sort -u >"$scratch/options"
    while IFS= read -r option; do
        checks=$((checks + 1))
        grep -qE -e "(^|[ ,])$option([], =]|\$)" "$scratch/help" || complain "$1: the help text lacks $option"
    done <"$scratch/options"
}
"$launcher" --help >"$scratch/help"
documented multihome.1 <"$LAUNCHER_SOURCE/scripts/multihome.1"
known multihome.1 <"$LAUNCHER_SOURCE/scripts/multihome.1"
[ "$(wc -l <"$scratch/options")" -gt 10 ] || complain "hardly any options found in multihome.1"
# section NAME: what multihomectl.8 says of this subcommand, and of all.
section() {
    awk -v heading=".SS $1" '/^\.S[HS] / { shown = $0 == heading || $0 == ".SH DESCRIPTION" }
        shown || /^\.TH /' "$LAUNCHER_SOURCE/scripts/multihomectl.8"
}
subcommands=$("$tool" --help | sed -n '/^Subcommands:/,$s/^  \([a-z][a-z]*\) .*/\1/p')
[ -n "$subcommands" ] || complain 'multihomectl names no subcommands'
for subcommand in $subcommands; do
    grep -qxF ".SS $subcommand" "$LAUNCHER_SOURCE/scripts/multihomectl.8" ||
        complain "multihomectl.8 lacks the subcommand $subcommand"
    # -h is every command's, and not worth a line in each section.
    "$tool" "$subcommand" --help | grep -v -e '-h,' >"$scratch/help"
    section "$subcommand" >"$scratch/section"
    documented "multihomectl.8, $subcommand," <"$scratch/section"
    known "multihomectl.8, $subcommand" <"$scratch/section"
done
finish
