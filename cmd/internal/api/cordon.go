package api

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// Cordon is an operator's word that no VM may come to a host.
type Cordon struct {
	Since  Time   `json:"since"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	Drain  bool   `json:"drain"` // its VMs leave
}

func cordonOf(s cluster.State, host string) *Cordon {
	c, ok := s.Cordoned(host)
	if !ok {
		return nil
	}
	return &Cordon{timeOf(c.Since), c.By, c.Text, c.Drain}
}

func (c *Cordon) message(vms int) string {
	text := "cordoned by " + c.By
	if c.Drain {
		text = fmt.Sprintf("drained by %s, %d VMs to go", c.By, vms)
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// Requests of operators about hosts and single VMs.
type (
	// CordonRequest keeps VMs from coming to a host, or drains it.
	CordonRequest struct {
		Act
		Host  string `json:"host"`            // name or id
		Drain bool   `json:"drain,omitempty"` // its VMs leave, too
	}
	// UncordonRequest lets VMs come to a host again.
	UncordonRequest struct {
		Act
		Host    string `json:"host"`              // name or id
		Restore bool   `json:"restore,omitempty"` // bring back what was drained from it
	}
	// MigrateRequest moves one VM now.
	MigrateRequest struct {
		Act
		VM   string `json:"vm"`   // name or UUID
		Host string `json:"host"` // name or id, or "" for the best one
		// Try does all that the move takes but the migration itself; it ends
		// released, with the code TRIED if all went well.
		Try bool `json:"try,omitempty"`
	}
)

func (s *Server) cordon(_ context.Context, v view, req *CordonRequest) (order, error) {
	m, h, err := findHypervisor(v.state, req.Host)
	if err != nil {
		return order{}, err
	}
	text := fmt.Sprintf("%s is cordoned: no VM goes there", m.Name)
	if req.Drain {
		text = fmt.Sprintf("%s is drained: %d VMs leave, none comes", m.Name, residents(h.Inventory))
	}
	return order{body: cluster.SetCordon{Host: m.ID, Drain: req.Drain, Text: req.Reason}, text: text}, nil
}

func (s *Server) uncordon(_ context.Context, v view, req *UncordonRequest) (order, error) {
	m, _, err := findHypervisor(v.state, req.Host)
	if err != nil {
		return order{}, err
	}
	text := m.Name + " was not cordoned"
	if _, ok := v.state.Cordoned(m.ID); ok {
		text = m.Name + " takes VMs again"
		if req.Restore {
			text += "; what was drained from it comes back"
		}
	}
	return order{body: cluster.LiftCordon{Host: m.ID, Restore: req.Restore, Text: req.Reason}, text: text}, nil
}

func (s *Server) migrate(_ context.Context, v view, req *MigrateRequest) (order, error) {
	vm, err := findVM(v.state, req.VM)
	if err != nil {
		return order{}, err
	}
	asked := cluster.Asked{By: v.who.actor.Name, VM: vm}
	if req.Host != "" {
		m, _, err := findHypervisor(v.state, req.Host)
		if err != nil {
			return order{}, err
		}
		asked.Target = m.ID
	}
	self, _ := v.state.MemberNamed(s.cfg.Name)
	d, orders := rebalancer.Ask(v.state, self.ID, v.now, asked)
	if len(orders) == 0 {
		return order{}, refused(&cluster.Refusal{Code: d.Code, Text: d.Text})
	}
	if req.Reason != "" {
		orders[0].Reason += "; " + req.Reason
	}
	orders[0].Try = req.Try
	o := orders[0]
	if o.Try {
		return order{
			body: cluster.Decide{Decision: d, Orders: orders}, move: o.ID,
			text: fmt.Sprintf("%s: all is tried of moving %s from %s to %s, but the migration itself", o.ID, vmNames(v.state).of(vm), v.state.HostName(o.Source), v.state.HostName(o.Target)),
		}, nil
	}
	return order{
		body: cluster.Decide{Decision: d, Orders: orders}, move: o.ID,
		text: fmt.Sprintf("%s: %s goes from %s to %s", o.ID, vmNames(v.state).of(vm), v.state.HostName(o.Source), v.state.HostName(o.Target)),
	}, nil
}

// findHypervisor finds a host that has VMs.
func findHypervisor(s cluster.State, name string) (cluster.Member, cluster.Host, error) {
	m, err := findMember(s, name)
	if err != nil {
		return m, cluster.Host{}, err
	}
	h, ok := s.Host(m.ID)
	if !ok {
		return m, h, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is a witness: it has no VMs", m.Name))
	}
	return m, h, nil
}

// findVM finds a VM's UUID by its name or UUID.
func findVM(s cluster.State, name string) (string, error) {
	found := vmsCalled(s, vmNames(s), name)
	switch len(found) {
	case 0:
		return "", notFound("no VM %.80q; `evenkeel vms` lists them", name)
	case 1:
		return found[0], nil
	}
	return "", invalid("%d VMs are called %.80q; give a UUID, such as %s", len(found), name, found[0])
}

// Cordon keeps VMs from coming to a host, or drains it.
func (c *Client) Cordon(ctx context.Context, req CordonRequest) (*Change, error) {
	return call[CordonRequest, Change](ctx, c, "Cordon", &req)
}

// Uncordon lets VMs come to a host again.
func (c *Client) Uncordon(ctx context.Context, req UncordonRequest) (*Change, error) {
	return call[UncordonRequest, Change](ctx, c, "Uncordon", &req)
}

// Migrate moves one VM now.
func (c *Client) Migrate(ctx context.Context, req MigrateRequest) (*Change, error) {
	return call[MigrateRequest, Change](ctx, c, "Migrate", &req)
}
