package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// winners are what the winner of the challenge, team S41, reached in 60 s on
// two cores like these.
var winners = []struct {
	instance string
	cost     int64
}{
	{"a1_2", 778_809_752}, {"a2_2", 762_962_585}, {"a2_5", 328_747_349}, {"b_1", 3_412_290_566}, {"b_3", 177_311_290},
}

// gmrp solves instances of the machine reassignment.
func gmrp(b *bench) error {
	for _, w := range winners {
		cost, err := b.reassign(w.instance, b.seconds(60))
		if err != nil {
			return err
		}
		b.add(aim{
			what: fmt.Sprintf("reassignment %s, %v on two cores: cost", w.instance, b.seconds(60)), aim: fmt.Sprintf("< %d", w.cost),
			measured: fmt.Sprint(cost), met: met(cost < w.cost), beside: fmt.Sprintf("%+.2f %% against S41", 100*(float64(cost)/float64(w.cost)-1)),
		})
	}
	if b.long {
		return b.everyInstance()
	}
	return nil
}

// everyInstance gives each instance the challenge's 300 s.
func (b *bench) everyInstance() error {
	rows, err := readCSV(filepath.Join(b.data, "gmrp", "results.csv"))
	if err != nil {
		return err
	}
	for _, row := range rows {
		best, err := strconv.ParseInt(row["challenge_best"], 10, 64)
		if err != nil {
			return err
		}
		first, err := strconv.ParseInt(row["initial"], 10, 64)
		if err != nil {
			return err
		}
		cost, err := b.reassign(row["instance"], b.seconds(300))
		if err != nil {
			return err
		}
		b.add(aim{
			what: fmt.Sprintf("reassignment %s, %v on two cores: cost", row["instance"], b.seconds(300)), aim: fmt.Sprintf("<= %d", best),
			measured: fmt.Sprint(cost), met: met(cost <= best), beside: fmt.Sprintf("gap %+.4f %% of the initial cost", 100*float64(cost-best)/float64(first)),
		})
	}
	return nil
}

func (b *bench) reassign(instance string, limit time.Duration) (int64, error) {
	file := func(kind string) string { return filepath.Join(b.data, "gmrp", kind+"_"+instance+".txt.gz") }
	d, err := b.ours("gmrp", "-time", limit.String(), "-seed", "1", "-workers", "2", "-model", file("model"), "-initial", file("assignment"))
	if err != nil {
		return 0, err
	}
	var cost int64
	if _, err := fmt.Sscanf(d.out, "cost %d", &cost); err != nil {
		return 0, fmt.Errorf("%q: %w", d.out, err)
	}
	return cost, nil
}
