//go:build ignore

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Run-queue wait and run time of tracked threads, from the scheduler's own
 * accounts (sched_info, sum_exec_runtime) at each switch, and whom they waited
 * behind, from a book of who ran on each CPU. See DESIGN.md. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "core_fixes.bpf.h"
#include "maps.h"
#include "split.h"
#include "quota.h"
#include "meter.h"

/* A longer single wait or run is an error of ours, not a figure. A pinned vCPU
 * on a CPU without ticks may well run for hours. */
#define EK_ABSURD_NS (7ULL * 24 * 3600 * 1000000000ULL)

enum { SEEN_WAIT = 1, SEEN_RUN = 2, SEEN_HERE = 4 };

__noinline int ek_coarsen(__u32 cpu)
{
	struct ek_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);

	if (c)
		ek_book_coarsen(c, ek_book_fine(c));
	return 0;
}

/* Adds a slice to the bins: to a new one if need be, wherever there is room. */
__noinline int ek_file(__u32 cpu, __u32 who, __u64 to)
{
	struct ek_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	struct ek_bin *b;
	__u64 from;

	if (!c)
		return 0;
	b = ek_book_fine(c);
	from = b->to;
	if (ek_bin_full(b, from, EK_FINE_NS)) {
		c->fine_at++;
		b = ek_book_fine(c);
		if (b->to)
			ek_coarsen(cpu);
		ek_bin_begin(b, from, from);
	}
	b->to = to;
	if (who)
		ek_bin_add(b, who, to - from);
	return 0;
}

/* A slice that the ring has no more room for goes into a bin, mostly where its
 * name is looked for first. */
static __always_inline void evict(struct ek_cpu *c, __u32 cpu, struct ek_slice *s)
{
	struct ek_bin *b = ek_book_fine(c);
	struct ek_cell *cell = &b->cells[ek_bin_home(s->who) & (EK_BIN_CELLS - 1)];
	__u64 from = b->to, to = s->to;

	if (unlikely(to <= from))
		return;
	if (unlikely(from - b->from >= EK_FINE_NS || !s->who || cell->who != s->who)) {
		ek_file(cpu, s->who, to);
		return;
	}
	b->to = to;
	cell->ns += to - from;
}

/* Notes who ran until now. */
static __always_inline void note(struct ek_cpu *c, __u32 cpu, __u32 who, __u64 now)
{
	__u32 head = c->head;
	struct ek_slice *s = &c->slices[(head - 1) & (EK_SLICES - 1)];

	if (c->gap) {
		c->gap = 0;
		who = 0;
	}
	if (s->who == who) {
		s->to = now;
		return;
	}
	s = &c->slices[head & (EK_SLICES - 1)];
	evict(c, cpu, s);
	s->to = now;
	s->who = who;
	c->head = head + 1;
}

static __always_inline __u32 name(struct task_struct *p, struct ek_thread *t)
{
	__u32 tgid = p->tgid, slot;

	if (t)
		return t->who;
	if (!p->pid)
		return ek_who(EK_WHO_IDLE, 0);
	if (p->flags & PF_KTHREAD)
		return ek_who(EK_WHO_KERNEL, 0);
	if (tgid != (__u32)p->pid) {
		/* A new thread of a VM that user space has not seen yet. */
		slot = ek_slot_of(tgid);
		if (slot) {
			t = bpf_map_lookup_elem(&threads, &slot);
			if (t && t->tgid == tgid)
				return t->who & ~EK_WHO_VCPU;
		}
	}
	return ek_who(EK_WHO_HOST, tgid);
}

/* Whether this wait's causes are looked up; if not, it is put down to none. */
static __always_inline bool attributed(struct ek_thread *t, __u32 level, __u64 now, __u64 d)
{
	if (level >= EK_LEVEL_SUMS) {
		t->split[EK_UNATTRIBUTED] += d;
		return 0;
	}
	if (level == EK_LEVEL_SAMPLED && (__u32)((__u32)now * 0x9e3779b1u) >> 28) {
		t->split[EK_UNSAMPLED] += d;
		return 0;
	}
	return 1;
}

/* Splits a wait of d that ends now, w of it on this CPU's run queue; the rest,
 * if any, was spent where nobody was asked. Throttling stands at its beginning:
 * a run queue is throttled when its thread leaves the CPU or wakes up, and
 * whatever follows is contention. */
