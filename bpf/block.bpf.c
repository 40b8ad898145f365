//go:build ignore

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Block I/O of tracked VMs, taken when a request completes: the request itself
 * knows when it was begun and when it went to the device, and its bio the
 * cgroup that it is charged to. See block.go for what is counted. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "block.h"

#define EK_BLOCK_ABSURD_NS (24ULL * 3600 * 1000000000ULL)
#define EK_BLOCK_TIMED_ONE_IN 1024
#define EK_BLOCK_SLACK_NS (100 * 1000000ULL)
#define LOOP_MAJOR 7

const volatile __u32 mapper_major = 0;	/* the device mapper's, 0 if there is none */
const volatile bool flights_by_bio = 0; /* no block_io_start: flights are keyed by bio */
const volatile bool stamped = 1;	/* 0 in tests: as if no request had its issue's stamp */
volatile __u32 flights_noted = 0;	/* a program that notes flights is attached */

/* Sizes are set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ek_block_vm);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ek_block_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EK_BLOCK_LOST_CELLS);
	__type(key, enum ek_block_lost);
	__type(value, __u64);
} lost SEC(".maps");

/* Slots by cgroup id, for VMs told by their cgroup. */
struct {
	__uint(type, EK_MAP_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} cgroups SEC(".maps");

/* Where to look first: the slot of the last VM whose cgroup has a serial number
 * with these low bits. The record tells whether it is this one's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EK_BLOCK_SERIALS);
	__type(key, __u32);
	__type(value, __u32);
} serials SEC(".maps");

/* Owners by process id, for VMs told by who submitted. */
struct {
	__uint(type, EK_MAP_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ek_block_owner);
} owners SEC(".maps");

/* Requests under way, by request or bio. The oldest make room, so that what
 * never completes does not stay. */
struct {
	__uint(type, EK_MAP_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct ek_block_flight);
} flights SEC(".maps");

static __always_inline void drop(__u32 why)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &why);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline struct ek_block_cost *cost_of(__u32 prog)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct ek_block_cpu *c = bpf_map_lookup_elem(&cpus, &cpu);

	return c ? &c->cost[prog & (EK_BLOCK_PROGS - 1)] : 0;
}

/* Runs a program's body, one time in EK_BLOCK_TIMED_ONE_IN between two looks at
 * the clock; net of what a look takes. */
#define METERED(cost, body)                                                                        \
	do {                                                                                       \
		__u64 before = 0, began = 0;                                                       \
		__s64 took;                                                                        \
                                                                                                   \
		if (!(cost))                                                                       \
			return 0;                                                                  \
		if (!(++(cost)->runs & (EK_BLOCK_TIMED_ONE_IN - 1))) {                             \
			before = bpf_ktime_get_ns();                                               \
			began = bpf_ktime_get_ns();                                                \
		}                                                                                  \
		body;                                                                              \
		if (before) {                                                                      \
			took = bpf_ktime_get_ns() - began - (began - before);                      \
			(cost)->timed++;                                                           \
			(cost)->timed_ns += took > 0 ? took : 0;                                   \
		}                                                                                  \
	} while (0)

static __always_inline __u32 major_of(struct request *rq)
{
	struct request___before_5_17 *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return old->rq_disk->major;
	return rq->q->disk->major;
}

static __always_inline __u32 flush_seq(void)
{
	if (bpf_core_enum_value_exists(enum rqf_flags___since_6_11, __RQF_FLUSH_SEQ___since_6_11))
		return 1U << bpf_core_enum_value(enum rqf_flags___since_6_11,
						 __RQF_FLUSH_SEQ___since_6_11);
	return 1U << 4;
}

static __always_inline struct ek_block_vm *record_in(__u32 slot)
{
	return slot ? bpf_map_lookup_elem(&records, &slot) : 0;
}

/* The slot of the VM that has a cgroup, 0 if none has; the next request finds it
 * by the cgroup's serial number. */
__noinline __u32 slot_by_id(__u64 id, __u64 serial)
{
	__u32 *slot = bpf_map_lookup_elem(&cgroups, &id), *at, s,
	      low = serial & (EK_BLOCK_SERIALS - 1);
	struct ek_block_vm *vm;

	if (!slot)
		return 0;
	s = *slot;
	vm = record_in(s);
	at = bpf_map_lookup_elem(&serials, &low);
	if (!vm || !at || !serial || vm->serial)
		return s;
	*at = s;
	/* User space takes the id out first and the number then; what came between
	 * is undone. An atomic add, so that the look comes after it. */
	__sync_fetch_and_add(&vm->serial, serial);
	slot = bpf_map_lookup_elem(&cgroups, &id);
	if (!slot || *slot != s)
		vm->serial = 0;
	return s;
}

