/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Differences between kernels, in one place.
 *
 * sched_switch: the fourth argument (prev_state) came with 5.18, commit
 * fa2c3254d7cf; none of our programs reads it.
 *
 * The run queue's clock: task_struct.se.cfs_rq->rq needs FAIR_GROUP_SCHED and
 * no symbol, while a typed ksym of `runqueues` fails without KALLSYMS_ALL.
 * Checked for FIFO, RR, BATCH, IDLE and normal tasks. */
#ifndef EVENKEEL_CORE_FIXES_H
#define EVENKEEL_CORE_FIXES_H

static __always_inline __u64 ek_rq_clock(struct task_struct *p)
{
	return p->se.cfs_rq->rq->clock;
}

#endif
