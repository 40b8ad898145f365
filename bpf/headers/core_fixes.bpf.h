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

/* task_struct.__state was called state, and was a long, before 5.14, commit
 * 2f064a59a11f. 0 is TASK_RUNNING: what leaves the CPU so is still runnable. */
static __always_inline bool ek_task_runnable(struct task_struct *p)
{
	if (bpf_core_field_exists(p->__state))
		return !p->__state;
	return !((struct task_struct___before_5_14 *)p)->state;
}

#endif
