//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// QEMU's emulator marks a page as changed when an entry of its TLB is filled or
// written first. A page whose entry stays is written on unseen once a migration
// has copied it: the kernel's timers above all, whose guest then panics at the
// target. KVM has no such gap. So a guest empties the TLB this often; global
// pages, which outlive that, are off by clearcpuid on the command line.
const tlbInterval = 10 * time.Millisecond

// A change of protection of more pages than the kernel invalidates one by one
// (33, tlb_single_page_flush_ceiling) reloads CR3.
const tlbPages = 64

// emptyTLB does so until it fails.
func emptyTLB() error {
	size := os.Getpagesize()
	region, err := unix.Mmap(-1, 0, tlbPages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("memory for the TLB: %w", err)
	}
	for i := 0; i < len(region); i += size {
		region[i] = 1
	}
	for protection := unix.PROT_READ; ; protection ^= unix.PROT_WRITE {
		if err := unix.Mprotect(region, protection); err != nil {
			return fmt.Errorf("memory for the TLB: %w", err)
		}
		time.Sleep(tlbInterval)
	}
}
