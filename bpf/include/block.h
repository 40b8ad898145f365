/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the block program keeps per VM, and the kernel types that it reads;
 * block_record.go has the shared structs in Go. */
#ifndef EVENKEEL_BLOCK_H
#define EVENKEEL_BLOCK_H

#include "histogram.h"

/* From the UAPI of <linux/bpf.h>; by names of our own, for kernel.h may come to
 * have them too. */
enum {
	EK_MAP_HASH = 1,
	EK_MAP_LRU_HASH = 9,
};

/* Differences between kernels, told apart by BTF, never by version:
 * - block_rq_issue and block_getrq had the queue as their first argument before
 *   5.11 (commit a54895fa057c) and 5.10.137; block_rq_complete never had.
 *   User space loads the program that fits.
 * - block_io_start came with 6.5 (commit 5a80bd075f3b). Before, the submitter is
 *   seen at block_getrq, which knows the bio and not yet the request.
 * - request.rq_disk went with 5.17 (commit f3fa33acca9f), request_queue.disk
 *   came with 5.15 (commit d152c682f03c).
 * - RQF_FLUSH_SEQ was the macro 1 << 4 before 6.11 (commit 5f89154e8e9e).
 * - The status is an errno before 5.16 and a blk_status_t since; 0 is well in
 *   both. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id; /* the inode number of the cgroup's directory */
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	__u64 serial_nr; /* of no other since boot */
};

struct blkcg {
	struct cgroup_subsys_state css;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct bio {
	struct blkcg_gq *bi_blkg; /* CONFIG_BLK_CGROUP */
	void *bi_io_vec;	  /* NULL if it carries no data: a flush */
};

struct gendisk {
	int major;
};

struct request_queue {
	struct gendisk *disk;
};

struct request {
	struct request_queue *q;
	unsigned int cmd_flags;
	unsigned int rq_flags;
	unsigned int __data_len; /* bytes not yet completed */
	struct bio *bio;
	struct bio *biotail;
	__u64 start_time_ns;	/* when its tag was taken; 0 if nobody wants times */
	__u64 io_start_time_ns; /* when it went to the driver; 0 if nobody wants statistics */
};

struct request___before_5_17 {
	struct gendisk *rq_disk;
};

#pragma clang attribute pop

enum rqf_flags___since_6_11 {
	__RQF_FLUSH_SEQ___since_6_11 = 1,
};

#define EK_REQ_OP_MASK 0xff
#define EK_REQ_OP_WRITE 1
#define EK_REQ_OP_DISCARD 3
#define EK_REQ_OP_PASSTHROUGH 32 /* this and above: commands, not I/O */

/* Operations as the kernel's own disk statistics group them. */
enum ek_block_op {
	EK_BLOCK_READ,
	EK_BLOCK_WRITE,
	EK_BLOCK_FLUSH,
	EK_BLOCK_DISCARD,
	EK_BLOCK_OPS, /* a power of two, so that a mask satisfies every verifier */
};

struct ek_block_sums {
	__u64 requests;
	__u64 bytes;
	__u64 errors;
	__u64 queue_ns;
	__u64 device_ns;
};

struct ek_block_latency {
	__u64 queue[EK_BUCKET_CELLS];
	__u64 device[EK_BUCKET_CELLS];
};

/* A VM's record. Several CPUs complete one VM's requests: atomic adds only. A
 * request's end comes out of nowhere, so that each cache line costs more than
 * all that is done with it: a read's first one has all but the histograms. */
struct ek_block_vm {
	__u64 serial;  /* of its cgroup, set here once that was seen; 0 if unknown */
	__u64 since;   /* when tracking began, on the clock of bpf_ktime_get_ns */
	__u32 epoch;   /* tells the slot's next user from this one */
	__u32 stacked; /* set here: requests on a loop device were seen and left out */
	struct ek_block_sums sums[EK_BLOCK_OPS];
	struct ek_block_latency latency[EK_BLOCK_OPS];
} __attribute__((aligned(64)));

/* Slots of VMs by the low bits of their cgroups' serial numbers. */
#define EK_BLOCK_SERIALS 4096

/* Whose process it is. */
struct ek_block_owner {
	__u32 slot;
	__u32 epoch;
};

/* A request under way whose VM, or whose issue time, it cannot tell itself. */
struct ek_block_flight {
	__u64 at; /* when this was noted; older than the request: of another one */
	__u64 issued;
	__u32 slot;
	__u32 epoch;
};

/* Requests that were counted and not timed, or could not be followed. */
enum ek_block_lost {
	EK_BLOCK_ABSURD,  /* a difference above a day */
	EK_BLOCK_FUTURE,  /* begun after it ended */
	EK_BLOCK_EARLY,	  /* begun before tracking */
	EK_BLOCK_UNTIMED, /* the queue keeps no times (queue/iostats is 0) */
	EK_BLOCK_UNSPLIT, /* timed, all of it as device time: nobody noted its issue */
	EK_BLOCK_FULL,	  /* no room to note a request under way */
	EK_BLOCK_LOST_CELLS,
};

/* The programs, as they meter themselves. */
enum ek_block_prog {
	EK_BLOCK_COMPLETE,
	EK_BLOCK_ISSUE,
	EK_BLOCK_SUBMIT,
	EK_BLOCK_PROGS = 4,
};

/* One program's own books on one CPU: it has one writer. */
struct ek_block_cost {
	__u64 runs;
	__u64 timed;
	__u64 timed_ns;
	__u64 others; /* completed requests of nobody who is tracked */
};

struct ek_block_cpu {
	struct ek_block_cost cost[EK_BLOCK_PROGS];
};

#endif
