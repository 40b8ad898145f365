/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Each CPU's book of who ran on it: the last slices one by one, older ones
 * added up in bins of a millisecond and more, those older still in coarse ones.
 * Bins begin and end with slices, so nothing is cut up when it is written. Only
 * the CPU itself writes its book; any CPU may read it, and a reader bounds
 * what it finds, since it may be overtaken. */
#ifndef EVENKEEL_BOOK_H
#define EVENKEEL_BOOK_H

#include "who.h"

#define EK_SLICES 16
#define EK_FINE 64
#define EK_COARSE 64
#define EK_FINE_NS (1ULL << 20)	  /* 1.05 ms: fine bins reach back 67 ms at least */
#define EK_COARSE_NS (1ULL << 26) /* 67 ms: coarse ones 4.3 s */
#define EK_BIN_CELLS 16

/* A slice begins where the one before it ends. */
struct ek_slice {
	__u64 to;
	__u32 who;
	__u32 pad;
};

/* What one name ran in a bin. */
struct ek_cell {
	__u64 ns;
	__u32 who; /* 0 is free */
	__u32 pad;
};

struct ek_bin {
	__u64 from;
	__u64 to;
	__u64 hosts; /* what host tasks ran that found no free cell */
	__u64 pad;
	struct ek_cell cells[EK_BIN_CELLS];
};

/* How much is found out; level.go has the same, but for off. */
enum ek_level {
	EK_LEVEL_EXACT,
	EK_LEVEL_SAMPLED,
	EK_LEVEL_SUMS,
	EK_LEVEL_OFF, /* nothing is tracked */
};

struct ek_cpu {
	__u64 runs; /* of the program on this CPU */
	__u64 timed;
	__u64 timed_ns;
	enum ek_level level; /* user space writes it */
	__u32 pid;	     /* who runs now, by the last switch: its thread id, */
	__u32 who;	     /* its name */
	__u32 slot;	     /* and its slot, 0 if it is untracked */
	__u32 head;	     /* slices written */
	__u32 fine_at;
	__u32 coarse_at;
	__u32 gap; /* the book was not kept since the last slice */
	struct ek_slice slices[EK_SLICES];
	struct ek_bin fine[EK_FINE];
	struct ek_bin coarse[EK_COARSE];
};

static __always_inline void ek_bin_begin(struct ek_bin *b, __u64 from, __u64 to)
{
	b->from = from;
	b->to = to;
	b->hosts = 0;
#pragma unroll
	for (int i = 0; i < EK_BIN_CELLS; i++) {
		b->cells[i].ns = 0;
		b->cells[i].who = 0;
	}
}

/* Where a name is looked for first: VMs by index, vCPUs apart from the others,
 * and idle apart from kernel threads. */
static __always_inline __u32 ek_bin_home(__u32 who)
{
	return who ^ who >> 4 ^ who >> EK_WHO_SHIFT ^ who >> 14;
}

/* A bin that is full keeps no more names; what those ran is missing from its
 * sum, and so goes unattributed. */
static __always_inline void ek_bin_add(struct ek_bin *b, __u32 who, __u64 ns)
{
	__u32 home = ek_bin_home(who), i;

	for (i = 0; i < EK_BIN_CELLS; i++) {
		struct ek_cell *cell = &b->cells[(home + i) & (EK_BIN_CELLS - 1)];

		if (cell->who == who || !cell->who) {
			cell->who = who;
			cell->ns += ns;
			return;
		}
	}
	if (ek_who_kind(who) == EK_WHO_HOST)
		b->hosts += ns;
}

static __always_inline bool ek_bin_full(struct ek_bin *b, __u64 from, __u64 span)
{
	return b->to != from || b->to - b->from >= span;
}

/* The fine bin that is to be used again moves into the coarse ones. */
static __always_inline void ek_book_coarsen(struct ek_cpu *c, struct ek_bin *old)
{
	struct ek_bin *b = &c->coarse[c->coarse_at & (EK_COARSE - 1)];
	int i;

	if (ek_bin_full(b, old->from, EK_COARSE_NS)) {
		c->coarse_at++;
		b = &c->coarse[c->coarse_at & (EK_COARSE - 1)];
		*b = *old;
		return;
	}
	b->to = old->to;
	b->hosts += old->hosts;
	for (i = 0; i < EK_BIN_CELLS; i++)
		if (old->cells[i].who)
			ek_bin_add(b, old->cells[i].who, old->cells[i].ns);
}

static __always_inline struct ek_bin *ek_book_fine(struct ek_cpu *c)
{
	return &c->fine[c->fine_at & (EK_FINE - 1)];
}

#endif
