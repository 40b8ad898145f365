/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the kernel keeps per tracked thread; thread.go has the same in Go. */
#ifndef EVENKEEL_THREAD_H
#define EVENKEEL_THREAD_H

#include "histogram.h"

struct ek_thread {
	__u64 wait_ns;	   /* completed waits since tracking began */
	__u64 run_ns;	   /* completed runs since tracking began */
	__u64 waits;	   /* completed waits, as schedstat's third field counts them */
	__u64 accounted;   /* run_delay up to which wait_ns has been brought */
	__u64 exec;	   /* sum_exec_runtime up to which run_ns has been brought */
	__u64 switched_in; /* run queue's clock at the last switch-in, 0 off the CPU */
	__u32 tid;
	__u32 tgid;   /* whose thread user space means: a reused id is not it */
	__u32 seen;   /* accounted and exec hold a baseline: 1 wait, 2 run */
	__u32 pcount; /* the kernel's count of waits, up to which waits was brought */
	__u32 latency[EK_BUCKET_CELLS]; /* wraps; user space adds up the differences */
};

/* Thread ids map to slots through pages of 16-bit cells. 0 is untracked. */
#define EK_SLOTS_PER_PAGE 2048
struct ek_slots {
	__u16 slot[EK_SLOTS_PER_PAGE];
};

/* Events that were seen and not counted. */
enum ek_lost {
	EK_LOST_ABSURD,	 /* a difference that cannot be: negative or above a week */
	EK_LOST_FOREIGN, /* the thread's id now belongs to another process */
	EK_LOST_MISSED,	 /* waits whose end the hook was not called for */
	EK_LOST_CELLS,
};

#endif
