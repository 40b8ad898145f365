/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How long a group's run queue has been throttled, its parents' throttling
 * included, on kernels that count it per run queue (6.6 and newer); the open
 * period counts as far as it has come. 0 on others. */
#ifndef EVENKEEL_QUOTA_H
#define EVENKEEL_QUOTA_H

static __always_inline bool ek_has_quota(void)
{
	return bpf_core_field_exists(((struct cfs_rq *)0)->throttled_clock_self_time);
}

static __always_inline __u64 ek_throttled(struct cfs_rq *q, __u64 now)
{
	__u64 since;

	if (!ek_has_quota())
		return 0;
	since = q->throttled_clock_self;
	return q->throttled_clock_self_time + (since && now > since ? now - since : 0);
}

/* A thread comes to the CPU: the throttling of its group's run queue since it
 * left, periods that have ended. One that is open goes on for others of the
 * group; whom it holds does not come. A run queue that was never throttled, as
 * on most hosts, is not looked at again when the thread leaves. */
static __always_inline __u64 ek_throttled_in(struct ek_thread *t, struct cfs_rq *q)
{
	__u64 sum, grown;

	if (!ek_has_quota())
		return 0;
	sum = q->throttled_clock_self_time;
	grown = t->group == (__u64)q && sum > t->throttled ? sum - t->throttled : 0;
	t->group = (__u64)q;
	t->throttled = sum;
	t->quota = sum > 0;
	return grown;
}

/* It leaves. */
static __always_inline void ek_throttled_out(struct ek_thread *t, struct cfs_rq *q, __u64 now)
{
	if (!ek_has_quota() || likely(!t->quota))
		return;
	t->group = (__u64)q;
	t->throttled = ek_throttled(q, now);
}

/* Throttling since a thread left its group's run queue, at most limit. On
 * another run queue than that it is not known when the throttling began. */
static __always_inline __u64 ek_throttled_since(struct ek_thread *t, struct cfs_rq *q, __u64 now,
						__u64 limit)
{
	__u64 grown;

	if (!ek_has_quota() || t->group != (__u64)q)
		return 0;
	grown = ek_throttled(q, now) - t->throttled;
	if ((__s64)grown < 0)
		return 0;
	return grown < limit ? grown : limit;
}

#endif
