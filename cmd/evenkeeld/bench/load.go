package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// trial is a fleet under which the voters are measured.
type trial struct {
	name       string
	hosts, vms int
	naive      bool
	measured   time.Duration
}

// result is what a trial came to, of the leader unless it says otherwise.
type result struct {
	trial
	perSecond        float64       // snapshots committed
	age50, age99     time.Duration // of a snapshot when the leader applied it: a tick, and the commit
	claim50, claim99 time.Duration // from order to claim
	claims           int
	leaderCPU        float64 // cores
	followerCPU      float64
	peak             int64   // bytes, the largest of the voters
	payload          float64 // bytes a day
	written          float64 // bytes a day and voter, at the block device
	state            stateCost
	snapshots        int // of Raft's, within the trial
	rejected         uint64
}

// trials are those with so many hosts, all of them if none are named.
func trials(quick bool, hosts string, last time.Duration) ([]trial, error) {
	measured := func(d time.Duration) time.Duration {
		if quick {
			d = 15 * time.Second
		}
		return cmp.Or(last, d)
	}
	all := []trial{
		{"10 hosts of 30 VMs", 10, 30, false, measured(60 * time.Second)},
		{"100 hosts of 20 VMs", 100, 20, false, measured(60 * time.Second)},
		{"1000 hosts of 20 VMs", 1000, 20, false, measured(4 * time.Minute)},
		{"naive, 100 hosts of 20 VMs", 100, 20, true, measured(30 * time.Second)},
		{"naive, 1000 hosts of 20 VMs", 1000, 20, true, measured(45 * time.Second)},
	}
	if hosts == "" {
		return all, nil
	}
	var some []trial
	for text := range strings.SplitSeq(hosts, ",") {
		i := slices.IndexFunc(all, func(t trial) bool { return strconv.Itoa(t.hosts) == text && !t.naive })
		if i < 0 {
			return nil, fmt.Errorf("-hosts is %q, must be of 10, 100 and 1000", hosts)
		}
		some = append(some, all[i])
	}
	return some, nil
}

func measureLoad(ctx context.Context, dir string, trials []trial, profiles string, aims *aims) error {
	var results []result
	for i, t := range trials {
		fmt.Fprintf(os.Stderr, "%s: %v ...\n", t.name, t.measured)
		r, err := t.run(ctx, filepath.Join(dir, fmt.Sprint("load", i)), profiles)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		results = append(results, r)
	}
	printLoad(results)
	judgeLoad(results, aims)
	return nil
}

func (t trial) run(ctx context.Context, dir, profiles string) (r result, err error) {
	s, err := newSite(dir, func(i int, job *voterJob) {
		if profiles != "" {
			job.Profile = filepath.Join(profiles, fmt.Sprintf("%d-hosts-voter%d.pprof", t.hosts, i))
		}
		if t.naive {
			job.Naive, job.VMs = t.hosts, t.vms
		}
	})
	if err != nil {
		return r, err
	}
	if err := s.start(); err != nil {
		return r, err
	}
	defer func() {
		if e := s.stop(); err == nil {
			err = e
		}
	}()
	leader, _, err := s.leader(ctx, time.Time{}, nil)
	if err != nil {
		return r, err
	}
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !t.naive {
		if err := startFleet(ctx, s, t.hosts, t.vms, &work); err != nil {
			return r, err
		}
	}
	if err := settle(ctx, leader, t.hosts); err != nil {
		return r, err
	}
	began := time.Now()
	select {
	case <-time.After(t.measured):
	case <-ctx.Done():
		return r, ctx.Err()
	}
	if r, err = t.sum(s, leader, began); err != nil || t.naive {
		return r, err
	}
	return r, r.order(ctx, leader, min(t.measured, 30*time.Second))
}

