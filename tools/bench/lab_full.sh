# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What peers take, and what becomes of them when there are too many. To be sourced by lab.sh. nf_conntrack_max is the
# host's and stays as it is: we fill the table that the namespace has.

NEW_RATE=100000 # new peers a second
SECONDS_OF_NEW=2
OLD=2000       # of the old ones ask again meanwhile
OLD_PORT=40000 # of all old ones, by which they are known again

conntrack_value() { on_server cat "/proc/sys/net/netfilter/nf_conntrack_$1" 2>/dev/null; } # max|count

# The sum of a counter of connection tracking over the processors.
conntrack_counter() { # NAME
    on_server conntrack -S 2>/dev/null | tr ' ' '\n' | awk -F= -v name="$1" '$1 == name { n += $2 } END { print n + 0 }'
}

# Kibibytes of the kernel's own objects, and of the server's memory.
taken() { awk '$1 == "Slab:" || $1 == "Rss:" { n += $2 } END { print n }' /proc/meminfo "/proc/$(server_pid server)/smaps_rollup"; }

memory() {
    local peers=200000 subject before after known
    for subject in a-recipe a-shim; do
        subject_on "$subject"
        before=$(taken)
        ask_many count="$peers" requests="$peers" window=32 >/dev/null
        after=$(taken) known=$peers
        [ "$subject" = a-shim ] || known=$(conntrack_value count) # as many as there is room for
        report bytes "memory for each of $peers peers" "$TITLE" $(((after - before) * 1024 / known)) \
            "the server's and the kernel's memory, at the default size"
        subject_off "$subject"
    done
}

# Datagrams that came when a socket's buffer was full, on either side.
lost() {
    { on_server cat /proc/net/snmp && on_client cat /proc/net/snmp; } |
        awk '$1 == "Udp:" && $2 ~ /^[0-9]/ { n += $6 } END { print n + 0 }'
}

# Fills the table by peers that ask PASSES times, and lets new ones come while some of the old ones ask again.
full_table_of() { # SUBJECT PASSES WHO
    local group milliseconds=$((SECONDS_OF_NEW * 1000)) pass lost_before dropped early old new
    group="$NEW_RATE new peers a second, nf_conntrack_max ($LIMIT) reached by peers that $3"
    subject_on "$1"
    dropped=$(conntrack_counter drop) early=$(conntrack_counter early_drop)
    for ((pass = 1; pass <= $2; pass++)); do
        # A flow that goes on for two seconds is one that connection tracking does not give up for another.
        [ "$pass" -eq 1 ] || sleep 2.1
        ask_many count="$LIMIT" own_port="$OLD_PORT" requests="$LIMIT" window=32 >/dev/null
    done
    lost_before=$(lost)
    ask_many count="$OLD" own_port="$OLD_PORT" rate=1000 milliseconds="$milliseconds" >"$LAB_DIR/old" &
    old=$!
    new=$(ask_many first=10.128.0.0 count=$((SECONDS_OF_NEW * NEW_RATE)) rate="$NEW_RATE" milliseconds="$milliseconds")
    wait "$old"
    report served "$group, new ones" "$TITLE" "$new" "$(($(lost) - lost_before)) datagrams lost in full socket buffers; \
connection tracking has $(conntrack_value count) flows, dropped $(($(conntrack_counter drop) - dropped)) datagrams, \
gave up $(($(conntrack_counter early_drop) - early)) flows early"
    report served "$group, old ones" "$TITLE" "$(cat "$LAB_DIR/old")" "those who were there"
    subject_off "$1"
}

# The kernel gives up flows of peers that asked once for new ones, but not those of peers that have gone on for more
# than two seconds.
full_table() {
    local subject
    LIMIT=$(conntrack_value max) || return 0
    if [ "$LIMIT" -gt 600000 ]; then
        say "not measured: what happens when nf_conntrack_max ($LIMIT) is reached"
        return 0
    fi
    for subject in a-recipe a-shim; do full_table_of "$subject" 1 "asked once"; done
    for subject in a-recipe a-shim; do full_table_of "$subject" 2 "go on"; done
}
