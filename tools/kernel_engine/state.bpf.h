/* SPDX-License-Identifier: MIT */
/* The maps of the engine, its settings, its clock and its counters. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "model.h"

/* The size that is used is the loader's: --peers. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 262144);
    __type(key, struct engine_key);
    __type(value, struct engine_conversation);
} conversations SEC(".maps");

/* Both of these only hold peers that ask at two addresses in turn. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct engine_key);
    __type(value, struct engine_arrivals);
} arrivals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct engine_thread_key);
    __type(value, struct engine_taken);
} taken SEC(".maps");

/* Goes with the socket: no entry of it is left over. */
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, __u32);
} made_at SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ENGINE_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct engine_exceptions);
} exceptions SEC(".maps");

/* Not for the programs: for `multihomectl list`. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct engine_about);
} about SEC(".maps");

/* Fixed when the programs are loaded, so that the verifier takes out what they do not need. */
const volatile struct engine_settings settings = {};

volatile __u8 watched[1U << ENGINE_WATCH_BITS] = {};   /* see order.bpf.h */
volatile __u16 served_ports[ENGINE_SERVED_PORTS] = {}; /* local ports that strangers have asked */

#define barrier() asm volatile("" ::: "memory")

static __always_inline __u32 ticks(void) {
    __u64 nanoseconds = settings.coarse_clock ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
    __u32 now = (__u32)(nanoseconds / (1000000000 / ENGINE_TICKS));
    return now ? now : 1; /* 0 means never */
}

/* The time since then. Where another processor has noted one that is later than now, as this one has read it,
 * that is 0. */
static __always_inline __u32 ticks_since(__u32 then, __u32 now) {
    __u32 age = now - then;
    return age < (__u32)-ENGINE_TICKS ? age : 0;
}

static __always_inline void count(__u32 which) {
    __u64* number = bpf_map_lookup_elem(&counters, &which);
    if (number)
        ++*number; /* this processor's own */
}

static __always_inline int is_served(__u32 port) {
    if (!settings.limited_ports)
        return 1;
    return port < 65536 && (settings.ports[port / 64] >> (port % 64) & 1);
}
