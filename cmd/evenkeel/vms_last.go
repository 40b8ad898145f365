package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// remembered is one run of `evenkeel vms --last-known HOST`.
type remembered struct {
	a    *app
	host string
	xml  bool
}

func (r *remembered) run(ctx context.Context, vms []string) error {
	all, err := r.ask(ctx, "")
	if err != nil {
		return err
	}
	if len(vms) > 0 {
		all.Items = nil
		for _, name := range vms {
			one, err := r.ask(ctx, name)
			if err != nil {
				return err
			}
			all.Items = append(all.Items, one.Items...)
		}
	}
	r.a.notes(all.Head)
	if !r.xml {
		var names []string
		for _, vm := range all.Items {
			names = append(names, vm.Name)
		}
		return r.a.print(all, func(w *ui.Writer) { w.Table(lastColumns, lastRows(all)) }, names)
	}
	for _, vm := range all.Items {
		if vm.XML == "" {
			one, err := r.ask(ctx, vm.UUID)
			if err != nil {
				return err
			}
			vm = one.Items[0]
		}
		if _, err := fmt.Fprintf(r.a.stdout, "%s", vm.XML); err != nil {
			return err
		}
	}
	return nil
}

func (r *remembered) ask(ctx context.Context, vm string) (*api.LastKnown, error) {
	return ask(ctx, r.a, func(ctx context.Context, c *api.Client) (*api.LastKnown, error) {
		return c.LastKnown(ctx, api.LastKnownRequest{Host: r.host, VM: vm})
	})
}

// check holds the flags against each other.
func (r *remembered) check(vms []string) error {
	switch {
	case r.host == "" && r.xml:
		return usage{errors.New("--xml is for --last-known HOST; where a host answers, use `virsh dumpxml` there")}
	case r.host == "" && len(vms) > 0:
		return usage{errors.New("VMs are named with --last-known HOST; for one VM see `evenkeel vms show`")}
	case r.xml && r.a.format != ui.Table:
		return usage{errors.New("--xml prints definitions; with --output json name VMs to have theirs")}
	}
	return nil
}

var lastColumns = []ui.Column{
	{Title: "NAME"},
	{Title: "UUID"},
	{Title: "HOST"},
	{Title: "DEFINED"},
	{Title: "LEFT"},
	{Title: "SHA256", Wide: true},
}

func lastRows(l *api.LastKnown) [][]ui.Cell {
	rows := make([][]ui.Cell, len(l.Items))
	for i, vm := range l.Items {
		left := ""
		if !vm.LeftAt.IsZero() {
			left = ui.Ago(vm.LeftAt.Time, l.Now.Time)
		}
		rows[i] = []ui.Cell{
			ui.Text(vm.Name), ui.Text(vm.UUID), ui.Text(l.Host), ui.Text(ui.Ago(vm.KeptAt.Time, l.Now.Time)), ui.Text(left), ui.Text(vm.SHA256),
		}
	}
	return rows
}
