package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// uptime is CLOCK_BOOTTIME: it runs on while the host is suspended.
func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("CLOCK_BOOTTIME: %v", err)) // exists since Linux 2.6.39
	}
	return time.Duration(t.Nano())
}

// capacity is what VMs may use of this host: as configured, else what
// libvirt's slice allows and memory less a reserve for the host itself.
func capacity(cfg config.Config, proc procfs.Reader, log *slog.Logger) (procfs.CPUs, cluster.Bytes, error) {
	cpus, from := cfg.Host.CPUs, "host.cpus"
	if len(cpus) == 0 {
		var err error
		if cpus, from, err = proc.GuestCPUs(0); err != nil {
			return nil, 0, fmt.Errorf("CPUs for VMs: %w; set host.cpus", err)
		}
	}
	memory := cfg.Host.Memory
	if memory == 0 {
		m, err := proc.Memory()
		if err != nil {
			return nil, 0, fmt.Errorf("memory for VMs: %w; set host.memory", err)
		}
		total := cluster.Bytes(m.TotalBytes)
		memory = total - max(2*cluster.GiB, total/20)
		if memory <= 0 {
			return nil, 0, fmt.Errorf("memory for VMs: %v less the host's reserve of 2 GiB leaves nothing; set host.memory", total)
		}
	}
	log.Info("capacity for VMs", "cpus", cpus.String(), "from", from, "memory", memory)
	return cpus, memory, nil
}

// busy sums the time in which the CPUs ran anything at all.
func busy(proc procfs.Reader, cpus procfs.CPUs) func() (uint64, error) {
	return func() (uint64, error) {
		times, err := proc.CPUTimes()
		if err != nil {
			return 0, err
		}
		var sum uint64
		for _, t := range times {
			if cpus.Has(t.CPU) {
				sum += t.BusyNS()
			}
		}
		return sum, nil
	}
}

// own is the time that this process has run.
func own() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("the daemon's own CPU time: %w", err)
	}
	return uint64(t.Nano()), nil
}

// openMeter prefers the probe, as far as the ceiling on its cost allows;
// without it the kernel's sums remain.
func openMeter(proc procfs.Reader, cpus procfs.CPUs, open func() (*agent.ProbeMeter, error), log *slog.Logger) agent.Meter {
	schedstat := agent.NewSchedstatMeter(proc, uptime, time.Now)
	probe, err := open()
	if err != nil {
		log.Warn("no eBPF probe: waits come from schedstat, without their distribution", "err", err)
		return schedstat
	}
	return agent.NewSteppedMeter(probe, open, schedstat, agent.Ceiling(cluster.MilliCPU(1000*len(cpus))), log)
}

// openBlockMeter loads the block probe; without it libvirt's statistics remain.
func openBlockMeter(groups cgroup.Reader, log *slog.Logger) (m agent.BlockMeter, closer func() error) {
	blocks, err := agent.OpenProbeBlockMeter(func(pid int) uint64 {
		g, err := groups.Block(pid)
		if err != nil || !g.Own {
			return 0 // others' I/O would count as the VM's
		}
		return g.ID
	})
	if err != nil {
		log.Warn("no eBPF block probe: disks are measured by QEMU alone, means only", "err", err)
		return nil, func() error { return nil }
	}
	return blocks, blocks.Close
}

// processor is what the CPUs for VMs are, nil if the kernel does not say.
func processor(proc procfs.Reader, cpus procfs.CPUs, log *slog.Logger) *cluster.Processor {
	cores, err := proc.Cores(cpus)
	if err != nil || len(cpus) == 0 {
		log.Info("which CPUs share cores is not known", "err", err)
		return nil
	}
	p := &cluster.Processor{Cores: len(cores)}
	speed, err := proc.Speed(cpus[0])
	if err != nil {
		log.Info("the CPUs' speed is not known", "err", err)
		return p
	}
	p.Model = strings.ToValidUTF8(speed.Model[:min(len(speed.Model), 200)], "")
	p.MHz = int(cmp.Or(speed.BaseKHz, speed.MaxKHz, speed.CurrentKHz) / 1000)
	return p
}
