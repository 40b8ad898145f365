package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The scores to beat at 200 hosts with 4,000 VMs: a greedy with hbal's rule
// takes 14 s for the first, one with swaps 35 s for the second.
const (
	greedyScore = 0.2224
	swapScore   = 0.0999
)

// hbal balances clusters of the generator under Ganeti's score, judged by the
// judge that comes with it.
func hbal(b *bench) error {
	if err := b.besideHbal(); err != nil {
		return err
	}
	for _, run := range []struct {
		nodes, vms int
		seconds    float64
		below      float64
		aim        string
	}{
		{200, 4000, 1, greedyScore, "<= 0.2224"},
		{200, 4000, 5, swapScore, "< 0.0999"},
		{1000, 20000, 5, math.Inf(1), "planned <= 5 s"},
	} {
		cluster, err := b.cluster(run.nodes, run.vms)
		if err != nil {
			return err
		}
		// Starting, writing and the last epoch belong to the time, too.
		after, d, err := b.balance(cluster, b.seconds(0.9*run.seconds), -1)
		if err != nil {
			return err
		}
		ok := after.broken == 0 && after.score <= run.below && d.wall <= b.seconds(run.seconds)
		b.add(aim{
			what: fmt.Sprintf("hbal %dx%d, %v on one core: score", run.nodes, run.vms, b.seconds(run.seconds)), aim: run.aim,
			measured: fmt.Sprintf("%.4f in %.2f s", after.score, d.wall.Seconds()), met: met(ok),
			beside: fmt.Sprintf("from %.4f, %d moves, %.1f s of CPU", after.before, after.moves, d.cpu.Seconds()),
		})
	}
	return nil
}

// judged is what the judge says of a plan.
type judged struct {
	before, score float64
	moves, broken int
}

// cluster has the generator write one, and returns its files' stem.
func (b *bench) cluster(nodes, vms int) (string, error) {
	stem := filepath.Join(b.dir, fmt.Sprintf("%dx%d", nodes, vms))
	if _, err := os.Stat(stem + ".json"); err == nil {
		return stem, nil
	}
	_, err := b.command("python3", filepath.Join(b.data, "hbal", "gen.py"), fmt.Sprint(nodes), fmt.Sprint(vms), stem)
	return stem, err
}

// balance plans with ours for so long, with at most so many moves or any
// number below 0, and has the plan judged.
func (b *bench) balance(cluster string, limit time.Duration, moves int) (judged, done, error) {
	plan := cluster + ".plan"
	d, err := b.ours("hbal", "-data", cluster+".data", "-util", cluster+".util", "-time", limit.String(), "-moves", fmt.Sprint(moves), "-workers", "1", "-out", plan)
	if err != nil {
		return judged{}, done{}, err
	}
	j, err := b.judge(cluster, plan)
	return j, d, err
}

func (b *bench) judge(cluster, plan string) (judged, error) {
	d, err := b.command("python3", filepath.Join(b.data, "hbal", "score.py"), cluster+".json", plan)
	if err != nil {
		return judged{}, err
	}
	var j judged
	if _, err := fmt.Sscan(d.out, &j.before, &j.score, &j.moves, &j.broken); err != nil {
		return judged{}, fmt.Errorf("%q: %w", d.out, err)
	}
	return j, nil
}

// besideHbal runs Ganeti's own where it is installed, on a cluster that it can
// balance in seconds, and ours for half a second with as many moves.
func (b *bench) besideHbal() error {
	cluster, err := b.cluster(20, 400)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("hbal"); err != nil {
		b.add(aim{what: "hbal 20x400, as many moves: score", aim: "below hbal's", measured: "not measured", met: shown, beside: "hbal is not installed (Debian: ganeti-htools)"})
		return nil
	}
	peer, theirs, err := b.peer(cluster)
	if err != nil {
		return err
	}
	after, d, err := b.balance(cluster, b.seconds(0.5), peer.moves)
	if err != nil {
		return err
	}
	b.add(aim{
		what: "hbal 20x400, as many moves: score", aim: fmt.Sprintf("< %.4f", peer.score),
		measured: fmt.Sprintf("%.4f in %.2f s", after.score, d.wall.Seconds()), met: met(after.score < peer.score && after.broken == 0 && after.moves <= peer.moves),
		beside: fmt.Sprintf("%d moves; hbal %d in %.1f s of CPU", after.moves, peer.moves, theirs.cpu.Seconds()),
	})
	return nil
}

// peer has Ganeti's hbal balance a cluster, and its plan judged like ours.
func (b *bench) peer(cluster string) (judged, done, error) {
	d, err := b.command("hbal", "-t", cluster+".data", "-U", cluster+".util", "-S", cluster)
	if err != nil {
		return judged{}, done{}, err
	}
	text, err := os.ReadFile(cluster + ".balanced")
	if err != nil {
		return judged{}, done{}, err
	}
	var plan strings.Builder
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, "|"); len(f) > 8 && strings.HasPrefix(f[0], "vm") {
			fmt.Fprintln(&plan, f[0], f[6])
		}
	}
	file := cluster + ".peer"
	if err := os.WriteFile(file, []byte(plan.String()), 0o600); err != nil {
		return judged{}, done{}, err
	}
	j, err := b.judge(cluster, file)
	return j, d, err
}
