# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What peers take, and what becomes of them when there are too many. To be sourced by lab.sh. nf_conntrack_max is the
# host's and stays as it is: we fill the table that the namespace has.

NEW_RATE=100000 # new peers a second
OLD=2000        # of the old ones ask again meanwhile
OLD_PORT=40000  # of all old ones, by which they are known again

conntrack_value() { on_server cat "/proc/sys/net/netfilter/nf_conntrack_$1" 2>/dev/null; } # max|count

# Kibibytes of the kernel's own objects.
slab() { awk '$1 == "Slab:" { print $2 }' /proc/meminfo; }

# Kibibytes of a server's memory. It has forked nothing.
resident() { awk '$1 == "Rss:" { print $2 }' "/proc/$(server_pid "$1")/smaps_rollup"; } # NAME

memory() {
    local peers=200000 before after flows
    subject_on a-recipe
    before=$(slab)
    ask_many a-recipe --count "$peers" --passes 1 >/dev/null
    after=$(slab) flows=$(conntrack_value count)
    subject_off a-recipe
    if [ "${flows:-0}" -gt $((peers / 2)) ]; then
        figure "memory for each of $peers peers" redirect bytes "connection tracking's entries, of the kernel's memory" \
            $(((after - before) * 1024 / flows))
    fi
    start_fresh shim # the other one has had other peers
    before=$(($(resident shim) + $(slab)))
    ask_many a-shim --count "$peers" --passes 1 >/dev/null
    after=$(($(resident shim) + $(slab)))
    figure "memory for each of $peers peers" shim bytes "the server's and the kernel's memory, at the default size" \
        $(((after - before) * 1024 / peers))
}

# The sum of a counter of connection tracking over the processors.
conntrack_counter() { # NAME
    on_server conntrack -S 2>/dev/null | tr ' ' '\n' | awk -F= -v name="$1" '$1 == name { n += $2 } END { print n + 0 }'
}

# Datagrams that came when a socket's buffer was full, on either side.
lost() {
    { on_server cat /proc/net/snmp && on_client cat /proc/net/snmp; } |
        awk '$1 == "Udp:" && $2 ~ /^[0-9]/ { n += $6 } END { print n + 0 }'
}

complaints() { dmesg 2>/dev/null | grep -c 'nf_conntrack.*table full' || true; }

percent() { awk "BEGIN { print ($2 > 0) ? 100 * $1 / $2 : 0 }"; } # PART WHOLE

# New peers come at NEW_RATE while some of the old ones ask again.
flood_of_peers() { # SUBJECT GROUP NOTE-COMMAND SECONDS
    local subject=$1 group=$2 note=$3 seconds=$4 title asked answers right rest old lost_before
    title=$(title_of "$subject") lost_before=$(lost)
    ask_many "$subject" --count "$OLD" --own-port "$OLD_PORT" --rate 1000 --milliseconds $((seconds * 1000)) >"$LAB_DIR/old" &
    old=$!
    read -r asked answers right rest < <(ask_many "$subject" --first 10.128.0.0 --count $((seconds * NEW_RATE)) \
        --rate "$NEW_RATE" --milliseconds $((seconds * 1000)))
    wait "$old"
    note="$(($(lost) - lost_before)) datagrams lost in full socket buffers$($note)"
    figure "$group, new ones" "$title" "% served" "$asked new peers in $seconds s; $note" "$(percent "$right" "$asked")"
    # shellcheck disable=SC2034 # answers
    read -r asked answers right rest <"$LAB_DIR/old"
    figure "$group, old ones" "$title" "% served" "$asked requests of those who were there" "$(percent "$right" "$asked")"
}

what_conntrack_said() {
    printf '; %s flows, %s datagrams dropped, %s flows given up early, %s lines "table full" in the kernel log' \
        "$(conntrack_value count)" $(($(conntrack_counter drop) - DROPPED)) \
        $(($(conntrack_counter early_drop) - DROPPED_EARLY)) $(($(complaints) - COMPLAINTS))
}

start_counting() {
    DROPPED=$(conntrack_counter drop) DROPPED_EARLY=$(conntrack_counter early_drop) COMPLAINTS=$(complaints)
}

nothing() { :; }

# Fills the table by peers that ask PASSES times, and lets new ones come.
full_table_of() { # PASSES WHO
    local group
    group="$NEW_RATE new peers a second, nf_conntrack_max ($LIMIT) reached by peers that $2"
    subject_on a-recipe
    start_counting
    ask_many a-recipe --count "$LIMIT" --own-port "$OLD_PORT" --passes "$1" >/dev/null
    flood_of_peers a-recipe "$group" what_conntrack_said 2
    subject_off a-recipe
    start_fresh shim
    ask_many a-shim --count "$LIMIT" --own-port "$OLD_PORT" --passes "$1" >/dev/null
    flood_of_peers a-shim "$group" nothing 2
}

# The kernel gives up flows of peers that asked once for new ones, but not those of peers that have gone on for more
# than two seconds.
full_table() {
    LIMIT=$(conntrack_value max) || return 0
    if [ "$LIMIT" -gt 600000 ]; then
        say "not measured: what happens when nf_conntrack_max ($LIMIT) is reached"
        return 0
    fi
    full_table_of 1 "asked once"
    full_table_of 2 "go on"
}