static __always_inline void split(struct ek_thread *t, __u32 slot, struct ek_cpu *c, __u32 cpu,
				  __u64 quota, __u64 d, __u64 w, __u64 now, __u32 unknown)
{
	__u64 elsewhere = d - w, of;

	t->split[EK_QUOTA] += quota;
	of = quota < elsewhere ? quota : elsewhere;
	elsewhere -= of;
	w -= quota - of;
	if (!attributed(t, c->level, now, elsewhere + w))
		return;
	t->split[unknown & (EK_CAUSE_CELLS - 1)] += elsewhere;
	if (d > EK_DETAIL_NS)
		slot |= EK_DETAIL;
	if (!w)
		return;
	/* Mostly it waited for the slice before its own and for no other. */
	if (c->slices[(c->head - 2) & (EK_SLICES - 1)].to <= now - w && !(slot & EK_DETAIL))
		ek_charge_cell(t, c->slices[(c->head - 1) & (EK_SLICES - 1)].who, w);
	else
		ek_walk(slot, cpu, now - w, now);
}

/* Counts n waits of d together and what moves cut off them, missed of which ended in a switch that this was
 * not called for. The sum heals itself at the next switch, and so does the
 * count; of such waits only the mean length is known, and each is counted with
 * that. */
static __always_inline void count_waits(struct ek_thread *t, __u64 d, __u32 n, __u32 missed)
{
	__u32 bucket;

	/* Before the first one it may have switched between user space's look at
	 * its account and the table's pointing here. */
	if (missed && t->seen & SEEN_HERE)
		ek_drop(EK_LOST_MISSED, missed);
	t->seen |= SEEN_HERE;
	d += t->moved_ns;
	t->moved_ns = 0;
	if (n > 1)
		d /= n;
	bucket = ek_bucket(d) & (EK_BUCKET_CELLS - 1);
	/* The 6.1 verifier forgets the bound over an add; keep it in sight. */
	asm volatile("" : "+r"(bucket));
	t->latency[bucket & (EK_BUCKET_CELLS - 1)] += n;
	/* Last: user space takes a record whose counts stand still for unchanged. */
	asm volatile("" ::: "memory");
	t->waits += n;
}

/* The kernel adds the wait that ends here to run_delay only after this
 * tracepoint, so it is completed from last_queued, on the same clock. A wait that
 * moved between CPUs stays one wait. */
static __always_inline void switch_in(struct task_struct *p, struct ek_thread *t, __u32 slot,
				      struct ek_cpu *c, __u32 cpu, __u64 now)
{
	__u64 delay = p->sched_info.run_delay, queued = p->sched_info.last_queued, d, w, quota;
	__u32 count = p->sched_info.pcount, n;

	quota = ek_throttled_in(t, p->se.cfs_rq);

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
	w = now > queued ? now - queued : 0;
	d = delay + w - t->accounted;
	t->accounted = delay + w;
	if ((__s64)d < 0 || d > EK_ABSURD_NS) {
		ek_drop(EK_LOST_ABSURD, 1);
		return;
	}
	n = count + 1 - t->pcount;
	t->pcount = count + 1;
	if (d) {
		t->wait_ns += d;
		split(t, slot, c, cpu, quota < d ? quota : d, d, w < d ? w : d, now,
		      n == 1 ? EK_MIGRATED : EK_UNATTRIBUTED);
	}
	count_waits(t, d, n, n - 1);
}

static __always_inline void switch_out(struct task_struct *p, struct ek_thread *t, __u64 now)
{
	__u64 exec = p->se.sum_exec_runtime, d;

	ek_throttled_out(t, p->se.cfs_rq, now);
	if (!(t->seen & SEEN_RUN)) {
		t->exec = exec;
		t->seen |= SEEN_RUN;
		return;
	}
	d = exec - t->exec;
	t->exec = exec;
	if ((__s64)d < 0 || d > EK_ABSURD_NS) {
		ek_drop(EK_LOST_ABSURD, 1);
		return;
	}
	t->run_ns += d;
}

static __always_inline void switched(struct task_struct *prev, struct task_struct *next,
				     struct ek_cpu *c, __u32 cpu)
{
	__u64 now = ek_rq_clock(next);
	struct ek_thread *t;
	__u32 slot, who;

	/* The last switch left word of who came. */
	slot = c->slot;
	who = c->who;
	if (c->pid != (__u32)prev->pid)
		slot = ek_slot_of(prev->pid);
	t = ek_thread_in(slot, prev);
	if (c->level < EK_LEVEL_SUMS)
		note(c, cpu, c->pid == (__u32)prev->pid ? who : name(prev, t), now);
	else
		c->gap = 1;
	if (t)
		switch_out(prev, t, now);

