/* SPDX-License-Identifier: MIT */
/*
 * What the engine's programs in the kernel and multihomectl both know: the records of the maps. Plain C for
 * both compilers. The model is the shim's (multihome(7)): what is known hangs on the conversation.
 */
#ifndef MULTIHOME_KERNEL_ENGINE_MODEL_H
#define MULTIHOME_KERNEL_ENGINE_MODEL_H

#include <linux/types.h>

/* An address, IPv4 as ::ffff:a.b.c.d: one kind of record for IPv4, IPv6 and dual-stack sockets. Network byte
 * order. */
struct engine_address {
    __u64 half[2];
};

/* A conversation: what a client sees of us, but for the address that it asks. */
struct engine_key {
    struct engine_address peer;
    __u16 peer_port;  /* network byte order */
    __u16 local_port; /* host byte order */
    __u32 network; /* the network namespace's cookie, its lower half; 0 where the kernel does not tell it */
};

enum {
    ENGINE_PLACES = 2, /* addresses that are remembered of one peer: the confirmed one, and the newest */
    ENGINE_TICKS = 64, /* ticks of the engine's clock in a second */
    ENGINE_SERVED_PORTS = 8, /* ports among which the question for a handed-over answer is looked for */
    ENGINE_EXCEPTIONS = 8,   /* control groups that --except may name */
    ENGINE_LEVELS = 32,      /* how deep these may lie */
    ENGINE_BROADCASTS = 16,  /* broadcast addresses of links without Ethernet */
    ENGINE_PORT_WORDS = 65536 / 64,
    ENGINE_WATCH_BITS = 12, /* watches of new peers, and of those that ask at two addresses */
    ENGINE_WATCHED_FOREVER = 255,
};

/*
 * What is known of a conversation. Several processors write it without a lock (an LRU map takes no spin
 * lock), so each field is one store, and has one hook that writes it; a place of IPv6 is two stores, which
 * `check` makes sure of. `asked` and `known` are the number of a place plus one; 0 is none.
 */
struct engine_conversation {
    struct engine_address place[ENGINE_PLACES]; /* addresses of ours that the peer has asked */
    __u16 check[ENGINE_PLACES]; /* a sum of the place; another value: the place is being written */
    __u8 asks;                  /* counts the questions that said something new; 255 is followed by 1 */
    __u8 answers;               /* `asks` as it was when an answer was sent last; 0: never */
    __u8 arrived;               /* datagrams, while they are counted (modulo 256) */
    __u8 taken;                 /* of those, taken by a program */
    __u32 asked_at;             /* ticks, when the newest question came */
    __u32 spoke_at;             /* ticks, when we or the peer sent last; 0: the peer spoke first, lately */
    __u8 asked;                 /* the newest question's place */
    __u8 known;                 /* the place where the peer asked, was answered, and asked again */
    __u8 handed_over;           /* a question of this peer's was answered from another port */
    __u8 order;                 /* enum engine_order */
    __u32 link;                 /* where a link-local peer was heard, or ENGINE_SEVERAL_LINKS */
};

/* `link` of a peer that is ambiguous: fe80::1 on one link is somebody else than on the other. */
#define ENGINE_SEVERAL_LINKS 0xFFFFFFFFU

/* What is noted of the order of a peer's questions. */
enum engine_order {
    ENGINE_ORDER_NONE,    /* nothing: it asks at one place */
    ENGINE_ORDER_NEW,     /* a new peer: its datagrams are counted, as it may go on to another place */
    ENGINE_ORDER_TRACKED, /* it asks at two places: `arrivals` tells the place of each */
};

/* A queue of places, two bits each. */
enum { ENGINE_QUEUE_LENGTH = 32, ENGINE_NO_PLACE = 3 };

/* `known` of a peer that is at home nowhere: an answer leaves from where it asks, and nothing else does. */
enum { ENGINE_HOMELESS = ENGINE_NO_PLACE + 1 };

/* The places of a tracked conversation's datagrams that have arrived, by their number (modulo 32). */
struct engine_arrivals {
    __u64 places;
    __u32 pushed_at; /* ticks */
    __u32 astray;    /* more have arrived than there is room for: the order is lost until there is quiet */
};

/* What a thread has taken of a conversation, and not answered yet. */
struct engine_thread_key {
    __u64 thread;
    struct engine_key conversation;
};

struct engine_taken {
    __u64 places;
    __u32 taken_at; /* ticks */
    __u8 count;
    __u8 next;
    __u8 answering; /* an answer has been sent since the newest was taken */
    __u8 unused;
};

enum engine_counter {
    ENGINE_PEERS,                /* conversations that began with a question */
    ENGINE_MOVES,                /* a known peer asks at another address */
    ENGINE_CHOSEN,               /* sends for which a source was named */
    ENGINE_SPOKE_FIRST,          /* conversations that began with a datagram of ours */
    ENGINE_HANDED_OVER,          /* answers from a new socket on another port */
    ENGINE_CONNECTED,            /* new sockets that were bound before they were connected to who had asked */
    ENGINE_CONNECTED_NOT_SERVED, /* bound sockets that were connected to who had asked another address */
    ENGINE_ORDER_LOST,           /* the order of a peer's questions could not be followed */
    ENGINE_COUNTERS,
};

/* What multihomectl tells the programs, before they are loaded. */
struct engine_settings {
    __u32 question_ticks;    /* how long a question counts */
    __u32 spoke_first_ticks; /* how long silence has to be until "we spoke first" is forgotten */
    __u8 coarse_clock;       /* bpf_ktime_get_coarse_ns() is there (Linux 5.11) */
    __u8 network_cookie;     /* bpf_get_netns_cookie() is there for all programs */
    __u8 hand_over;          /* the program that notes when a socket is made is loaded (Linux 5.9) */
    __u8 limited_ports;      /* `ports` says which local ports are served */
    __u32 exceptions;        /* how many of engine_exceptions are set */
    __u32 broadcasts;        /* how many of `broadcast` are set */
    __u32 broadcast[ENGINE_BROADCASTS]; /* network byte order */
    __u64 ports[ENGINE_PORT_WORDS];
};

/* What --except names. Not among the settings: a service that starts again has another control group. */
struct engine_exceptions {
    __u64 except[ENGINE_EXCEPTIONS]; /* identities of control groups; 0: it is not there yet */
};

/* What `list` and `doctor` want to say of an engine that an earlier multihomectl has attached. */
enum { ENGINE_NAME_LENGTH = 256 };
struct engine_about {
    __u32 version;                                      /* of these records */
    char path[ENGINE_NAME_LENGTH];                      /* of the control group, below the root of the tree */
    char except[ENGINE_EXCEPTIONS][ENGINE_NAME_LENGTH]; /* their paths; a unit's name: it is not there yet */
    __u32 limited_ports;                                /* `ports` says which local ports are served */
    __u32 question_ticks;
    __u32 spoke_first_ticks;
    __u64 ports[ENGINE_PORT_WORDS];
};
enum { ENGINE_VERSION = 5 };

#endif
