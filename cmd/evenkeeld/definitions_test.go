package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/libvirt"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
)

// household is a host with VMs, and the voters that it tells of them.
type household struct {
	*depositor
	t      *testing.T
	now    time.Time
	vms    []libvirt.Text
	rev    uint64
	reads  int
	seats  []consensus.Voter
	failed map[string]bool
	heard  map[string][]definitions.Definition // by address, the last that it was told
	calls  int
}

func newHousehold(t *testing.T) *household {
	h := &household{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), failed: map[string]bool{}, heard: map[string][]definitions.Definition{}}
	for _, name := range []string{"a", "b", "c"} {
		h.seats = append(h.seats, consensus.Voter{Member: name, Address: name + ":1"})
	}
	h.depositor = &depositor{
		read:     func(context.Context) ([]libvirt.Text, error) { h.reads++; return slices.Clone(h.vms), nil },
		revision: func() uint64 { return h.rev },
		voters:   func(context.Context) ([]consensus.Voter, error) { return h.seats, nil },
		tell: func(_ context.Context, addr string, all []definitions.Definition) (int, error) {
			if h.calls++; h.failed[addr] {
				return 0, errors.New("not there")
			}
			h.heard[addr] = all
			return len(all), nil
		},
		log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return h
}

func (h *household) define(n int, xml string) {
	vm := fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n)
	h.vms = append(slices.DeleteFunc(h.vms, func(t libvirt.Text) bool { return t.VM == vm }), libvirt.Text{VM: vm, Name: fmt.Sprint("vm", n), XML: xml})
}

// pass lets time pass, a turn every five seconds, and says how often voters were told.
func (h *household) pass(d time.Duration) int {
	before := h.calls
	for end := h.now.Add(d); h.now.Before(end); h.now = h.now.Add(lookEvery) {
		h.turn(h.t.Context(), h.now)
	}
	return h.calls - before
}

// Voters are told once of what does not change, at once of VMs that come, within
// minutes of what is changed in place and of a new voter, and hourly anyhow.
func TestVotersAreToldOfChanges(t *testing.T) {
	h := newHousehold(t)
	if n := h.pass(time.Minute); n != 0 || h.reads != 0 {
		t.Errorf("before libvirt was heard: %d calls, %d reads", n, h.reads)
	}
	h.define(1, "<domain>1</domain>")
	h.rev++
	if n := h.pass(lookEvery); n != 3 {
		t.Errorf("the first VM: %d calls", n)
	}
	if n := h.pass(30 * time.Minute); n != 0 {
		t.Errorf("nothing changed: %d calls", n)
	}
	h.define(1, "<domain>1, larger</domain>") // in place: the inventory is as before
	if n := h.pass(readDefinitions + lookEvery); n != 3 || h.heard["b:1"][0].Sum == "" {
		t.Errorf("a change in place: %d calls", n)
	}
	h.seats = append(h.seats[:2:2], consensus.Voter{Member: "d", Address: "d:1"})
	if n := h.pass(readDefinitions + lookEvery); n != 1 || len(h.heard["d:1"]) != 1 {
		t.Errorf("another voter: %d calls", n)
	}
	if n := h.pass(tellDefinitions); n != 3 {
		t.Errorf("within an hour without a change: %d calls", n)
	}
}

// A voter that cannot be told is told a minute later, the others only once.
func TestVoterThatIsAway(t *testing.T) {
	h := newHousehold(t)
	h.define(1, "<domain/>")
	h.rev, h.failed["b:1"] = 1, true
	if n := h.pass(lookEvery); n != 3 || h.heard["c:1"] == nil {
		t.Errorf("%d calls", n)
	}
	h.failed["b:1"] = false
	if n := h.pass(2 * time.Minute); n != 1 || h.heard["b:1"] == nil {
		t.Errorf("after it came back: %d calls", n)
	}
}

// A definition that is too large is left out, and is not packed again each time.
func TestTooLargeIsLeftOut(t *testing.T) {
	h := newHousehold(t)
	noise, rng := make([]byte, 100<<10), rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte('!' + rng.IntN(90))
	}
	h.define(1, string(noise))
	h.define(2, "<domain/>")
	h.rev = 1
	h.pass(20 * time.Minute)
	if got := h.heard["a:1"]; len(got) != 1 || got[0].Name != "vm2" {
		t.Errorf("%d VMs are told", len(got))
	}
	if h.reads < 3 || len(h.texts) != 2 || len(h.packed) != 1 {
		t.Errorf("%d reads, %d texts, %d packed", h.reads, len(h.texts), len(h.packed))
	}
}
