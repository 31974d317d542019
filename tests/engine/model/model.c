/* SPDX-License-Identifier: MIT */
/*
 * The kernel engine's model (conversation.bpf.h, order.bpf.h) as a program of its own: its maps, its clock
 * and its thread are this file's. So what takes hours, or two processors at one moment, is tried at once, and
 * without root.
 */
#include <linux/bpf.h>

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#define const /* what the loader sets is set here */
#include "tools/kernel_engine/conversation.bpf.h"
#undef const

enum { CLIENT_PORT = 40000, NOBODY = -1, SECOND = ENGINE_TICKS };

/* --- what the kernel has --- */

struct entry {
    struct entry* next;
    char key[sizeof(struct engine_thread_key)];
    char value[sizeof(struct engine_conversation)];
};
static struct map {
    void* map;
    size_t key_size, value_size;
    struct entry* entries;
} maps[] = {{&conversations, sizeof(struct engine_key), sizeof(struct engine_conversation), NULL},
            {&arrivals, sizeof(struct engine_key), sizeof(struct engine_arrivals), NULL},
            {&taken, sizeof(struct engine_thread_key), sizeof(struct engine_taken), NULL}};
enum { MAPS = sizeof maps / sizeof maps[0] };
static __u64 now; /* ticks */
static __u64 thread;

static struct map* map_of(void* map) {
    for (int i = 0; i < MAPS; i++)
        if (maps[i].map == map)
            return &maps[i];
    return NULL; /* counters */
}

void* bpf_map_lookup_elem(void* map, const void* key) {
    struct map* found = map_of(map);
    for (struct entry* one = found ? found->entries : NULL; one; one = one->next)
        if (memcmp(one->key, key, found->key_size) == 0)
            return one->value;
    return NULL;
}

long bpf_map_update_elem(void* map, const void* key, const void* value, unsigned long flags) {
    struct map* found = map_of(map);
    void* there = bpf_map_lookup_elem(map, key);
    if (there && flags == BPF_NOEXIST)
        return -1;
    if (!there) {
        struct entry* fresh = calloc(1, sizeof *fresh);
        if (!fresh)
            abort();
        memcpy(fresh->key, key, found->key_size);
        fresh->next = found->entries;
        found->entries = fresh;
        there = fresh->value;
    }
    memcpy(there, value, found->value_size);
    return 0;
}

void* bpf_sk_storage_get(void* map, void* socket, void* value, unsigned long flags) {
    (void)map, (void)socket, (void)value, (void)flags;
    return NULL; /* no socket was made */
}
unsigned long long bpf_ktime_get_coarse_ns(void) {
    return now * (1000000000 / ENGINE_TICKS);
}
unsigned long long bpf_ktime_get_ns(void) {
    return bpf_ktime_get_coarse_ns();
}
unsigned bpf_get_prandom_u32(void) {
    return 0;
}
unsigned long long bpf_get_current_pid_tgid(void) {
    return thread;
}

/* --- one client, and a server that is asked at addresses 0, 1, 2 --- */

static struct engine_key key;

static void empty(struct map* map) {
    for (struct entry* one = map->entries; one; one = map->entries) {
        map->entries = one->next;
        free(one);
    }
}
static void begin(void) {
    for (int i = 0; i < MAPS; i++)
        empty(&maps[i]);
    memset((void*)watched, 0, sizeof watched);
    now = 1000 * SECOND;
    thread = 1;
}
static void arrives(int address) {
    struct arrival arrival = {.key = key, .place = mapped(htonl(0x0A000000U + (__u32)address))};
    hear(&arrival);
}
static void takes(void) {
    if (is_watched(&key))
        take(&key);
}
static int sends(void) { /* the address that it leaves from */
    struct bpf_sock socket = {0};
    struct engine_address place;
    if (!answer(&key, &socket, &place))
        return NOBODY;
    return (int)(ntohl((__u32)(place.half[1] >> 32)) - 0x0A000000U);
}
static void expect(int wanted, const char* what, ...) {
    const int address = sends();
    if (address == wanted)
        return;
    va_list arguments;
    va_start(arguments, what);
    vfprintf(stderr, what, arguments);
    va_end(arguments);
    fprintf(stderr, ": leaves from %d, should leave from %d\n", address, wanted);
    exit(1);
}
static void asks(int address, const char* what, int number) { /* and is answered */
    arrives(address);
    takes();
    expect(address, "%s: answer %d", what, number);
}
static void is_ignored(int address) {
    arrives(address);
    takes();
}

