/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Names for whoever runs on a CPU, in 32 bits: what kind it is, and which. */
#ifndef EVENKEEL_WHO_H
#define EVENKEEL_WHO_H

#include "thread.h"

#define EK_WHO_SHIFT 28
enum ek_who {
	EK_WHO_UNKNOWN, /* memory that nobody wrote */
	EK_WHO_IDLE,
	EK_WHO_KERNEL,
	EK_WHO_HOST, /* a user process of no tracked VM; its tgid, 0 for several */
	EK_WHO_VM,   /* the VM's index, and whether it was a vCPU */
};
#define EK_WHO_VCPU (1u << 16)

static __always_inline __u32 ek_who(__u32 kind, __u32 which)
{
	return kind << EK_WHO_SHIFT | which;
}

static __always_inline __u32 ek_who_kind(__u32 who)
{
	return who >> EK_WHO_SHIFT;
}

static __always_inline __u32 ek_who_tgid(__u32 who)
{
	return who & ((1u << EK_WHO_SHIFT) - 1);
}

static __always_inline __u32 ek_who_vm(__u32 who)
{
	return who & 0xffff;
}

/* What a victim's wait behind somebody is put down to. */
static __always_inline __u32 ek_cause(__u32 victim, __u32 who)
{
	switch (ek_who_kind(who)) {
	case EK_WHO_IDLE:
		return EK_IDLE;
	case EK_WHO_KERNEL:
		return EK_KERNEL;
	case EK_WHO_HOST:
		return EK_HOST;
	case EK_WHO_VM:
		if (ek_who_vm(victim) != ek_who_vm(who))
			return EK_OTHER_VM;
		return who & EK_WHO_VCPU ? EK_OWN_VCPU : EK_OWN_OTHER;
	}
	return EK_UNATTRIBUTED;
}

#endif
