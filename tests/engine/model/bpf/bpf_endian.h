/* SPDX-License-Identifier: MIT */
/* Stands for libbpf's header, see ../model.c. */
#pragma once

#include <arpa/inet.h>

#define bpf_htons(value) htons(value)
#define bpf_ntohs(value) ntohs(value)
#define bpf_htonl(value) htonl(value)
