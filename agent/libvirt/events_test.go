package libvirt

import (
	"context"
	"testing"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

func msg(vm byte, kind golibvirt.DomainEventType) golibvirt.DomainEventLifecycleMsg {
	return golibvirt.DomainEventLifecycleMsg{Dom: golibvirt.Domain{UUID: golibvirt.UUID{vm}}, Event: int32(kind)}
}

// flood runs a relay whose reader takes nothing until all were sent.
func flood(t *testing.T, msgs []golibvirt.DomainEventLifecycleMsg, want int) []agent.GuestEvent {
	t.Helper()
	in, out := make(chan golibvirt.DomainEventLifecycleMsg), make(chan agent.GuestEvent)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); relay(ctx, in, out) }()
	for _, m := range msgs {
		in <- m // never blocks for good, whatever the reader does
	}
	var got []agent.GuestEvent
	for range want {
		got = append(got, <-out)
	}
	cancel()
	<-ended
	return got
}

func TestEventsCoalesce(t *testing.T) {
	got := flood(t, []golibvirt.DomainEventLifecycleMsg{
		msg(1, golibvirt.DomainEventStarted), msg(2, golibvirt.DomainEventStarted), msg(1, golibvirt.DomainEventStopped),
	}, 2)
	want := []agent.GuestEvent{
		{UUID: "01000000-0000-0000-0000-000000000000", What: "stopped"},
		{UUID: "02000000-0000-0000-0000-000000000000", What: "started"},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestEventsOverflow(t *testing.T) {
	var msgs []golibvirt.DomainEventLifecycleMsg
	for i := range 4 * maxPending {
		m := msg(1, golibvirt.DomainEventStarted)
		m.Dom.UUID[1], m.Dom.UUID[2] = byte(i), byte(i>>8)
		msgs = append(msgs, m)
	}
	if got := flood(t, msgs, 1); got[0] != (agent.GuestEvent{What: Relist}) {
		t.Errorf("got %+v", got[0])
	}
}

func TestEventNames(t *testing.T) {
	for _, c := range []struct {
		event, detail int32
		want          string
	}{
		{int32(golibvirt.DomainEventStarted), int32(golibvirt.DomainEventStartedMigrated), "started"},
		{int32(golibvirt.DomainEventStopped), int32(golibvirt.DomainEventStoppedMigrated), "migrated"},
		{int32(golibvirt.DomainEventStopped), int32(golibvirt.DomainEventStoppedCrashed), "stopped"},
		{int32(golibvirt.DomainEventCrashed), 0, "crashed"},
		{99, 0, "event-99"},
		{-1, 0, "event--1"},
	} {
		if got := eventName(c.event, c.detail); got != c.want {
			t.Errorf("event %d detail %d is %q, want %q", c.event, c.detail, got, c.want)
		}
	}
}
