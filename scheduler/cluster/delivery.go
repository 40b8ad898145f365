package cluster

// Delivery is how far the events have been delivered to one webhook. It lives
// in the State so that a new leader goes on where the old one stopped.
type Delivery struct {
	Webhook string `json:"webhook"` // its name in agent.yaml
	Through uint64 `json:"through"` // all events up to this index were delivered, filtered out or given up
	At      Time   `json:"at"`      // when that was recorded
}

// Deliver records how far the events have been delivered. Only a leader sends
// it, every few seconds while events flow.
type Deliver struct {
	Deliveries []Delivery `json:"deliveries"`
}

// MaxDeliveries bounds the webhooks whose position is kept; of more, those are
// forgotten that have been recorded least recently.
const MaxDeliveries = 16

func (Deliver) kind() string { return "deliver" }

func (b Deliver) apply(s *State, m Meta, c *Command) error {
	if c.Actor.Kind == KindOperator {
		return refuse(CodeNotYours, "only a leader records what was delivered")
	}
	if len(b.Deliveries) > MaxDeliveries {
		return refuse(CodeTooMany, "%d webhooks, at most %d", len(b.Deliveries), MaxDeliveries)
	}
	next := append(make([]Delivery, 0, MaxDeliveries+1), s.Deliveries...)
	for _, d := range b.Deliveries {
		if d.Webhook == "" || len(d.Webhook) > maxCode || !printable(d.Webhook) || d.Through > m.Index {
			return refuse(CodeAbsurdFigure, "webhook %.70q delivered through %d at entry %d", d.Webhook, d.Through, m.Index)
		}
		next = advanced(next, Delivery{d.Webhook, d.Through, s.Now})
	}
	s.Deliveries = next
	return nil
}

// advanced puts a position in place of the webhook's older one. A position
// never goes back: a leader that was deposed may still speak.
func advanced(list []Delivery, d Delivery) []Delivery {
	for i := range list {
		if list[i].Webhook == d.Webhook {
			d.Through = max(d.Through, list[i].Through)
			list[i] = d
			return list
		}
	}
	if len(list) >= MaxDeliveries {
		oldest := 0
		for i := range list {
			if list[i].At < list[oldest].At {
				oldest = i
			}
		}
		list = append(list[:oldest], list[oldest+1:]...)
	}
	return append(list, d)
}

// Delivered says how far the events have been delivered to a webhook; ok is
// false if nothing was ever recorded.
func (s State) Delivered(webhook string) (through uint64, ok bool) {
	for _, d := range s.Deliveries {
		if d.Webhook == webhook {
			return d.Through, true
		}
	}
	return 0, false
}
