/* SPDX-License-Identifier: MIT */
/* What is known of a conversation: how a question changes it, and which source it gives an answer. */
#pragma once

#include "order.bpf.h"
#include "shim/peers/answering_ports.h"
#include "state.bpf.h"

struct arrival {
    struct engine_key key;
    struct engine_address place; /* the address of ours that was asked */
    __u32 link;                  /* the interface, for a link-local peer; else 0 */
};

/* As linux/in.h and linux/in6.h have them, which cannot be included beside each other everywhere. */
struct sockaddr_ipv4 {
    __u16 family;
    __u16 port;
    __u32 address;
    __u8 zero[8];
};
struct sockaddr_ipv6 {
    __u16 family;
    __u16 port;
    __u32 flow;
    struct engine_address address __attribute__((packed, aligned(4)));
    __u32 scope;
};

static __always_inline struct engine_address mapped(__u32 ipv4) {
    struct engine_address address = {{0, (__u64)ipv4 << 32 | bpf_htonl(0xFFFF)}};
    return address;
}

static __always_inline int is_link_local(const struct engine_address* address) {
    return ((__u32)address->half[0] & bpf_htonl(0xFFC00000)) == bpf_htonl(0xFE800000);
}

static __always_inline int same(const struct engine_address* one, const struct engine_address* other) {
    return one->half[0] == other->half[0] && one->half[1] == other->half[1];
}

/* Never 0, which stands for "no place". */
static __always_inline __u16 sum_of(const struct engine_address* address) {
    __u64 mixed = address->half[0] * 0x9E3779B97F4A7C15 ^ address->half[1] * 0xC2B2AE3D27D4EB4F;
    return (__u16)(mixed >> 48) | 1;
}

/* A link-local peer that was heard on two links. */
static __always_inline int is_ambiguous(const struct engine_conversation* known) {
    return known->link == ENGINE_SEVERAL_LINKS;
}

/* --- places --- */

/* Copies the place out, if it is whole. `number` is 0 or 1. */
static __always_inline int read_place(const struct engine_conversation* known, __u32 number,
                                      struct engine_address* place) {
    __u16 check = number ? known->check[1] : known->check[0];
    *place = number ? known->place[1] : known->place[0];
    return check != 0 && check == sum_of(place);
}

static __always_inline void write_place(struct engine_conversation* known, __u32 number,
                                        const struct engine_address* place) {
    if (number) {
        known->check[1] = 0;
        barrier();
        known->place[1] = *place;
        barrier();
        known->check[1] = sum_of(place);
    } else {
        known->check[0] = 0;
        barrier();
        known->place[0] = *place;
        barrier();
        known->check[0] = sum_of(place);
    }
}

static __always_inline int is_place(const struct engine_conversation* known, __u32 number,
                                    const struct engine_address* asked) {
    return number ? known->check[1] && same(&known->place[1], asked)
                  : known->check[0] && same(&known->place[0], asked);
}

/* The number of the place that was asked; a new one takes the room of the one that is not confirmed. What was
 * noted of that one, it does not say of the new one. */
static __always_inline __u32 number_of(struct engine_conversation* known, const struct engine_address* asked,
                                       int* is_new) {
    *is_new = 0;
    if (is_place(known, 0, asked))
        return 0;
    if (is_place(known, 1, asked))
        return 1;
    __u32 confirmed = known->known && known->known <= ENGINE_PLACES ? known->known : known->asked;
    __u32 number = confirmed == 1;
    write_place(known, number, asked);
    *is_new = 1;
    return number;
}

/* --- questions --- */

/* Where the question may be that a new socket answers for. Lost writes are no harm: the next question notes
 * it again. */
static __always_inline void note_served_port(__u16 port) {
    __u32 empty = ENGINE_SERVED_PORTS;
#pragma unroll
    for (int i = ENGINE_SERVED_PORTS - 1; i >= 0; i--) {
        if (served_ports[i] == port)
            return;
        if (served_ports[i] == 0)
            empty = i;
    }
    if (empty == ENGINE_SERVED_PORTS)
        empty = bpf_get_prandom_u32();
    served_ports[empty % ENGINE_SERVED_PORTS] = port;
}

