package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/evenkeel/evenkeel/bpf"
)

// threadsOf makes a process's first thread a vCPU and the others workers.
func threadsOf(pid int) ([]bpf.Thread, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	var out []bpf.Thread
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return nil, err
		}
		th := bpf.Thread{TID: tid, Start: 1, VCPU: -1, Role: bpf.RoleWorker}
		if tid == pid {
			th.VCPU = 0
		}
		out = append(out, th)
	}
	return out, nil
}

// waitProbe is our probe on the scheduler, with each process as a VM.
func waitProbe(name string, level bpf.Level, pids ...int) contender {
	return contender{name, func(context.Context) (running, error) {
		p, err := bpf.Open(bpf.Options{})
		if err != nil {
			return running{}, err
		}
		stop := func() { _ = p.Close() }
		if err := follow(p, level, pids); err != nil {
			stop()
			return running{}, err
		}
		return running{stop: stop, counted: func() (sum uint64, err error) {
			r, err := p.Read()
			for _, vm := range r.VMs {
				for _, c := range vm.Roles {
					sum += c.Waits
				}
			}
			return sum, err
		}}, nil
	}}
}

func follow(p *bpf.Probes, level bpf.Level, pids []int) error {
	for _, pid := range pids {
		threads, err := threadsOf(pid)
		if err != nil {
			return err
		}
		if err := p.Track(bpf.Target{VM: fmt.Sprint("vm", pid), PID: pid, Threads: threads}); err != nil {
			return err
		}
	}
	return p.SetLevel(level)
}

// blockProbe is our probe on the block layer. With a cgroup one hook is enough,
// else the submitter is noted at another.
func blockProbe(name string, pid int, cgroup uint64) contender {
	return contender{name, func(context.Context) (running, error) {
		b, err := bpf.OpenBlock(bpf.BlockOptions{})
		if err != nil {
			return running{}, err
		}
		stop := func() { _ = b.Close() }
		if err := b.Track(bpf.BlockTarget{VM: "vm", PID: pid, Cgroup: cgroup}); err != nil {
			stop()
			return running{}, err
		}
		return running{stop: stop, counted: func() (uint64, error) {
			r, err := b.Read()
			return r.VMs["vm"].Ops[bpf.Read].Requests, err
		}}, nil
	}}
}
