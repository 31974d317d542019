/* SPDX-License-Identifier: MIT */
/* In which order a peer that asks at two places has asked, so that each answer leaves from its question's
 * place. */
#pragma once

#include "state.bpf.h"

/*
 * What a program takes is of interest only where the peer is new or asks at two places. Each peer has a
 * watch, which it shares with many others: it says whether that may be so, without a look-up. What a new peer
 * has sent is counted for two seconds only.
 */
static __always_inline __u32 watch_of(const struct engine_key* key) {
    __u32 mixed = (__u32)(key->peer.half[1] >> 32) ^ (__u32)key->peer.half[1] ^ (__u32)key->peer.half[0] ^
                  (__u32)key->peer_port << 16 ^ key->local_port;
    return mixed * 0x9E3779B1 >> (32 - ENGINE_WATCH_BITS);
}

/* Seconds, from 1 to 254. */
static __always_inline __u8 watch_time(void) {
    return (__u8)(ticks() / ENGINE_TICKS % (ENGINE_WATCHED_FOREVER - 1) + 1);
}

static __always_inline void watch_new(const struct engine_key* key) {
    __u32 watch = watch_of(key);
    __u8 now = watch_time();
    if (watched[watch] != now && watched[watch] != ENGINE_WATCHED_FOREVER)
        watched[watch] = now;
}

static __always_inline int is_watched(const struct engine_key* key) {
    __u32 watch = watch_of(key);
    __u8 since = watched[watch];
    if (since == 0 || since == ENGINE_WATCHED_FOREVER)
        return since;
    __u8 now = watch_time();
    __u8 age = now >= since ? now - since : now + (ENGINE_WATCHED_FOREVER - 1) - since;
    if (age <= 2)
        return 1;
    watched[watch] = 0; /* a new peer that is heard at this moment loses its watch until it is heard again */
    return 0;
}

static __always_inline void set_place(struct engine_arrivals* queue, __u32 at, __u32 number) {
    __u32 shift = at % ENGINE_QUEUE_LENGTH * 2;
    queue->places = (queue->places & ~(3ULL << shift)) | (__u64)number << shift;
}

/* Past 0: as `answers`, that says that there has been none yet. */
static __always_inline void count_question(struct engine_conversation* known) {
    __u8 next = (__u8)(known->asks + 1);
    known->asks = next ? next : 1;
}

/*
 * The peer asks at a second place, or the kernel has dropped its queue. What has arrived before and waits was
 * asked at the other place. How much that is is only known of a new peer. Of others it is taken for nothing:
 * if it is more, the first answers are ahead, until the program has drained the socket and finds the queue
 * here empty, too. The other way round the queue here would never be empty again.
 */
static __always_inline void begin_order(const struct engine_key* key, struct engine_conversation* known,
                                        __u32 number, __u32 now) {
    struct engine_arrivals first = {.places = number ? 0 : 0x5555555555555555, .pushed_at = now};
    if (known->order != ENGINE_ORDER_NEW)
        known->taken = known->arrived;
    if (known->answers == 0 && ticks_since(known->asked_at, now) >= settings.question_ticks) {
        known->answers = known->asks; /* what it asked first has run out: no answer is that one's any more */
        count_question(known);        /* and this one waits */
    }
    set_place(&first, known->arrived, number);
    bpf_map_update_elem(&arrivals, key, &first, BPF_ANY);
    known->arrived++;
    barrier();
    known->order = ENGINE_ORDER_TRACKED;
}

/* A datagram that is lost after its arrival was noted would put all later ones out of order: quiet mends
 * that. */
static __always_inline void note_arrival(struct engine_conversation* known, struct engine_arrivals* queue,
                                         __u32 number, __u32 now) {
    if (ticks_since(queue->pushed_at, now) >= ENGINE_TICKS / 8) {
        if (known->taken != known->arrived)
            count(ENGINE_ORDER_LOST);
        known->taken = known->arrived;
        queue->astray = 0;
    }
    queue->pushed_at = now;
    if ((__u8)(known->arrived - known->taken) >= ENGINE_QUEUE_LENGTH) {
        queue->astray = 1;
        return;
    }
    set_place(queue, known->arrived, number);
    barrier();
    known->arrived++;
}

/* From the second place on, the order counts. */
static __always_inline void follow(const struct engine_key* key, struct engine_conversation* known,
                                   __u32 number, __u32 now) {
    struct engine_arrivals* queue =
        known->order == ENGINE_ORDER_TRACKED ? bpf_map_lookup_elem(&arrivals, key) : 0;
    if (queue)
        note_arrival(known, queue, number, now);
    else
        begin_order(key, known, number, now);
    /* Each time, as is_watched() may have cleared what another processor had just set. */
    __u32 watch = watch_of(key);
    if (watched[watch] != ENGINE_WATCHED_FOREVER)
        watched[watch] = ENGINE_WATCHED_FOREVER;
}

/* A peer that asks at one place. It is new until it asks again after an answer. */
static __always_inline void follow_new(const struct engine_key* key, struct engine_conversation* known) {
    if (known->known || (__u8)(known->arrived - known->taken) >= ENGINE_QUEUE_LENGTH) {
        known->order = ENGINE_ORDER_NONE;
        return;
    }
    known->arrived++;
    watch_new(key);
}

/* A program has taken a datagram of this conversation: the thread answers it next, or after those it took
 * before. */
static __always_inline void take(const struct engine_key* key) {
    struct engine_conversation* known = bpf_map_lookup_elem(&conversations, key);
    if (!known || known->order == ENGINE_ORDER_NONE || known->taken == known->arrived)
        return;
    __u32 at = known->taken;
    known->taken = (__u8)(at + 1);
    if (known->order != ENGINE_ORDER_TRACKED)
        return;
    struct engine_arrivals* queue = bpf_map_lookup_elem(&arrivals, key);
    if (!queue || queue->astray)
        return;
    __u64 number = queue->places >> (at % ENGINE_QUEUE_LENGTH * 2) & 3;

    struct engine_thread_key thread = {.thread = bpf_get_current_pid_tgid(), .conversation = *key};
    struct engine_taken* before = bpf_map_lookup_elem(&taken, &thread);
    if (!before) {
        struct engine_taken first = {.places = number, .taken_at = ticks(), .count = 1};
        bpf_map_update_elem(&taken, &thread, &first, BPF_ANY);
        return;
    }
    __u32 now = ticks();
    int is_over = before->answering || before->count >= ENGINE_QUEUE_LENGTH ||
                  ticks_since(before->taken_at, now) >= ENGINE_TICKS; /* as just_taken() has it */
    before->taken_at = now;
    if (is_over) {
        before->answering = 0;
        before->next = 0;
        before->count = 0;
        before->places = 0;
    }
    before->places |= number << (before->count % ENGINE_QUEUE_LENGTH * 2);
    before->count++;
}

/* The place of what this thread has just taken, in order; ENGINE_NO_PLACE if that is not known. */
static __always_inline __u32 just_taken(const struct engine_key* key, __u32 now) {
    struct engine_thread_key thread = {.thread = bpf_get_current_pid_tgid(), .conversation = *key};
    struct engine_taken* before = bpf_map_lookup_elem(&taken, &thread);
    if (!before || now - before->taken_at >= ENGINE_TICKS)
        return ENGINE_NO_PLACE;
    __u32 number = (__u32)(before->places >> (before->next % ENGINE_QUEUE_LENGTH * 2)) & 3;
    before->answering = 1;
    /* The last one stays: an answer may be several datagrams. */
    if (before->next + 1 < before->count)
        before->next++;
    return number;
}
