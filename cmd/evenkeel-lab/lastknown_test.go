package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
)

// TestLastKnownDefinitions asks voters how a VM was defined whose host's daemon
// and libvirtd are dead. libvirt takes what they say.
func TestLastKnownDefinitions(t *testing.T) {
	o := onFleet(t, nil)
	ctx, cancel := context.WithTimeout(o.ctx, time.Minute)
	defer cancel()
	ask := func(from string) (string, error) {
		return o.d.Lab.Exec(ctx, from, "evenkeel", "vms", "--last-known", "hv1", "--xml", "vm1")
	}
	for _, voter := range []string{"witness", "hv2"} {
		o.must(drill.Until(ctx, voter+" to have vm1's definition", func() (bool, error) { _, err := ask(voter); return err == nil, err }))
	}
	o.must(o.d.Lab.SignalAgent(ctx, "hv1", syscall.SIGKILL))
	o.must(o.d.Lab.SignalLibvirtd(ctx, "hv1", syscall.SIGKILL))
	defer func() {
		o.must(errors.Join(o.d.Lab.StartLibvirtd(o.ctx, "hv1"), o.d.Lab.StartAgent(o.ctx, "hv1")))
		o.ready("hv2")
	}()
	for _, voter := range []string{"witness", "hv2"} {
		xml, err := ask(voter)
		g, guestErr := o.d.Lab.Guest("vm1")
		o.must(errors.Join(err, guestErr))
		if !strings.Contains(xml, "<uuid>"+g.UUID+"</uuid>") {
			t.Errorf("%s says %s", voter, xml)
		}
		cmd := o.d.Lab.Command(ctx, "hv2", "virsh", "define", "--validate", "/dev/stdin")
		cmd.Stdin = strings.NewReader(xml)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("libvirt does not take it: %v: %s", err, out)
		}
	}
	o.virsh("hv2", "undefine", "vm1")
}