/* The record of the VM whose cgroup the request is charged to, 0 if none. */
static __always_inline struct ek_block_vm *record_by_cgroup(struct bio *bio, __u32 *slot)
{
	struct ek_block_vm *vm;
	struct blkcg *group;
	__u64 serial = 0;
	__u32 low, *at;

	if (!bpf_core_field_exists(bio->bi_blkg))
		return 0;
	group = bio->bi_blkg->blkcg;
	if (bpf_core_field_exists(group->css.serial_nr)) {
		serial = group->css.serial_nr;
		low = serial & (EK_BLOCK_SERIALS - 1);
		at = bpf_map_lookup_elem(&serials, &low);
		*slot = at ? *at : 0;
		vm = record_in(*slot);
		if (vm && vm->serial == serial)
			return vm;
	}
	*slot = slot_by_id(group->css.cgroup->kn->id, serial);
	return record_in(*slot);
}

/* What was noted of this request; an older note means an earlier one in the same
 * memory. Since 6.10 the request's time is taken a moment after block_io_start;
 * the submitter may lose its CPU in between. */
static __always_inline struct ek_block_flight *flight_of(struct request *rq, __u64 *key)
{
	struct ek_block_flight *f;

	*key = flights_by_bio ? (__u64)rq->bio : (__u64)rq;
	f = bpf_map_lookup_elem(&flights, key);
	if (!f && flights_by_bio) { /* a bio was merged in front of the first one */
		*key = (__u64)rq->biotail;
		f = bpf_map_lookup_elem(&flights, key);
	}
	return f && f->at + EK_BLOCK_SLACK_NS >= rq->start_time_ns ? f : 0;
}

static __always_inline void count_bucket(__u64 *cells, __u64 ns)
{
	__u32 bucket = ek_bucket(ns) & (EK_BUCKET_CELLS - 1);

	/* The 6.1 verifier forgets the bound otherwise. */
	asm volatile("" : "+r"(bucket));
	__sync_fetch_and_add(&cells[bucket & (EK_BUCKET_CELLS - 1)], 1);
}

static __always_inline void count_times(struct request *rq, struct ek_block_vm *vm, __u32 group,
					__u64 noted)
{
	__u64 now = bpf_ktime_get_ns(), start = rq->start_time_ns,
	      issued = stamped ? rq->io_start_time_ns : 0;
	struct ek_block_sums *sums = &vm->sums[group & (EK_BLOCK_OPS - 1)];
	struct ek_block_latency *latency = &vm->latency[group & (EK_BLOCK_OPS - 1)];

	if (!issued)
		issued = noted;
	if (!start)
		start = issued;
	if (!start)
		return drop(EK_BLOCK_UNTIMED);
	if (start < vm->since)
		return drop(EK_BLOCK_EARLY);
	if (start > now || issued > now)
		return drop(EK_BLOCK_FUTURE);
	if (now - start > EK_BLOCK_ABSURD_NS)
		return drop(EK_BLOCK_ABSURD);
	if (!issued && group != EK_BLOCK_FLUSH)
		drop(EK_BLOCK_UNSPLIT);
	/* Both stamps may come from a task's cached clock, of different tasks. */
	if (issued < start)
		issued = start;
	__sync_fetch_and_add(&sums->queue_ns, issued - start);
	__sync_fetch_and_add(&sums->device_ns, now - issued);
	count_bucket(latency->queue, issued - start);
	count_bucket(latency->device, now - issued);
}

/* A request that is flushed before or after its data completes twice: with its
 * data while the flush machinery has it, and then, empty, when all is done. */
static __always_inline void count(struct request *rq, struct bio *bio, struct ek_block_vm *vm,
				  int error, __u32 bytes, bool last, __u64 noted)
{
	__u32 op = rq->cmd_flags & EK_REQ_OP_MASK, group = op & 1;
	struct ek_block_sums *sums;

	if (op == EK_REQ_OP_DISCARD)
		group = EK_BLOCK_DISCARD;
	else if (op == EK_REQ_OP_WRITE && last && !bytes && !bio->bi_io_vec)
		group = EK_BLOCK_FLUSH;
	sums = &vm->sums[group & (EK_BLOCK_OPS - 1)];
	if (bytes)
		__sync_fetch_and_add(&sums->bytes, bytes);
	if (error)
		__sync_fetch_and_add(&sums->errors, 1);
	if (!last)
		return;
	__sync_fetch_and_add(&sums->requests, 1);
	count_times(rq, vm, group, noted);
}

