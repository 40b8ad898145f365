/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The few kernel types that our programs touch. Each struct names only the
 * fields that are read; CO-RE finds their offsets in the running kernel's BTF.
 * Nothing else of the kernel's headers is needed, nor a vmlinux.h. */
#ifndef EVENKEEL_KERNEL_H
#define EVENKEEL_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed short __s16;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

/* From the UAPI of <linux/bpf.h>. */
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};
enum {
	BPF_F_MMAPABLE = 1 << 10,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rq {
	__u64 clock;
	int cpu;
};

struct cfs_rq {
	struct rq *rq;			 /* CONFIG_FAIR_GROUP_SCHED */
	__u64 throttled_clock_self;	 /* CONFIG_CFS_BANDWIDTH, since 6.6: see quota.h */
	__u64 throttled_clock_self_time; /* the same */
};

struct sched_entity {
	struct cfs_rq *cfs_rq; /* CONFIG_FAIR_GROUP_SCHED; right for every class but deadline */
	__u64 sum_exec_runtime;
};

struct sched_info {
	unsigned long pcount;
	unsigned long long run_delay;
	unsigned long long last_queued;
};

#define PF_KTHREAD 0x00200000 /* of task_struct.flags */

struct task_struct {
	int pid;  /* the thread's id */
	int tgid; /* the process's */
	unsigned int flags;
	struct sched_entity se;
	struct sched_info sched_info;
};

/* What an iterator over tasks is called with, since 5.8. */
struct bpf_iter__task {
	struct task_struct *task;
};

#pragma clang attribute pop

/* The context of a socket filter, which only tests load. */
struct __sk_buff;

#endif
