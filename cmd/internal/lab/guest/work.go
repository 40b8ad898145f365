//go:build linux

package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

const (
	// period is over which a share of a vCPU is kept: 30 % is 30 ms busy,
	// 70 ms asleep. Wall time, so a starved guest gets less done, as a real
	// one would; it does not make up for it later.
	period = 100 * time.Millisecond
	// unitRounds is the size of a unit of work: about 25 µs of a real CPU,
	// about ten times that under TCG.
	unitRounds = 20_000
	pageBytes  = 4096
)

// workers keep the guest busy for as long as it lives.
type workers struct {
	schedule load.Schedule
	done     atomic.Uint64 // units of work finished
	sink     atomic.Uint64 // keeps the compiler from dropping the work
}

func (w *workers) start(vcpus int) {
	for range vcpus {
		go w.burn()
	}
	go w.dirty()
}

// burn keeps one thread busy to the schedule.
func (w *workers) burn() {
	behindHeartbeat()
	state := uint64(88172645463325252)
	for {
		begin := uptime()
		busy := period * time.Duration(w.schedule.At(begin).CPUPercent) / 100
		for uptime()-begin < busy {
			state = unit(state)
			w.done.Add(1)
		}
		w.sink.Store(state)
		if idle := period - busy; idle > 0 {
			time.Sleep(idle)
		}
	}
}

// unit is one unit of work: xorshift, which no compiler shortens.
func unit(x uint64) uint64 {
	for range unitRounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// dirty writes to one word per page, round and round over half of the memory
// that was free at boot, at the rate of the schedule.
func (w *workers) dirty() {
	behindHeartbeat()
	var memory []byte
	at, step := 0, 10*time.Millisecond
	for {
		rate := w.schedule.At(uptime()).DirtyMiBSec
		if rate > 0 && memory == nil {
			memory = make([]byte, halfOfFree())
		}
		pages := int(int64(rate) << 20 * int64(step) / int64(time.Second) / pageBytes)
		for range pages {
			memory[at]++
			at = (at + pageBytes) % len(memory)
		}
		time.Sleep(step)
	}
}

func halfOfFree() int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 20
	}
	return max(1<<20, int(info.Freeram*uint64(info.Unit)/2)&^(pageBytes-1))
}

// behindHeartbeat gives the caller a thread of its own with a lower weight, so
// that a busy guest still beats on time.
func behindHeartbeat() {
	runtime.LockOSThread()
	// Failing leaves the weight equal: the beat is later, not wrong.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
}
