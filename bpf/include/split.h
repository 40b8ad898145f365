/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Splits a wait over whoever ran meanwhile, by a CPU's book. The functions that
 * are not inlined take scalars and look everything up again, so that every
 * verifier looks at each of them once. */
#ifndef EVENKEEL_SPLIT_H
#define EVENKEEL_SPLIT_H

#include "maps.h"

/* Waits above this tell their host processes one by one. */
#define EK_DETAIL_NS 1000000ULL
#define EK_DETAIL (1u << 31) /* beside the slot in an argument */

/* The slots of a thread's hosts are few: the smallest makes room. What it held
 * is in the split, and in user space's sums as far as those were read. */
static __always_inline void ek_charge_host(struct ek_thread *t, __u32 tgid, __u64 ns)
{
	__u32 least = 0;
	int i;

#pragma unroll
	for (i = 0; i < EK_HOSTS; i++) {
		if (t->hosts[i].tgid == tgid) {
			t->hosts[i].ns += ns;
			return;
		}
		if (t->hosts[i].ns < t->hosts[least & (EK_HOSTS - 1)].ns)
			least = i;
	}
	t->hosts[least & (EK_HOSTS - 1)].tgid = tgid;
	t->hosts[least & (EK_HOSTS - 1)].ns = ns;
}

static __always_inline void ek_charge_cell(struct ek_thread *t, __u32 who, __u64 ns)
{
	__u32 cause = ek_cause(t->who, who), key;
	__u64 *cell;

	t->split[cause & (EK_CAUSE_CELLS - 1)] += ns;
	if (cause != EK_OTHER_VM || !(t->who & EK_WHO_VCPU))
		return;
	key = ek_who_vm(t->who) * matrix_stride + ek_who_vm(who);
	cell = bpf_map_lookup_elem(&matrix, &key);
	if (cell)
		__sync_fetch_and_add(cell, ns);
}

__noinline int ek_charge(__u32 slot, __u32 who, __u64 ns)
{
	__u32 key = slot & ~EK_DETAIL;
	struct ek_thread *t = bpf_map_lookup_elem(&threads, &key);

	if (!t)
		return 0;
	ek_charge_cell(t, who, ns);
	if (slot & EK_DETAIL && ek_who_kind(who) == EK_WHO_HOST && ek_who_tgid(who))
		ek_charge_host(t, ek_who_tgid(who), ns);
	return 0;
}

/* The part of a bin between lo and hi, which lie within it: all of it, or each
 * name's share. Returns what it charged, never more than hi - lo. */
__noinline __u64 ek_charge_bin(__u32 slot, __u32 cpu, __u32 bin, __u64 lo, __u64 hi)
{
	struct ek_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	__u64 part = hi - lo, left = part, span, share;
	struct ek_bin *b;
	int i;

	if (!c)
		return 0;
	b = bin < EK_FINE ? &c->fine[bin & (EK_FINE - 1)] : &c->coarse[bin & (EK_COARSE - 1)];
	span = b->to - b->from;
	share = part >= span ? 1ULL << 20 : (part << 20) / span;
	for (i = 0; i <= EK_BIN_CELLS; i++) {
		struct ek_cell *cell = &b->cells[i & (EK_BIN_CELLS - 1)];
		__u64 ns = i < EK_BIN_CELLS ? cell->ns : b->hosts;

		if (part < span)
			ns = (ns * share) >> 20;
		if (ns > left)
			ns = left;
		left -= ns;
		if (ns)
			ek_charge(slot, i < EK_BIN_CELLS ? cell->who : ek_who(EK_WHO_HOST, 0), ns);
	}
	return part - left;
}

/* Puts the time from..to on a CPU's run queue down to who ran there; what its
 * book does not know is unattributed. Walks back from the newest entry. */
__noinline int ek_walk(__u32 slot, __u32 cpu, __u64 from, __u64 to)
{
	struct ek_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	__u64 hi = to, left = to - from, start, ns;
	__u32 head, at;
	int i;

	if (!c || to <= from)
		return 0;
	head = c->head;
	ns = c->slices[(head - 1) & (EK_SLICES - 1)].to;
	if (ns < hi && !c->gap) { /* another CPU's book: who still runs there */
		if (ns < from)
			ns = from;
		ek_charge(slot, c->who, hi - ns);
		left -= hi - ns;
		hi = ns;
	}
	for (i = 1; i <= EK_SLICES && hi > from; i++) {
		struct ek_slice *s = &c->slices[(head - i) & (EK_SLICES - 1)];

		start = i < EK_SLICES ? c->slices[(head - i - 1) & (EK_SLICES - 1)].to
				      : ek_book_fine(c)->to;
		if (start >= hi)
			continue;
		if (start < from)
			start = from;
		if (s->to < hi)
			hi = s->to;
		if (hi <= start)
			continue;
		ns = hi - start;
		if (ns > left)
			ns = left;
		ek_charge(slot, s->who, ns);
		left -= ns;
		hi = start;
	}
	at = c->fine_at;
	for (i = 0; i < EK_FINE + EK_COARSE && hi > from; i++) {
		struct ek_bin *b;
		__u32 bin;

		if (i == EK_FINE)
			at = c->coarse_at;
		bin = (at - i) & (EK_FINE - 1);
		b = &c->fine[bin];
		if (i >= EK_FINE) {
			b = &c->coarse[bin];
			bin += EK_FINE;
		}
		start = b->from;
		if (start >= hi || b->to <= start)
			continue;
		if (b->to < hi)
			hi = b->to;
		if (start < from)
			start = from;
		if (hi <= start || hi - start > left)
			break;
		left -= ek_charge_bin(slot, cpu, bin, start, hi);
		hi = start;
	}
	if (left)
		ek_charge(slot, ek_who(EK_WHO_UNKNOWN, 0), left);
	return 0;
}

#endif