// order measures from order to claim, after all else: a move a second is more
// than a fleet should see.
func (r *result) order(ctx context.Context, leader *process, d time.Duration) error {
	began := time.Now()
	if _, err := fmt.Fprintln(leader.stdin, "orders"); err != nil {
		return err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	var claims []time.Duration
	for _, rep := range leader.since(began) {
		claims = append(claims, rep.Claims...)
	}
	r.claim50, r.claim99, r.claims = quantile(claims, 0.5), quantile(claims, 0.99), len(claims)
	return nil
}

// settle waits until every host has been heard of, and a beat longer.
func settle(ctx context.Context, leader *process, hosts int) error {
	limit := time.After(2 * time.Minute)
	for {
		r, next := leader.last()
		if r.Accepted >= uint64(hosts) {
			break
		}
		select {
		case <-next:
		case <-limit:
			return fmt.Errorf("%d snapshots of %d hosts within two minutes, %d refused", r.Accepted, hosts, r.Rejected)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-time.After(beatEvery + 2*time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sum compares the voters' first report after a moment with their last.
func (t trial) sum(s *site, leader *process, began time.Time) (result, error) {
	r := result{trial: t}
	var followers float64
	for _, p := range s.members {
		reports := p.since(began)
		if len(reports) < 2 {
			return r, fmt.Errorf("a voter was silent for %v", t.measured)
		}
		first, last := reports[0], reports[len(reports)-1]
		took := last.At.Sub(first.At).Seconds()
		cpu := (last.Usage.CPU - first.Usage.CPU).Seconds() / took
		r.peak = max(r.peak, last.Usage.Peak)
		r.written += float64(last.Usage.Written-first.Usage.Written) / took * day / voters
		if p != leader {
			followers += cpu / (voters - 1)
			continue
		}
		if !last.Leads {
			return r, fmt.Errorf("the leader changed: the machine is too busy to measure")
		}
		r.leaderCPU = cpu
		r.perSecond = float64(last.Accepted-first.Accepted) / took
		r.payload = float64(last.Payload-first.Payload) / took * day
		r.rejected = last.Rejected - first.Rejected
		if last.Taken > first.Taken {
			r.snapshots = 1
		}
		var ages []time.Duration
		for _, rep := range reports {
			ages = append(ages, rep.Ages...)
		}
		r.age50, r.age99 = quantile(ages, 0.5), quantile(ages, 0.99)
	}
	r.followerCPU = followers
	return r, r.costState(leader)
}

const day = 86400

// costState asks the leader what its State costs to write down and read.
func (r *result) costState(leader *process) error {
	asked := time.Now()
	if _, err := fmt.Fprintln(leader.stdin, "state"); err != nil {
		return err
	}
	for time.Since(asked) < time.Minute {
		for _, rep := range leader.since(asked) {
			if rep.State.Bytes > 0 {
				r.state = rep.State
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the leader did not write its State within a minute")
}

func printLoad(results []result) {
	var rows, sizes [][]string
	for _, r := range results {
		rows = append(rows, []string{
			r.name, fmt.Sprintf("%.0f", r.perSecond), fmt.Sprint(r.rejected), millis(r.age50), millis(r.age99),
			fmt.Sprintf("%s / %s (%d)", millis(r.claim50), millis(r.claim99), r.claims),
			fmt.Sprintf("%.3f", r.leaderCPU), fmt.Sprintf("%.3f", r.followerCPU), size(float64(r.peak)),
		})
		sizes = append(sizes, []string{
			r.name, size(r.payload), size(r.written), fmt.Sprint(r.snapshots > 0),
			size(float64(r.state.Bytes)), millis(r.state.Encode), millis(r.state.Decode),
		})
	}
	table("Load: snapshots committed a second, refused, their age when committed (quiet ones wait up to 3 s for company), order to claim, cores, memory",
		[]string{"fleet", "snapshots/s", "refused", "p50", "p99", "claim p50 / p99 (n)", "leader", "follower", "peak"}, rows)
	table("Disk: bytes a day and voter; the State as Raft's snapshots hold it",
		[]string{"fleet", "payload", "written", "Raft snapshot within", "State", "encode", "decode"}, sizes)
	ours, naive := of(results, 1000, false), of(results, 1000, true)
	if ours == nil || naive == nil {
		return
	}
	fmt.Printf("\nAgainst the naive shape at 1000 hosts: %.1f times less CPU of the leader, %.1f times less payload, %.1f times less written, %.2f of its age at p99.\n",
		naive.leaderCPU/ours.leaderCPU, naive.payload/ours.payload, naive.written/ours.written, float64(ours.age99)/float64(naive.age99))
}

// of is the result of a fleet, nil if it was not measured.
func of(results []result, hosts int, naive bool) *result {
	for i, r := range results {
		if r.hosts == hosts && r.naive == naive {
			return &results[i]
		}
	}
	return nil
}

func judgeLoad(results []result, aims *aims) {
	if ten := of(results, 10, false); ten != nil {
		aims.add("10 hosts, 300 VMs: <= 1 GB a day", size(ten.written), ten.written <= 1e9, "an entry costs bbolt some 16 KiB whatever it holds, an idle disk is probed")
		aims.add("10 hosts, 300 VMs: < 0.01 core", fmt.Sprintf("%.4f", ten.leaderCPU), ten.leaderCPU < 0.01, "heartbeats over TLS, and a view a second for each agent")
		aims.add("10 hosts, 300 VMs: < 100 MB", size(float64(ten.peak)), ten.peak < 100e6, "the State, and a second one while it is written")
	}
	thousand := of(results, 1000, false)
	if thousand == nil {
		return
	}
	aims.add("1000 hosts: leader < 0.1 core", fmt.Sprintf("%.3f", thousand.leaderCPU), thousand.leaderCPU < 0.1, "a view a second for each agent, over TLS")
	aims.add("1000 hosts: <= 30 GB a day and voter", size(thousand.written), thousand.written <= 30e9, "an entry costs bbolt some 16 KiB whatever it holds")
	aims.add("order to claim p99 < 100 ms at 1000 hosts", millis(thousand.claim99), thousand.claims > 0 && thousand.claim99 < 100*time.Millisecond, "an order waits for the entry of snapshots that is under way")
}