static __always_inline void completed(struct request *rq, int error, __u32 nr_bytes,
				      struct ek_block_cost *c)
{
	struct ek_block_flight *f = 0;
	struct bio *bio = rq->bio;
	struct ek_block_vm *vm;
	__u32 left = rq->__data_len, slot, major;
	__u64 key, noted = 0;
	bool last;

	/* The flush machinery's own request has no bio. */
	if (!bio || (rq->cmd_flags & EK_REQ_OP_MASK) >= EK_REQ_OP_PASSTHROUGH)
		return;
	last = nr_bytes >= left && !(rq->rq_flags & flush_seq());
	if (flights_noted)
		f = flight_of(rq, &key);
	if (f) {
		slot = f->slot;
		vm = record_in(slot);
		if (vm && vm->epoch != f->epoch)
			vm = 0;
		noted = f->issued;
		if (last)
			bpf_map_delete_elem(&flights, &key);
	} else {
		vm = record_by_cgroup(bio, &slot);
		/* What a loop device does for this request is charged to the same
		 * cgroup: count one of the two. User space goes over to telling
		 * this VM's requests by who submitted them. */
		if (vm && major_of(rq) == LOOP_MAJOR) {
			vm->stacked = 1;
			vm = 0;
		}
	}
	/* Requests of the device mapper are those of its paths, once more. */
	major = mapper_major;
	if (vm && major && major_of(rq) == major)
		vm = 0;
	if (!vm) {
		if (last)
			c->others++;
		return;
	}
	count(rq, bio, vm, error, nr_bytes < left ? nr_bytes : left, last, noted);
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(ek_block_complete, struct request *rq, int error, unsigned int nr_bytes)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_COMPLETE);

	METERED(c, completed(rq, error, nr_bytes, c));
	return 0;
}

/* The submitter's context, where current is the process that wants the I/O. */
static __always_inline void submitted(__u64 key)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct ek_block_owner *o = bpf_map_lookup_elem(&owners, &tgid);
	struct ek_block_flight f = {};

	if (!o)
		return;
	f.at = bpf_ktime_get_ns();
	f.slot = o->slot;
	f.epoch = o->epoch;
	if (bpf_map_update_elem(&flights, &key, &f, 0))
		drop(EK_BLOCK_FULL);
}

SEC("tp_btf/block_io_start")
int BPF_PROG(ek_block_io_start, struct request *rq)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_SUBMIT);

	METERED(c, submitted((__u64)rq));
	return 0;
}

SEC("tp_btf/block_getrq")
int BPF_PROG(ek_block_getrq, struct bio *bio)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_SUBMIT);

	METERED(c, submitted((__u64)bio));
	return 0;
}

SEC("tp_btf/block_getrq")
int BPF_PROG(ek_block_getrq_queue, struct request_queue *q, struct bio *bio)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_SUBMIT);

	METERED(c, submitted((__u64)bio));
	return 0;
}

/* Attached only where the kernel was seen to leave io_start_time_ns empty. */
static __always_inline void issued(struct request *rq)
{
	struct ek_block_flight *f, n = {};
	struct bio *bio = rq->bio;
	struct ek_block_vm *vm;
	__u64 key;

	if (!bio)
		return;
	f = flight_of(rq, &key);
	if (f) {
		f->issued = bpf_ktime_get_ns();
		return;
	}
	vm = record_by_cgroup(bio, &n.slot);
	if (!vm || major_of(rq) == LOOP_MAJOR)
		return;
	key = flights_by_bio ? (__u64)bio : (__u64)rq;
	n.epoch = vm->epoch;
	n.at = n.issued = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&flights, &key, &n, 0))
		drop(EK_BLOCK_FULL);
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(ek_block_issue, struct request *rq)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_ISSUE);

	METERED(c, issued(rq));
	return 0;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(ek_block_issue_queue, struct request_queue *q, struct request *rq)
{
	struct ek_block_cost *c = cost_of(EK_BLOCK_ISSUE);

	METERED(c, issued(rq));
	return 0;
}

char LICENSE[] SEC("license")
= "Dual BSD/GPL";