	slot = ek_slot_of(next->pid);
	t = ek_thread_in(slot, next);
	if (slot && !t) {
		ek_drop(EK_LOST_FOREIGN, 1);
		slot = 0;
	}
	c->pid = next->pid;
	c->slot = slot;
	if (c->level < EK_LEVEL_SUMS)
		c->who = name(next, t);
	if (t)
		switch_in(next, t, slot, c, cpu, now);
}

/* A waiting thread is taken to another CPU. What it has waited so far is in
 * run_delay already, and was spent on the run queue that it is leaving. */
static __always_inline void moved(struct task_struct *p, struct ek_thread *t, __u32 slot,
				  struct ek_cpu *here)
{
	struct cfs_rq *q = p->se.cfs_rq;
	__u64 now = q->rq->clock, d = p->sched_info.run_delay - t->accounted, quota;

	if (!(t->seen & SEEN_WAIT) || !d)
		return; /* it was not waiting: it has just been woken */
	if (d > EK_ABSURD_NS)
		return; /* left to the switch-in, which says so */
	t->accounted += d;
	t->moved_ns += d;
	t->wait_ns += d;
	quota = ek_throttled_since(t, q, now, d);
	t->split[EK_QUOTA] += quota;
	d -= quota;
	if (!attributed(t, here->level, now, d))
		return;
	if (d > EK_DETAIL_NS)
		slot |= EK_DETAIL;
	ek_walk(slot, q->rq->cpu, now - d, now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(ek_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct ek_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);
	struct ek_meter m;

	if (!c)
		return 0;
	if (c->level == EK_LEVEL_OFF) {
		c->gap = 1;
		return 0;
	}
	ek_meter_begin(&m, c);
	switched(prev, next, c, cpu);
	ek_meter_end(&m, c);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(ek_sched_migrate, struct task_struct *p)
{
	__u32 cpu = bpf_get_smp_processor_id(), slot = ek_slot_of(p->pid);
	struct ek_thread *t = ek_thread_in(slot, p);
	struct ek_cpu *c;

	if (!t)
		return 0;
	c = bpf_map_lookup_elem(&cpus, &cpu);
	if (c)
		moved(p, t, slot, c);
	return 0;
}

/* What has not ended: the wait or run of a tracked thread as of now. It is read
 * while the thread may be switched; user space takes it only together with the
 * completed part that it stood beside. Runs come from the kernel's own account,
 * which every tick brings up to date. */
SEC("iter/task")
int ek_open_waits(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task, *self;
	__u64 now, queued, wait, run;
	struct ek_thread *t;
	struct ek_open *o;
	__u32 slot;

	if (!p)
		return 0;
	slot = ek_slot_of(p->pid);
	t = ek_thread_in(slot, p);
	o = bpf_map_lookup_elem(&opens, &slot);
	if (!t || !o)
		return 0;
	o->wait_ns = t->wait_ns;
	o->run_ns = t->run_ns;
	o->open_wait_ns = 0;
	o->open_run_ns = 0;
	o->open_quota_ns = 0;
	queued = p->sched_info.last_queued;
	if (t->seen & SEEN_WAIT && !queued) {
		/* The end of a wait that the hook was not called for, and that the
		 * next switch makes good for; else nothing. */
		wait = p->sched_info.run_delay - t->accounted;
		if ((__s64)wait > 0 && wait <= EK_ABSURD_NS)
			o->open_wait_ns = wait;
	}
	if (queued && t->seen & SEEN_WAIT) {
		/* A run queue whose CPU sleeps has a clock that stands; the reader's
		 * own has just been set, and both count the same time. */
		self = (struct task_struct *)bpf_get_current_task();
		now = BPF_CORE_READ(self, se.cfs_rq, rq, clock);
		if (now < ek_rq_clock(p))
			now = ek_rq_clock(p);
		wait = p->sched_info.run_delay + (now > queued ? now - queued : 0) - t->accounted;
		if ((__s64)wait > 0 && wait <= EK_ABSURD_NS) {
			o->open_wait_ns = wait;
			o->open_quota_ns = ek_throttled_since(t, p->se.cfs_rq, now, wait);
		}
	} else if (t->seen & SEEN_RUN) {
		run = p->se.sum_exec_runtime - t->exec;
		if ((__s64)run > 0 && run <= EK_ABSURD_NS)
			o->open_run_ns = run;
	}
	if (o->wait_ns == t->wait_ns && o->run_ns == t->run_ns)
		o->seen = 1;
	return 0;
}

/* For tests alone: the bucket of a latency, computed in the kernel. */

SEC("socket")
int ek_bucket_of(struct __sk_buff *skb)
{
	__u64 ns;

	if (bpf_skb_load_bytes(skb, 0, &ns, sizeof(ns)))
		return -1;
	return ek_bucket(ns);
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
