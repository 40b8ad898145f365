/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A program counts its runs on each CPU and times one in so many of them. */
#ifndef EVENKEEL_METER_H
#define EVENKEEL_METER_H

#include "book.h"

#define EK_TIMED_ONE_IN 1024 /* level.go has the same */

struct ek_meter {
	__u64 before;
	__u64 began;
};

static __always_inline void ek_meter_begin(struct ek_meter *m, struct ek_cpu *c)
{
	m->before = 0;
	if (++c->runs & (EK_TIMED_ONE_IN - 1))
		return;
	m->before = bpf_ktime_get_ns();
	m->began = bpf_ktime_get_ns();
}

/* Net of what reading the clock takes. */
static __always_inline void ek_meter_end(struct ek_meter *m, struct ek_cpu *c)
{
	__s64 took;

	if (!m->before)
		return;
	took = bpf_ktime_get_ns() - m->began - (m->began - m->before);
	c->timed++;
	c->timed_ns += took > 0 ? took : 0;
}

#endif