/* False: another processor has heard the same peer just now. */
static __always_inline int hear_stranger(const struct arrival* arrival) {
    __u32 now = ticks();
    struct engine_conversation fresh = {.asks = 1,
                                        .arrived = 1,
                                        .order = ENGINE_ORDER_NEW,
                                        .asked = 1,
                                        .asked_at = now,
                                        .link = arrival->link};
    write_place(&fresh, 0, &arrival->place);
    watch_new(&arrival->key);
    if (bpf_map_update_elem(&conversations, &arrival->key, &fresh, BPF_NOEXIST) != 0)
        return 0;
    note_served_port(arrival->key.local_port);
    count(ENGINE_PEERS);
    return 1;
}

/* False: the peer has been answered where it asks, and there is no question to be noted. */
static __always_inline int ask(struct engine_conversation* known, __u32 number, int is_new) {
    if (known->asked == number + 1 && !is_new) {
        if (known->answers != known->asks)
            return 1;
        if (known->known != number + 1)
            known->known = (__u8)(number + 1); /* it has been answered from there, and comes back */
        if (!known->handed_over)
            return 0;
        count_question(known); /* a new socket may answer, once more */
        return 1;
    }
    if (known->known && known->known <= ENGINE_PLACES && known->known != number + 1)
        count(ENGINE_MOVES);
    known->asked = (__u8)(number + 1);
    count_question(known);
    return 1;
}

/* Notes which address was asked. For a peer that is known and stays where it is, nothing is written, and the
 * time is not asked for. */
static __always_inline void hear(const struct arrival* arrival) {
    struct engine_conversation* known = bpf_map_lookup_elem(&conversations, &arrival->key);
    if (!known) {
        if (hear_stranger(arrival))
            return;
        known = bpf_map_lookup_elem(&conversations, &arrival->key);
        if (!known)
            return;
    }
    if (known->spoke_at) {
        __u32 now = ticks();
        int silent = ticks_since(known->spoke_at, now) >= settings.spoke_first_ticks;
        __u8 lapsed = known->asked; /* 0: we began */
        if (!lapsed && !silent) {
            if (now - known->spoke_at >= ENGINE_TICKS)
                known->spoke_at = now;
            return; /* an answer to what we asked */
        }
        /* Its question had run out, or we began. It comes back, or it asks elsewhere, or somebody does in its
         * name. */
        if (!lapsed || !is_place(known, lapsed - 1U, &arrival->place))
            known->known = ENGINE_HOMELESS;
        else if (!silent)
            known->known = lapsed;
        else if (known->known > ENGINE_PLACES)
            known->known = 0;
        known->spoke_at = 0;
    }
    if (arrival->link != known->link && !is_ambiguous(known))
        known->link = known->link ? ENGINE_SEVERAL_LINKS : arrival->link;
    int is_new;
    __u32 number = number_of(known, &arrival->place, &is_new);
    if (known->check[0] && known->check[1])
        follow(&arrival->key, known, number, ticks());
    else if (known->order == ENGINE_ORDER_NEW)
        follow_new(&arrival->key, known);
    barrier();
    if (!ask(known, number, is_new))
        return;
    __u32 now = ticks();
    if (known->asked_at == now)
        return;
    known->asked_at = now;
    note_served_port(arrival->key.local_port);
}

/* --- answers --- */

/* What the conversation itself says; ENGINE_NO_PLACE: nothing that is still true. `asked` and `asks`: as they
 * were read before `order` was. */
static __always_inline __u32 place_for(struct engine_conversation* known, __u8 asked, __u8 asks) {
    if (known->known && known->answers == asks)
        return known->known - 1U; /* no question waits: at whatever time */
    int fresh = ticks_since(known->asked_at, ticks()) < settings.question_ticks;
    if (asked && fresh && known->answers != asks) {
        known->answers = asks;
        return asked - 1U;
    }
    if (known->known)
        return known->known - 1U;
    return asked && fresh ? asked - 1U : ENGINE_NO_PLACE;
}

