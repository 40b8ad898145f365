/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps of the scheduler's programs. Sizes are set before loading. All are
 * mapped by user space, which writes slots, threads, opens and matrix cells
 * while nothing here looks at them, and each CPU's level at any time. */
#ifndef EVENKEEL_MAPS_H
#define EVENKEEL_MAPS_H

#include "book.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16); /* pid_max / EK_SLOTS_PER_PAGE */
	__type(key, __u32);
	__type(value, struct ek_slots);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct ek_thread);
} threads SEC(".maps");

/* Beside threads, by the same slots. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct ek_open);
} opens SEC(".maps");

/* By CPU: an ordinary array, since a thread that moved asks the book of the
 * CPU that it came from. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ek_cpu);
} cpus SEC(".maps");

/* Waits of the victim's vCPUs behind the culprit, at victim * stride + culprit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} matrix SEC(".maps");

const volatile __u32 matrix_stride = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EK_LOST_CELLS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void ek_drop(__u32 why, __u64 events)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &why);

	if (n)
		__sync_fetch_and_add(n, events);
}

/* The slot that the table has for a thread id, 0 if none. */
static __always_inline __u32 ek_slot_of(__u32 tid)
{
	__u32 page = tid / EK_SLOTS_PER_PAGE;
	struct ek_slots *s = bpf_map_lookup_elem(&slots, &page);

	return s ? s->slot[tid & (EK_SLOTS_PER_PAGE - 1)] : 0;
}

/* The record in a slot, if it means this thread. */
static __always_inline struct ek_thread *ek_thread_in(__u32 slot, struct task_struct *p)
{
	struct ek_thread *t;

	if (!slot)
		return 0;
	t = bpf_map_lookup_elem(&threads, &slot);
	if (!t || t->tid != (__u32)p->pid || t->tgid != (__u32)p->tgid)
		return 0;
	return t;
}

#endif
