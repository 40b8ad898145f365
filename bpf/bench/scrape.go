package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
)

// threadsPerVM are two vCPUs, the main thread and a worker.
const threadsPerVM = 4

// crowd is a process's life with as many threads as it is told; they sleep.
func crowd(orders io.Reader, answers io.Writer) error {
	lines := bufio.NewScanner(orders)
	if !lines.Scan() {
		return lines.Err()
	}
	var n int
	if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
		return err
	}
	ids := make(chan int)
	for range n {
		go func() {
			runtime.LockOSThread()
			ids <- unix.Gettid()
			_ = unix.Pause()
		}()
	}
	for range n {
		if _, err := fmt.Fprintln(answers, <-ids); err != nil {
			return err
		}
	}
	lines.Scan() // until the other end closes
	return lines.Err()
}

// sleepers are threads that exist and do nothing.
type sleepers struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	tids   []int
}

func startSleepers(n int) (*sleepers, error) {
	s := &sleepers{cmd: child("crowd", -1)}
	var err error
	if s.orders, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(s.orders, n); err != nil {
		s.stop()
		return nil, err
	}
	for r := bufio.NewReader(out); len(s.tids) < n; {
		var tid int
		if _, err := fmt.Fscan(r, &tid); err != nil {
			s.stop()
			return nil, fmt.Errorf("threads that sleep: %w", err)
		}
		s.tids = append(s.tids, tid)
	}
	return s, nil
}

func (s *sleepers) stop() {
	_ = s.orders.Close()
	_ = s.cmd.Wait()
}

// scrapes times Probes.Read over so many VMs.
func scrapes(out io.Writer, sizes []int, times int) error {
	fmt.Fprintf(out, "\nscrape: Probes.Read, %d threads a VM, two of them vCPUs\n", threadsPerVM)
	for _, vms := range sizes {
		us, err := scrape(vms, times)
		if err != nil {
			return fmt.Errorf("scrape of %d VMs: %w", vms, err)
		}
		low, high := quartiles(us)
		fmt.Fprintf(out, "%5d VMs  %8.0f us  (%.0f-%.0f)  %6.2f us a VM\n", vms, median(us), low, high, median(us)/float64(vms))
	}
	return nil
}

func scrape(vms, times int) (us []float64, err error) {
	s, err := startSleepers(vms * threadsPerVM)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	p, err := bpf.Open(bpf.Options{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	for vm := range vms {
		t := bpf.Target{VM: fmt.Sprint("vm", vm), PID: s.cmd.Process.Pid}
		for i, tid := range s.tids[vm*threadsPerVM : (vm+1)*threadsPerVM] {
			th := bpf.Thread{TID: tid, Start: 1, VCPU: -1, Role: bpf.RoleWorker}
			if i < 2 {
				th.VCPU = i
			}
			t.Threads = append(t.Threads, th)
		}
		if err := p.Track(t); err != nil {
			return nil, err
		}
	}
	for range times {
		began := time.Now()
		if _, err := p.Read(); err != nil {
			return nil, err
		}
		us = append(us, float64(time.Since(began).Nanoseconds())/1e3)
	}
	return us, nil
}
