package main

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// leastGain is the share of the possible gain that is aimed at.
const leastGain = 0.98

// exact compares plans of at most so many moves with proven optima: the worst
// of the instances counts.
func exact(b *bench) error {
	rows, err := readCSV(filepath.Join(b.data, "exact", "optima.csv"))
	if err != nil {
		return err
	}
	type kind struct{ objective, moves string }
	worst := map[kind]float64{}
	var order []kind
	tooMany := 0
	for _, row := range rows {
		k := kind{row["objective"], row["max_moves"]}
		optimum, err := strconv.ParseFloat(row["optimum"], 64)
		if err != nil {
			return err
		}
		file := filepath.Join(b.data, "exact", row["instance"]+".json.gz")
		d, err := b.ours("exact", "-cluster", file, "-moves", k.moves, "-objective", k.objective)
		if err != nil {
			return err
		}
		var name string
		var after, before float64
		var moved int
		if _, err := fmt.Sscanf(d.out, "%s %f before %f moved %d", &name, &after, &before, &moved); err != nil {
			return fmt.Errorf("%q: %w", d.out, err)
		}
		if most, err := strconv.Atoi(k.moves); err != nil || moved > most {
			tooMany++
		}
		gain := (before - after) / (before - optimum)
		if least, known := worst[k]; !known || gain < least {
			if !known {
				order = append(order, k)
			}
			worst[k] = gain
		}
	}
	peers := map[kind]string{{"l1", "2"}: "79", {"l1", "4"}: "75", {"l1", "6"}: "69", {"maxcpu", "2"}: "57", {"maxcpu", "4"}: "48", {"maxcpu", "6"}: "47"}
	for _, k := range order {
		b.add(aim{
			what: fmt.Sprintf("6x40, %s, %s moves: share of the possible gain", k.objective, k.moves), aim: ">= 98 %",
			measured: fmt.Sprintf("%.1f %%", 100*worst[k]), met: met(worst[k] >= leastGain), beside: "worst instance; hbal's mean " + peers[k] + " %",
		})
	}
	b.add(aim{what: "6x40: plans with more moves than allowed", aim: "0", measured: fmt.Sprint(tooMany), met: met(tooMany == 0)})
	return nil
}
