/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The latency buckets, shared by every program: Prometheus' native histogram
 * schema 2, four buckets per power of two (2^(1/4) = 1.189 wide). Latencies are
 * first scaled by 2^30/10^9, so that a second is 2^30 units and the bounds of
 * the schema fall on whole powers of two. histogram.go has the same in Go, and
 * a test holds the two against each other in the kernel. */
#ifndef EVENKEEL_HISTOGRAM_H
#define EVENKEEL_HISTOGRAM_H

/* Bucket 0 holds up to 2^10 units (0.95 us), bucket k up to 2^(10+k/4) units,
 * the last one but padding, EK_BUCKETS - 1, all above 2^35 units (32 s). */
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define EK_FIRST_POWER 10
#define EK_LAST_POWER 35
#define EK_BUCKETS (4 * (EK_LAST_POWER - EK_FIRST_POWER) + 2)
/* The array is a power of two long, so that a mask satisfies every verifier. */
#define EK_BUCKET_CELLS 128

/* 2^63 times 2^(1/4), 2^(2/4), 2^(3/4). */
#define EK_QUARTER_1 0x9837f0518db8a96fULL
#define EK_QUARTER_2 0xb504f333f9de6484ULL
#define EK_QUARTER_3 0xd744fccad69d6af4ULL

static __always_inline __u32 ek_log2(__u64 x)
{
	__u32 e = 0;

	if (x >> 32) {
		e += 32;
		x >>= 32;
	}
	if (x >> 16) {
		e += 16;
		x >>= 16;
	}
	if (x >> 8) {
		e += 8;
		x >>= 8;
	}
	if (x >> 4) {
		e += 4;
		x >>= 4;
	}
	if (x >> 2) {
		e += 2;
		x >>= 2;
	}
	return e + (__u32)(x >> 1);
}

static __always_inline __u32 ek_bucket(__u64 ns)
{
	__u64 x, m;
	__u32 e, j;

	if (ns >> EK_LAST_POWER) /* 34.4 s; also keeps the product below 2^64 */
		return EK_BUCKETS - 1;
	/* ns * 2^30/10^9; 0.073741824 * 2^28 = 19794920.1, rounded down so that
	 * bounds stay inclusive */
	x = ns + ((ns * 19794920ULL) >> 28);
	if (x <= 1ULL << EK_FIRST_POWER)
		return 0;
	e = ek_log2(x);
	m = x << ((63 - e) & 63);
	j = 4 * (e - EK_FIRST_POWER);
	/* Upper bounds are inclusive: a power of two itself stays below. */
	j += (m > 1ULL << 63) + (m > EK_QUARTER_1) + (m > EK_QUARTER_2) + (m > EK_QUARTER_3);
	if (j >= EK_BUCKETS)
		j = EK_BUCKETS - 1;
	return j;
}

#endif