/* As the shim's Handover::answers_from(): who has such a port answers what we ask, and asks nothing. */
static __always_inline int is_answering_port(__u16 peer_port) {
    static const __u16 servers[] = {MULTIHOME_ANSWERING_PORTS};
    __u16 port = bpf_ntohs(peer_port);
#pragma unroll
    for (__u32 i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        if (port == servers[i])
            return 1;
    }
    return port < 1024;
}

/*
 * A question that waits for its answer from another port: the socket was made after the question had come,
 * nobody has answered it, and the peer's port is none that servers answer from. A stranger can have a
 * program's own first datagram to a port that is not one of those leave from another address of ours, if it
 * forges that peer's address and port before the program makes the socket.
 */
static __always_inline int handed_over(const struct engine_key* key, struct bpf_sock* socket,
                                       struct engine_address* place) {
    if (is_answering_port(key->peer_port))
        return 0;
    __u32* made = bpf_sk_storage_get(&made_at, socket, 0, 0);
    if (!made)
        return 0;
    __u32 now = ticks();
    struct engine_key question = *key;
#pragma unroll
    for (int i = 0; i < ENGINE_SERVED_PORTS; i++) {
        question.local_port = served_ports[i];
        if (question.local_port == 0 || question.local_port == key->local_port)
            continue;
        struct engine_conversation* known = bpf_map_lookup_elem(&conversations, &question);
        if (!known || known->spoke_at || is_ambiguous(known) || !known->asked)
            continue;
        __u32 age = ticks_since(known->asked_at, now);
        if (known->answers == known->asks || age >= settings.question_ticks || now - *made > age)
            continue;
        if (!read_place(known, known->asked - 1U, place))
            continue;
        known->answers = known->asks;
        known->handed_over = 1;
        count(ENGINE_HANDED_OVER);
        return 1;
    }
    return 0;
}

/* A conversation that begins with a datagram of ours: the answer to another port's question, or our own
 * question. */
static __always_inline int speak(const struct engine_key* key, struct bpf_sock* socket,
                                 struct engine_address* place) {
    struct engine_conversation fresh = {};
    int found = settings.hand_over && handed_over(key, socket, place);
    if (found) {
        write_place(&fresh, 0, place);
        fresh.asks = fresh.answers = 1;
        fresh.asked = fresh.known = 1;
        fresh.asked_at = ticks();
    } else {
        fresh.spoke_at = ticks();
        count(ENGINE_SPOKE_FIRST);
    }
    bpf_map_update_elem(&conversations, key, &fresh, BPF_NOEXIST);
    return found;
}

static __always_inline int answer(const struct engine_key* key, struct bpf_sock* socket,
                                  struct engine_address* place) {
    struct engine_conversation* known = bpf_map_lookup_elem(&conversations, key);
    if (!known)
        return speak(key, socket, place);
    if (is_ambiguous(known))
        return 0;
    if (known->spoke_at) {
        __u32 now = ticks();
        if (now - known->spoke_at >= ENGINE_TICKS)
            known->spoke_at = now;
        return 0;
    }
    /* A question at a second place may come at this very moment: hear() writes `order` first, and these after
     * it. */
    __u8 asked = known->asked, asks = known->asks;
    barrier();
    __u32 number = ENGINE_NO_PLACE;
    if (known->order == ENGINE_ORDER_TRACKED) {
        number = just_taken(key, ticks());
        /* Taken before the second place was asked: the first answer is the first question's. */
        if (number == ENGINE_NO_PLACE && known->answers == 0 && known->taken != 0) {
            known->answers = asks;
            number = 0;
        }
    }
    if (number == ENGINE_NO_PLACE)
        number = place_for(known, asked, asks);
    else if (asked == number + 1)
        known->answers = asks;
    if (number == ENGINE_NO_PLACE) {
        known->spoke_at = ticks();
        return 0;
    }
    if (!read_place(known, number, place))
        return 0;
    count(ENGINE_CHOSEN);
    return 1;
}

/* A socket that is bound to its port already is connected to who asked: that one's source cannot be chosen
 * here. */
static __always_inline void connected_elsewhere(const struct engine_key* key) {
    struct engine_conversation* known = bpf_map_lookup_elem(&conversations, key);
    if (known && !known->spoke_at && known->asked)
        count(ENGINE_CONNECTED_NOT_SERVED);
}
