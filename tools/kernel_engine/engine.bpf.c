// SPDX-License-Identifier: MIT
/*
 * The engine's programs in the kernel. Loaded by multihomectl, attached to a control group:
 *
 *   learn_*    a datagram arrives: which of our addresses did the peer ask?
 *   choose_*   a program sends and names no source: which one does the conversation have?
 *   took_*     a program takes a datagram: so a peer that asks at two addresses at once is answered in order
 *   connect_*  a new socket is connected to a peer that waits for an answer
 *   made       a socket is made: only such a one may answer for another port
 *
 * Only context structures of the stable interface are used, so the object depends on no kernel's types (no
 * BTF of the kernel, no relocations). No packet is changed.
 */
#include <linux/bpf.h>

#include "conversation.bpf.h"
#include "state.bpf.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define PROTOCOL_UDP   17
#define FAMILY_IPV4    2
#define FAMILY_IPV6    10
#define PACKET_TO_US                                                                                         \
    0 /* PACKET_HOST: neither broadcast nor multicast, whose source is the routing table's choice */

/* --- learning --- */

static __always_inline int is_wildcard(const struct bpf_sock* socket) {
    if (socket->src_ip4 != 0)
        return 0;
    return socket->family == FAMILY_IPV4 ||
           (socket->src_ip6[0] | socket->src_ip6[1] | socket->src_ip6[2] | socket->src_ip6[3]) == 0;
}

/* The headers of what has come as far as a UDP socket lie in one piece, nearly always: no helper is called.
 */
static __always_inline int read_bytes(struct __sk_buff* packet, __u32 offset, void* to, __u32 size) {
    const void* data = (const void*)(long)packet->data;
    const void* end = (const void*)(long)packet->data_end;

    if (data + offset + size > end)
        return (int)bpf_skb_load_bytes(packet, offset, to, size);
    __builtin_memcpy(to, data + offset, size);
    return 0;
}

/* Where a link has no Ethernet, what comes by broadcast or multicast is marked as sent to us alone. */
static __always_inline int is_of_many(__u32 ipv4) {
    if ((ipv4 & bpf_htonl(0xF0000000)) == bpf_htonl(0xE0000000) || ipv4 == 0xFFFFFFFF)
        return 1;
#pragma unroll
    for (__u32 i = 0; i < ENGINE_BROADCASTS; i++) {
        if (i < settings.broadcasts && ipv4 == settings.broadcast[i])
            return 1;
    }
    return 0;
}

static __always_inline int read_ipv4(struct __sk_buff* packet, struct arrival* arrival) {
    __u8 header[20];

    if (read_bytes(packet, 0, header, sizeof header) < 0)
        return -1;
    __u32 source, destination;
    __builtin_memcpy(&source, header + 12, 4);
    __builtin_memcpy(&destination, header + 16, 4);
    if (is_of_many(destination))
        return -1;
    arrival->key.peer = mapped(source);
    arrival->place = mapped(destination);
    return read_bytes(packet, (header[0] & 15U) * 4, &arrival->key.peer_port, 2);
}

/* Extension headers stand between the address and the ports; what has more than four of them is left alone.
 */
static __always_inline int read_ipv6(struct __sk_buff* packet, struct arrival* arrival) {
    __u8 header[40];

    if (read_bytes(packet, 0, header, sizeof header) < 0 || header[24] == 0xFF)
        return -1;
    __builtin_memcpy(&arrival->key.peer, header + 8, 16);
    __builtin_memcpy(&arrival->place, header + 24, 16);
    __u32 next = header[6], offset = sizeof header;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (next == PROTOCOL_UDP)
            break;
        __u8 extension[2];
        if (bpf_skb_load_bytes(packet, offset, extension, sizeof extension) < 0)
            return -1;
        offset += next == 44 ? 8 : (extension[1] + 1) * 8; /* 44: a fragment's header has no length */
        next = extension[0];
    }
    if (next != PROTOCOL_UDP)
        return -1;
    if (is_link_local(&arrival->key.peer))
        arrival->link = packet->ifindex;
    return bpf_skb_load_bytes(packet, offset, &arrival->key.peer_port, 2);
}

SEC("cgroup_skb/ingress")
int learn(struct __sk_buff* packet) {
    struct bpf_sock* socket = packet->sk;
    /* Most of what is none of ours ends here: it goes to a socket that is bound or connected. */
    if (!socket || !is_wildcard(socket) || packet->pkt_type != PACKET_TO_US)
        return 1;
    socket = bpf_sk_fullsock(socket);
    if (!socket || socket->protocol != PROTOCOL_UDP || !is_served(socket->src_port))
        return 1;

    struct arrival arrival = {};
    if (packet->protocol == bpf_htons(ETHERTYPE_IPV4)) {
        if (read_ipv4(packet, &arrival) < 0)
            return 1;
    } else if (packet->protocol == bpf_htons(ETHERTYPE_IPV6)) {
        if (read_ipv6(packet, &arrival) < 0)
            return 1;
    } else {
        return 1;
    }
    arrival.key.local_port = (__u16)socket->src_port;
    arrival.key.network = settings.network_cookie ? (__u32)bpf_get_netns_cookie(packet) : 0;
    hear(&arrival);
    return 1;
}

/* --- choosing --- */

/* The peer of a send, a receive or a connect. Its own link is in no field of the context. The network is left
 * to name_network(), which calls a helper. */
