package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// loaded lists the ids of all programs in the kernel.
func loaded() (map[ebpf.ProgramID]bool, error) {
	ids := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return ids, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list programs: %w", err)
		}
		id = next
		ids[id] = true
	}
}

// used sums what the kernel counted of the programs that came since before.
func used(before map[ebpf.ProgramID]bool) (u usage, err error) {
	now, err := loaded()
	if err != nil {
		return usage{}, err
	}
	for id := range now {
		if before[id] {
			continue
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // a probe of the contender's that has gone
		}
		if err != nil {
			return usage{}, fmt.Errorf("open program %d: %w", id, err)
		}
		stats, err := p.Stats()
		p.Close()
		if err != nil {
			return usage{}, fmt.Errorf("program %d: %w", id, err)
		}
		u.runs += stats.RunCount
		u.ns += uint64(stats.Runtime)
	}
	return u, nil
}

// bareHook attaches a program that does nothing.
func bareHook(tracepoint string) (func(), error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ek_bench_empty", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "Dual BSD/GPL",
	})
	if err != nil {
		return nil, fmt.Errorf("empty program on %s: %w", tracepoint, err)
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err != nil {
		prog.Close()
		return nil, fmt.Errorf("attach to %s: %w", tracepoint, err)
	}
	return func() { l.Close(); prog.Close() }, nil
}
