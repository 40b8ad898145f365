// Package drill drives a lab that is up as an operator would, and judges from
// the outside what became of its guests: by schedstat, by their heartbeats,
// and by which hosts have a QEMU process. The demo and the end-to-end tests
// are built on it.
package drill

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Drill is a lab and the ways to look at it.
type Drill struct {
	Lab *lab.Lab
	// Mute are hosts whose daemon is not asked: frozen ones would only cost time.
	Mute map[string]bool
}

// client speaks to a host's daemon over its unix socket.
func (d *Drill) client(host string) (*api.Client, error) {
	socket, err := d.Lab.AgentSocket(host)
	if err != nil {
		return nil, err
	}
	return api.Dial(api.Target{Socket: socket})
}

// ask tries the daemons in turn until one answers.
func ask[T any](ctx context.Context, d *Drill, question func(context.Context, *api.Client) (T, error)) (T, error) {
	var none T
	errs := []error{errors.New("no daemon answers")}
	for _, h := range d.Lab.Hosts() {
		if _, err := d.Lab.AgentPID(h.Name); err != nil || d.Mute[h.Name] {
			continue
		}
		c, err := d.client(h.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		asked, cancel := context.WithTimeout(ctx, 3*time.Second)
		answer, err := question(asked, c)
		cancel()
		c.Close()
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", h.Name, err))
	}
	return none, errors.Join(errs...)
}

// Moves are all moves, newest first.
func (d *Drill) Moves(ctx context.Context) ([]api.Move, error) {
	list, err := ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.MoveList, error) {
		return c.Moves(ctx, api.HistoryRequest{})
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Status asks how the cluster is.
func (d *Drill) Status(ctx context.Context) (*api.Status, error) {
	return ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.Status, error) { return c.Status(ctx) })
}

// VMs asks for the VMs with their live counters.
func (d *Drill) VMs(ctx context.Context) ([]api.VM, error) {
	list, err := ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.VMList, error) { return c.VMs(ctx) })
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Hosts asks for the hypervisors.
func (d *Drill) Hosts(ctx context.Context) ([]api.Host, error) {
	list, err := ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.HostList, error) { return c.Hosts(ctx) })
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Mode sets the mode, trying for as long as ctx allows.
func (d *Drill) Mode(ctx context.Context, mode cluster.Mode) error {
	return until(ctx, "mode "+string(mode), func() (bool, error) {
		_, err := ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.Change, error) {
			return c.SetMode(ctx, api.ModeRequest{Mode: mode})
		})
		return err == nil, err
	})
}

// Set changes settings by name, trying for as long as ctx allows.
func (d *Drill) Set(ctx context.Context, settings map[string]string) error {
	return until(ctx, "settings", func() (bool, error) {
		_, err := ask(ctx, d, func(ctx context.Context, c *api.Client) (*api.Change, error) {
			return c.SetSettings(ctx, api.SettingsRequest{Set: settings})
		})
		return err == nil, err
	})
}

// Lead makes a host the leader. A leader that stops hands over to the follower
// that is furthest; so all but the wanted one are frozen for a moment, which
// makes them fall behind, before the leader is restarted.
func (d *Drill) Lead(ctx context.Context, host string) error {
	return until(ctx, host+" to lead", func() (bool, error) {
		s, err := d.Status(ctx)
		if err != nil || s.Leader == nil {
			return false, err
		}
		if s.Leader.Name == host {
			return true, nil
		}
		return false, d.handOver(ctx, s.Leader.Name, host)
	})
}

func (d *Drill) handOver(ctx context.Context, from, to string) (err error) {
	for _, h := range d.Lab.Hosts() {
		if h.Name == from || h.Name == to {
			continue
		}
		if err := d.Lab.SignalAgent(ctx, h.Name, syscall.SIGSTOP); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Lab.SignalAgent(context.WithoutCancel(ctx), h.Name, syscall.SIGCONT)) }()
	}
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := d.Lab.StopAgent(ctx, from); err != nil {
		return err
	}
	if err := d.Lab.StartAgent(ctx, from); err != nil {
		return err
	}
	return wait(ctx, time.Second)
}

// until polls a condition; the error says what was waited for and what stood
// in the way last.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	var last error
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if last == nil || ctx.Err() == nil { // what an ended context makes fail says nothing
			last = err
		}
		if waited := wait(ctx, 100*time.Millisecond); waited != nil {
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(waited, last))
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// Until polls a condition on the outside of the fleet.
func Until(ctx context.Context, what string, done func() (bool, error)) error {
	return until(ctx, what, done)
}