/* --- the stories --- */

/* Whoever forges one datagram must not move a client from where it is at home. */
static void stays_at_home(void) {
    static const char* const what = "a third address";
    begin();
    for (int i = 0; i < 3; i++)
        asks(0, what, i);
    asks(1, what, 3);
    now += 2 * SECOND;
    expect(0, "%s: what the program sends then", what);
    is_ignored(2);
    now += 2 * SECOND;
    expect(2, "%s: the answer that the program may have meant", what);
    expect(0, "%s: what it sends after that", what);
}

/* What the program does not answer is not answered by what it sends to a later question. */
static void is_over(void) {
    static const char* const what = "a question that is not answered";
    begin();
    asks(0, what, 0);
    asks(1, what, 1);
    for (int i = 2; i < 5; i++) {
        is_ignored(1);
        now += 2 * SECOND;
        asks(0, what, i);
    }
}

/* The same of the first one, where one thread takes and another one answers. */
static void first_is_over(void) {
    begin();
    is_ignored(0);
    now += 31 * SECOND;
    arrives(2);
    takes();
    thread = 2;
    expect(2, "a first question that is not answered");
}

/* Nobody becomes known at an address without an answer, whatever the kernel drops meanwhile. */
static void is_never_answered(void) {
    begin();
    is_ignored(0);
    is_ignored(1);
    empty(map_of(&arrivals));
    now += 31 * SECOND;
    is_ignored(1);
    now += 31 * SECOND;
    expect(NOBODY, "three questions that are not answered");
}

/* The count of the questions comes round. */
static void counts_on(void) {
    begin();
    for (int i = 0; i < 3; i++)
        asks(0, "many questions", i);
    for (int i = 3; i < 1500; i++) {
        arrives(1 + i % 2);
        thread = 1;
        takes();
        thread = 2;
        expect(1 + i % 2, "many questions: answer %d", i);
    }
}

/* Another processor may have noted a time that this one has not read yet. */
static void two_processors(void) {
    begin();
    asks(0, "two processors", 0);
    asks(1, "two processors", 1);
    arrives(0);
    now--;
    arrives(1);
    now++;
    takes();
    expect(0, "two processors: the first of two questions");
    takes();
    expect(1, "two processors: the second of two questions");
}

/* At two addresses in turns, with pauses, and with what is not answered in front of them. */
static void bursts(unsigned seed) {
    begin();
    srand(seed);
    asks(0, "bursts", 0);
    asks(1, "bursts", 1);
    for (int burst = 0; burst < 4; burst++) {
        int queue[20], heard = 0, answered = 0;
        const int length = 1 + rand() % 20, batch = 1 + rand() % 3;
        while (answered < length) {
            if (heard < length && (heard == answered || rand() % 2)) {
                queue[heard] = rand() % 2;
                arrives(queue[heard++]);
                continue;
            }
            int some = heard - answered < batch ? heard - answered : batch;
            for (int i = 0; i < some; i++)
                takes();
            for (; some > 0; some--, answered++)
                expect(queue[answered], "bursts %u: answer %d of burst %d", seed, answered, burst);
        }
        now += (__u64)(rand() % (2 * SECOND));
        if (rand() % 3 == 0) {
            is_ignored(rand() % 2);
            now += SECOND;
        }
    }
}

int main(void) {
    settings.question_ticks = 30 * SECOND;
    settings.spoke_first_ticks = 120 * SECOND;
    settings.coarse_clock = 1;
    key.peer = mapped(htonl(0xCB007101));
    key.peer_port = htons(CLIENT_PORT);
    key.local_port = 53;
    stays_at_home();
    is_over();
    first_is_over();
    is_never_answered();
    counts_on();
    two_processors();
    for (unsigned seed = 0; seed < 2000; seed++)
        bursts(seed);
    return 0;
}