static __always_inline int read_peer(struct bpf_sock_addr* call, int family, struct engine_key* key) {
    if (!call->sk)
        return -1;
    if (family == FAMILY_IPV4) {
        __u32 peer = call->user_ip4;
        if (is_of_many(peer))
            return -1;
        key->peer = mapped(peer);
    } else {
        __u32 word[4] = {call->user_ip6[0], call->user_ip6[1], call->user_ip6[2], call->user_ip6[3]};
        if ((word[0] & bpf_htonl(0xFF000000)) == bpf_htonl(0xFF000000))
            return -1;
        key->peer.half[0] = (__u64)word[1] << 32 | word[0];
        key->peer.half[1] = (__u64)word[3] << 32 | word[2];
    }
    key->peer_port = (__u16)call->user_port;
    key->local_port = (__u16)call->sk->src_port;
    return 0;
}

static __always_inline void name_network(struct bpf_sock_addr* call, struct engine_key* key) {
    key->network = settings.network_cookie ? (__u32)bpf_get_netns_cookie(call) : 0;
}

static __always_inline int is_excepted(void) {
    __u32 first = 0;
    const struct engine_exceptions* list =
        settings.exceptions ? bpf_map_lookup_elem(&exceptions, &first) : NULL;

    if (!list)
        return 0;
    /* From the root on, because how deep an excepted one lies is not known in a container's namespace. */
    for (int level = 0; level < ENGINE_LEVELS; level++) {
        __u64 group = bpf_get_current_ancestor_cgroup_id(level);
        if (group == 0)
            break;
#pragma unroll
        for (__u32 i = 0; i < ENGINE_EXCEPTIONS; i++) {
            if (i < settings.exceptions && list->except[i] == group)
                return 1;
        }
    }
    return 0;
}

/* The address to send from; 0 if that is left to the routing table. */
static __always_inline int choose(struct bpf_sock_addr* call, int family, struct engine_address* place) {
    struct engine_key key = {};
    if (read_peer(call, family, &key) < 0 || !is_served(key.local_port) || is_excepted())
        return 0;
    name_network(call, &key);
    return answer(&key, call->sk, place);
}

SEC("cgroup/sendmsg4")
int choose_ipv4(struct bpf_sock_addr* call) {
    struct engine_address place;
    /* Zero exactly where the socket is on the wildcard and the program names no source. */
    if (call->msg_src_ip4 == 0 && choose(call, FAMILY_IPV4, &place))
        call->msg_src_ip4 = (__u32)(place.half[1] >> 32);
    return 1;
}

SEC("cgroup/sendmsg6")
int choose_ipv6(struct bpf_sock_addr* call) {
    struct engine_address place;
    if ((call->msg_src_ip6[0] | call->msg_src_ip6[1] | call->msg_src_ip6[2] | call->msg_src_ip6[3]) == 0 &&
        choose(call, FAMILY_IPV6, &place)) {
        call->msg_src_ip6[0] = (__u32)place.half[0];
        call->msg_src_ip6[1] = (__u32)(place.half[0] >> 32);
        call->msg_src_ip6[2] = (__u32)place.half[1];
        call->msg_src_ip6[3] = (__u32)(place.half[1] >> 32);
    }
    return 1;
}

/* --- the order of questions --- */

static __always_inline void took(struct bpf_sock_addr* call, int family) {
    struct engine_key key = {};
    if (read_peer(call, family, &key) < 0 || !is_watched(&key))
        return;
    name_network(call, &key);
    take(&key);
}

SEC("cgroup/recvmsg4")
int took_ipv4(struct bpf_sock_addr* call) {
    took(call, FAMILY_IPV4);
    return 1;
}

SEC("cgroup/recvmsg6")
int took_ipv6(struct bpf_sock_addr* call) {
    took(call, FAMILY_IPV6);
    return 1;
}

/* --- connecting --- */

/*
 * The kernel lets no program choose the address of a socket that is bound to a port already; one that is not
 * can be bound to an address, and gets its port from the kernel as it would have.
 */
static __always_inline int connecting(struct bpf_sock_addr* call, int family, struct engine_address* place) {
    struct engine_key key = {};
    if (call->protocol != PROTOCOL_UDP || read_peer(call, family, &key) < 0 || is_excepted())
        return 0;
    name_network(call, &key);
    if (key.local_port == 0)
        return settings.hand_over && handed_over(&key, call->sk, place);
    if (is_wildcard(call->sk) && is_served(key.local_port))
        connected_elsewhere(&key);
    return 0;
}

SEC("cgroup/connect4")
int connect_ipv4(struct bpf_sock_addr* call) {
    struct engine_address place;
    if (connecting(call, FAMILY_IPV4, &place)) {
        struct sockaddr_ipv4 address = {.family = FAMILY_IPV4, .address = (__u32)(place.half[1] >> 32)};
        if (bpf_bind(call, (struct sockaddr*)&address, sizeof address) == 0)
            count(ENGINE_CONNECTED);
    }
    return 1;
}

SEC("cgroup/connect6")
int connect_ipv6(struct bpf_sock_addr* call) {
    struct engine_address place;
    if (connecting(call, FAMILY_IPV6, &place)) {
        struct sockaddr_ipv6 address = {.family = FAMILY_IPV6, .address = place};
        if (bpf_bind(call, (struct sockaddr*)&address, sizeof address) == 0)
            count(ENGINE_CONNECTED);
    }
    return 1;
}

SEC("cgroup/sock_create")
int made(struct bpf_sock* socket) {
    if (socket->protocol != PROTOCOL_UDP)
        return 1;
    __u32* when = bpf_sk_storage_get(&made_at, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (when)
        *when = ticks();
    return 1;
}

/* Some helpers are only for programs under a licence that the GPL is compatible with, which this one is. */
char engine_license[] SEC("license") = "Dual MIT/GPL";
