/* SPDX-License-Identifier: MIT */
/* Stands for libbpf's header, see ../model.c. */
#pragma once

#define SEC(name)
#define __uint(name, value) int(*name)[(value) + 1] /* some are 0 */
#define __type(name, value) __typeof__(value)* name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline, unused))

void* bpf_map_lookup_elem(void* map, const void* key);
long bpf_map_update_elem(void* map, const void* key, const void* value, unsigned long flags);
void* bpf_sk_storage_get(void* map, void* socket, void* value, unsigned long flags);
unsigned long long bpf_ktime_get_coarse_ns(void);
unsigned long long bpf_ktime_get_ns(void);
unsigned bpf_get_prandom_u32(void);
unsigned long long bpf_get_current_pid_tgid(void);
