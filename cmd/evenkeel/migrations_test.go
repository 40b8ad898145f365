package main

import (
	"testing"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestFlightWords(t *testing.T) {
	for want, m := range map[string]api.Move{
		"":                                          {State: cluster.MoveRunning},
		"at most 60 MiB/s by the policy":            {State: cluster.MoveRunning, LimitBytesPerSecond: 60 << 20, LimitBy: cluster.LimitPolicy},
		"at most 60 MiB/s, half of hv1's link":      {State: cluster.MoveRunning, Source: "hv1", Target: "hv2", LimitBytesPerSecond: 60 << 20, LimitBy: cluster.LimitSource},
		"at most 60 MiB/s, half of hv2's link":      {State: cluster.MoveRunning, Source: "hv1", Target: "hv2", LimitBytesPerSecond: 60 << 20, LimitBy: cluster.LimitTarget},
		"vCPUs slowed by 30 % so that it converges": {State: cluster.MoveRunning, LimitBytesPerSecond: 1 << 20, LimitBy: cluster.LimitPolicy, Progress: api.Progress{ThrottleRatio: 0.3}},
		"the target is full":                        {State: cluster.MoveVetoed, Why: "the target is full", LimitBytesPerSecond: 1 << 20, LimitBy: cluster.LimitPolicy},
	} {
		if got := flightWords(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
