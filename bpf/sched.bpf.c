//go:build ignore

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Run-queue wait and run time of tracked threads, from the scheduler's own
 * accounts (sched_info, sum_exec_runtime) at each switch. See DESIGN.md. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "core_fixes.bpf.h"
#include "thread.h"

/* Sizes are set before loading. All three maps are read, the first two also
 * written, by user space through mmap. */
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EK_LOST_CELLS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* A longer single wait or run is an error of ours, not a figure. A pinned vCPU
 * on a CPU without ticks may well run for hours. */
#define EK_ABSURD_NS (7ULL * 24 * 3600 * 1000000000ULL)

enum { SEEN_WAIT = 1, SEEN_RUN = 2 };

static __always_inline void drop(__u32 why, __u64 events)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &why);

	if (n)
		__sync_fetch_and_add(n, events);
}

static __always_inline struct ek_thread *tracked(struct task_struct *p)
{
	__u32 tid = p->pid, page = tid / EK_SLOTS_PER_PAGE, slot;
	struct ek_slots *s = bpf_map_lookup_elem(&slots, &page);
	struct ek_thread *t;

	if (!s)
		return 0;
	slot = s->slot[tid & (EK_SLOTS_PER_PAGE - 1)];
	if (!slot)
		return 0;
	t = bpf_map_lookup_elem(&threads, &slot);
	if (!t)
		return 0;
	if (t->tgid != (__u32)p->tgid) {
		drop(EK_LOST_FOREIGN, 1);
		return 0;
	}
	return t;
}

/* The kernel adds the wait that ends here to run_delay only after this
 * tracepoint, so it is completed from last_queued, on the same clock. What a
 * wait gathered on other run queues is in run_delay already: a wait that moves
 * between CPUs stays one wait, and the sum stays the kernel's. */
static __always_inline void switch_in(struct task_struct *p, struct ek_thread *t)
{
	__u64 delay = p->sched_info.run_delay, queued = p->sched_info.last_queued;
	__u64 now = ek_rq_clock(p), total = delay, d;
	__u32 bucket, count = p->sched_info.pcount, n;

	t->switched_in = now;
	if (!(t->seen & SEEN_WAIT)) {
		t->accounted = delay;
		t->pcount = count;
		t->seen |= SEEN_WAIT;
	}
	if (!(t->seen & SEEN_RUN)) {
		t->exec = p->se.sum_exec_runtime;
		t->seen |= SEEN_RUN;
	}
	if (!queued)
		return; /* the kernel counts no wait either */
	if (now > queued)
		total += now - queued;
	d = total - t->accounted;
	t->accounted = total;
	if ((__s64)d < 0 || d > EK_ABSURD_NS) {
		drop(EK_LOST_ABSURD, 1);
		return;
	}
	t->wait_ns += d;
	/* A switch may pass without the tracepoint being called. The sum heals
	 * itself, and so does the count; of such waits only the mean length is
	 * known, and each is counted with that. */
	n = count + 1 - t->pcount;
	t->pcount = count + 1;
	t->waits += n;
	if (n > 1) {
		drop(EK_LOST_MISSED, n - 1);
		d /= n;
	}
	bucket = ek_bucket(d) & (EK_BUCKET_CELLS - 1);
	/* The 6.1 verifier forgets the bound over an add; keep it in sight. */
	asm volatile("" : "+r"(bucket));
	t->latency[bucket & (EK_BUCKET_CELLS - 1)] += n;
}

static __always_inline void switch_out(struct task_struct *p, struct ek_thread *t)
{
	__u64 exec = p->se.sum_exec_runtime, d;

	t->switched_in = 0;
	if (!(t->seen & SEEN_RUN)) {
		t->exec = exec;
		t->seen |= SEEN_RUN;
		return;
	}
	d = exec - t->exec;
	t->exec = exec;
	if ((__s64)d < 0 || d > EK_ABSURD_NS) {
		drop(EK_LOST_ABSURD, 1);
		return;
	}
	t->run_ns += d;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(ek_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct ek_thread *t;

	t = tracked(prev);
	if (t)
		switch_out(prev, t);
	t = tracked(next);
	if (t)
		switch_in(next, t);
	return 0;
}

/* For tests alone: the bucket of a latency, computed in the kernel. */
struct ek_bucket_query {
	__u64 ns;
	__u64 bucket;
};

SEC("syscall")
int ek_bucket_of(struct ek_bucket_query *q)
{
	q->bucket = ek_bucket(q->ns);
	return 0;
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
