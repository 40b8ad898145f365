package rpc

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// BenchmarkLeaderBeat is what a leader spends on a beat of 1,000 hosts with 20
// VMs, a fifth of which changed: to read and check their digests, and to make
// entries of them as they are.
func BenchmarkLeaderBeat(b *testing.B) {
	const hosts = 1000
	var messages [][]byte
	for host := range hosts {
		s := cluster.Snapshot{
			Host: fmt.Sprintf("%08x-0000-4000-8000-000000000000", host), Incarnation: 1, Sequence: 9, Base: 8,
			Load: cluster.Load{TakenAt: cluster.TimeOf(time.Unix(1_790_000_000, 0)), Window: 10 * time.Second, NextIn: 5 * time.Second, Source: cluster.SourceEBPF, CPUs: 64_000, Use: 20_000},
		}
		for slot := range uint32(4) {
			s.Load.VMs = append(s.Load.VMs, cluster.VMLoad{Slot: 5 * slot, Run: 1000, Demand: 1000, Steal: cluster.Whole, StealMax: cluster.Whole, P99: time.Millisecond})
		}
		d, err := cluster.NewDigest(s)
		if err != nil {
			b.Fatal(err)
		}
		messages = append(messages, d.Bytes())
	}
	batcher := NewBatcher(&slowLog{}, time.Hour, slog.New(slog.DiscardHandler))
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		bytes = 0
		for _, message := range messages {
			d, err := cluster.ReadDigest(message)
			if err != nil {
				b.Fatal(err)
			}
			if err := batcher.PutDigest(d); err != nil {
				b.Fatal(err)
			}
		}
		for left := hosts; left > 0; {
			batch := batcher.take(left)
			left -= len(batch)
			data, err := cluster.EncodeCommand(cluster.Command{Level: 1, Body: cluster.Digests{Batch: batch}})
			if err != nil {
				b.Fatal(err)
			}
			bytes += len(data)
		}
	}
	b.ReportMetric(float64(bytes)/hosts, "bytes/host")
}
