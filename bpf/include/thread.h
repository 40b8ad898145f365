/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the kernel keeps per tracked thread; thread.go has the same in Go. */
#ifndef EVENKEEL_THREAD_H
#define EVENKEEL_THREAD_H

#include "histogram.h"

/* The causes of a wait; cause.go has the same. */
enum ek_cause {
	EK_UNATTRIBUTED,
	EK_MIGRATED,
	EK_IDLE,
	EK_OTHER_VM,
	EK_HOST,
	EK_KERNEL,
	EK_OWN_VCPU,
	EK_OWN_OTHER,
	EK_QUOTA,
	EK_UNSAMPLED,	     /* not split: user space lets it have the others' shares */
	EK_CAUSE_CELLS = 16, /* a power of two, so that a mask satisfies every verifier */
};

/* A host process that was waited behind. */
struct ek_host {
	__u64 ns;
	__u32 tgid; /* 0 is a free cell */
	__u32 pad;
};
#define EK_HOSTS 8

struct ek_thread {
	__u64 wait_ns;	 /* completed waits since tracking began */
	__u64 run_ns;	 /* completed runs since tracking began */
	__u64 waits;	 /* completed waits, as schedstat's third field counts them */
	__u64 accounted; /* run_delay up to which wait_ns has been brought */
	__u64 exec;	 /* sum_exec_runtime up to which run_ns has been brought */
	__u64 group;	 /* the cfs_rq that it came to or left; compared, never followed */
	__u64 throttled; /* throttled time of that cfs_rq then; see quota */
	__u64 moved_ns;	 /* what the wait that goes on gathered on other CPUs, in wait_ns already */
	__u64 split[EK_CAUSE_CELLS]; /* wait_ns by cause */
	struct ek_host hosts[EK_HOSTS];
	__u32 tid;
	__u32 tgid; /* whose thread user space means: a reused id is not it */
	__u32 seen; /* accounted and exec hold a baseline: 1 wait, 2 run; 4: was switched in here */
	__u32 pcount; /* the kernel's count of waits, up to which waits was brought */
	__u32 who;    /* its name in the books: see who.h */
	__u32 quota;  /* that cfs_rq had been throttled, ever, when it came */
	__u32 latency[EK_BUCKET_CELLS]; /* wraps; user space adds up the differences */
};

/* What has not ended yet, as the iterator found it. */
struct ek_open {
	__u64 wait_ns; /* of ek_thread at the same moment */
	__u64 run_ns;
	__u64 open_wait_ns;
	__u64 open_run_ns;
	__u64 open_quota_ns;
	__u64 seen; /* 1: the iterator came by */
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
