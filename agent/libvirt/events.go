package libvirt

import (
	"context"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Relist is the event that stands for those that the reader was too slow for;
// its UUID is "".
const Relist = "relist"

// maxPending bounds the VMs with an event that the reader did not take yet.
const maxPending = 256

// Events streams lifecycle changes on a connection of its own until ctx ends
// or the connection is lost. List the VMs after it returned: what happened
// before is only there.
func (h *Host) Events(ctx context.Context) (<-chan agent.GuestEvent, error) {
	const what = "subscribe to VM events"
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	c, err := h.dialer.dialFresh(ctx, h.cfg.CallTimeout)
	if err != nil {
		end()
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	lifecycle, err := subscribe(ctx, c, h.cfg.CallTimeout)
	if err != nil {
		hangUp(c, lifecycle)
		end()
		return nil, fmt.Errorf("%s: %w", what, translate(err))
	}
	out := make(chan agent.GuestEvent)
	go func() {
		defer end()
		defer close(out)
		stop := context.AfterFunc(ctx, c.wire.hangUp)
		defer stop()
		relay(ctx, lifecycle, out)
		hangUp(c, lifecycle)
	}()
	return out, nil
}

// hangUp ends the connection and with it the subscription, whose goroutine
// may still hold an event.
func hangUp(c *conn, lifecycle <-chan golibvirt.DomainEventLifecycleMsg) {
	c.close()
	if lifecycle == nil {
		return
	}
	for range lifecycle {
	}
}

// subscribe gives go-libvirt a context that never ends: cancelling its
// subscription can deadlock, so the connection is closed instead.
func subscribe(ctx context.Context, c *conn, limit time.Duration) (<-chan golibvirt.DomainEventLifecycleMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var ch <-chan golibvirt.DomainEventLifecycleMsg
	err := c.do(ctx, func(lv *golibvirt.Libvirt) error {
		var err error
		ch, err = lv.LifecycleEvents(context.Background())
		return err
	})
	if err == nil && c.spoiled {
		err = context.Cause(ctx)
	}
	return ch, err
}

// relay passes events on, at most one waiting for each VM: a later event of
// the same VM replaces it. Beyond maxPending all become one Relist.
func relay(ctx context.Context, in <-chan golibvirt.DomainEventLifecycleMsg, out chan<- agent.GuestEvent) {
	var q eventQueue
	for {
		var send chan<- agent.GuestEvent
		var head agent.GuestEvent
		if len(q.order) > 0 {
			send, head = out, q.head()
		}
		select {
		case msg, ok := <-in:
			if !ok {
				return
			}
			q.push(agent.GuestEvent{UUID: formatUUID(msg.Dom.UUID), What: eventName(msg.Event, msg.Detail)})
		case send <- head:
			q.pop()
		case <-ctx.Done():
			return
		}
	}
}

// eventQueue holds the newest event of each VM, in order of their first.
type eventQueue struct {
	order []string // UUIDs
	what  map[string]string
}

func (q *eventQueue) push(e agent.GuestEvent) {
	if q.what == nil {
		q.what = make(map[string]string)
	}
	if _, relisting := q.what[""]; relisting {
		return
	}
	if _, waiting := q.what[e.UUID]; !waiting {
		q.order = append(q.order, e.UUID)
	}
	q.what[e.UUID] = e.What
	if len(q.order) > maxPending {
		q.order, q.what = []string{""}, map[string]string{"": Relist}
	}
}

func (q *eventQueue) head() agent.GuestEvent {
	return agent.GuestEvent{UUID: q.order[0], What: q.what[q.order[0]]}
}

func (q *eventQueue) pop() {
	delete(q.what, q.order[0])
	q.order = q.order[1:]
}

// eventName is libvirt's word for it, but for the end of a VM that went to
// another host, which is "migrated".
func eventName(event, detail int32) string {
	names := [...]string{"defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "pmsuspended", "crashed"}
	kind := golibvirt.DomainEventType(event)
	if kind == golibvirt.DomainEventStopped && golibvirt.DomainEventStoppedDetailType(detail) == golibvirt.DomainEventStoppedMigrated {
		return "migrated"
	}
	if event < 0 || int(event) >= len(names) {
		return fmt.Sprintf("event-%d", event)
	}
	return names[event]
}
