package api

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Top is the fleet at one look: its status, every hypervisor and every VM.
type Top struct {
	Head
	Status *Status `json:"status"`
	Hosts  []Host  `json:"hosts"` // by name
	VMs    []VM    `json:"vms"`   // by name
}

// Top asks for all of it at once. The three answers may be of States that are
// an entry apart.
func (c *Client) Top(ctx context.Context) (*Top, error) {
	var (
		status *Status
		hosts  *HostList
		vms    *VMList
	)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { status, err = c.Status(ctx); return err })
	g.Go(func() (err error) { hosts, err = c.Hosts(ctx); return err })
	g.Go(func() (err error) { vms, err = c.VMs(ctx); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &Top{Head: status.Head, Status: status, Hosts: hosts.Items, VMs: vms.Items}
	out.Kind = "Top"
	for _, m := range slices.Concat(hosts.Messages, vms.Messages) {
		if !slices.Contains(out.Messages, m) {
			out.Messages = append(out.Messages, m)
		}
	}
	return out, nil
}
